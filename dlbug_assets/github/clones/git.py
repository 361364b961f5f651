"""Clone repositories without their files, fetch what is new, and read commits and changes, with git.

No address can become an option. A clone holds commits only, except one of a bundle, which is stored as a whole; the
trees and blobs of a commit are fetched before its changes are read.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedReader
from math import ceil
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones.git_output import LineCounts, parse_commit, parse_hunks, parse_numstat
from dlbug_assets.github.clones.git_process import GitError, git, git_output
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.parallel import parallel_map

HEAD = "refs/dlbug/head"
_REWRITTEN = "refs/dlbug/rewritten"
#: Time limit of `git ls-remote`.
_LS_REMOTE_SECONDS = 120
#: Another process is started for at least this number of commits.
_COMMITS_PER_PROCESS = 200
#: Disk space that a fetch must leave free.
_FREE_BYTES = 1 << 30
#: Bytes of a commit object that are read: more than its message may have in a table, in any encoding.
_LONGEST_COMMIT = 2 << 20
_CHUNK = 1 << 20
_DIFF = ("--find-renames", "--no-ext-diff", "--no-textconv", "--root", "-r")
#: The modes of entries in trees that are blobs: files and symbolic links, but not submodules.
_BLOB_MODES = (b"100644", b"100664", b"100755", b"120000")
#: The object format of a repository by the length of its hashes.
_HASHES = {40: "sha1", 64: "sha256"}
#: Serve a repository of this machine as servers do: of any owner, filtered, and any of its objects.
_UPLOAD_PACK = (
    "--upload-pack=git -c safe.directory=* -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true "
    "upload-pack"
)
#: Branches that are read where the remote's HEAD names none that exists.
_USUAL_BRANCHES = ("refs/heads/main", "refs/heads/master")
#: git's errors where a remote doesn't have a commit any more, or doesn't serve it.
_MISSING_COMMIT = re.compile(r"not our ref|unadvertised object")
#: git's errors where a commit is not an ancestor, or not in the clone.
_NOT_ANCESTOR = re.compile(r"exit code 1$|Not a valid commit name")
#: git's errors where a repository doesn't exist any more, and where access is denied.
_GONE = re.compile(r"not found|does not exist|does not appear to be a git repository|could not read Username", re.I)
_BLOCKED = re.compile(r"\b(403|451)\b|access denied|permission denied", re.I)
#: git's errors for sources that lack objects, and what to do about them.
_INCOMPLETE = {
    "from promisor remote": (
        "its source is a partial clone that lacks objects: run `git fetch --refetch --no-filter` there"
    ),
    "lacks these prerequisite commits": "its source is a bundle of a part of the history: bundle all of it",
}


@dataclass(frozen=True)
class RemoteState:
    """The state of a remote repository (ok, gone, empty, blocked), and its default branch and head if it has them."""

    state: str
    branch: str | None = None
    sha: str | None = None


@dataclass(frozen=True)
class Clone:
    """A bare clone in ``folder`` of the repository or bundle at ``address`` (an address or a path)."""

    folder: Path
    address: str

    def remote_state(self) -> RemoteState:
        """Ask the remote for its head, and fetch nothing.

        If its HEAD names a branch that does not exist, the head is that of its only branch, or of main or master.
        Raises :class:`GitError` where it has several others, or git fails for another reason than a repository that is
        gone or blocked.
        """
        try:
            reply = git(
                "ls-remote", "--symref", *self._served, "--", self._remote, "HEAD", "refs/heads/*",
                seconds=_LS_REMOTE_SECONDS,
            )  # fmt: skip
        except GitError as error:
            if _BLOCKED.search(str(error)):
                return RemoteState("blocked")
            path = self._path
            if _GONE.search(str(error)) and not (path and path.exists()):
                return RemoteState("gone")
            raise
        text = reply.decode(errors="replace")
        branch = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", text, re.M)
        # refs/remotes/origin/HEAD matches the pattern HEAD, too.
        shas = {name: sha for sha, name in re.findall(r"^([0-9a-f]+)\t(HEAD|refs/heads/.+)$", text, re.M)}
        if "HEAD" in shas:
            return RemoteState("ok", branch and branch.group(1), shas["HEAD"])
        if not shas:
            return RemoteState("empty", branch and branch.group(1))
        names = list(shas) if len(shas) == 1 else [name for name in _USUAL_BRANCHES if name in shas]
        if not names:
            raise GitError(
                f"its HEAD names a branch that does not exist, and none of its {len(shas)} branches is called main or "
                "master: run `git symbolic-ref HEAD refs/heads/BRANCH` there"
            )
        return RemoteState("ok", names[0].removeprefix("refs/heads/"), shas[names[0]])

    @property
    def exists(self) -> bool:
        """Whether anything was ever fetched."""
        return (self.folder / HEAD).exists() or (self.folder / "packed-refs").exists()

    def head(self) -> str | None:
        """Return the head that was fetched last."""
        if not self.exists:
            return None
        try:
            return self._run("rev-parse", "--verify", "--quiet", HEAD).decode().strip()
        except GitError:
            return None

    def fetch(self, sha: str) -> None:
        """Fetch the history up to a head that :meth:`remote_state` returned.

        Commits that were fetched before are kept, also where the branch was rewritten since. Raises :class:`GitError`
        where git fails, the source lacks commits or less than 1 GiB of the disk is free; a clone that was never fetched
        completely is removed then.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < _FREE_BYTES:
            raise GitError(f"less than {_FREE_BYTES >> 20} MiB are free at {self.folder.parent}: free some space")
        self._remove_unfinished()  # of a process that was killed: only one runs at a time
        try:
            if not self.exists:
                self.folder.mkdir(mode=0o700)
                git("init", "--quiet", "--bare", f"--object-format={_HASHES[len(sha)]}", "--", str(self.folder))
            # Another repository may have the name now that this one had at the last fetch.
            self._run("config", "remote.origin.url", self._remote)
            previous = self.head()
            self._fetch(sha, HEAD)
        except GitError:
            self._remove_unfinished()
            raise
        if previous and not self.is_ancestor(previous, sha):
            self._run("update-ref", f"{_REWRITTEN}/{previous}", previous)

    def fetch_files(self, shas: Sequence[str]) -> None:
        """Fetch the trees and blobs that :meth:`changes` of these commits reads, if some are missing.

        Raises :class:`GitError` where git fails or the source lacks them.
        """
        parents = self._first_parents(shas)
        both = dict.fromkeys(sha for own, first in parents.items() for sha in (own, *first))
        self._fetch_objects(self._run("log", "--no-walk", "--format=%T", "--stdin", stdin=_lines(both)).split())
        raw = ("diff-tree", "-r", "--root", "--raw", "--no-abbrev", "--no-renames", "--stdin")
        blobs: dict[bytes, None] = {}
        with self._output(*raw, stdin=_pairs(parents)) as output:
            for line in output:
                if line.startswith(b":"):
                    old_mode, mode, old, new, _ = line[1:].split(b" ", 4)
                    blobs |= dict.fromkeys(sha for sha, kind in ((old, old_mode), (new, mode)) if kind in _BLOB_MODES)
        self._fetch_objects(blobs)

    def lost_heads(self, heads: Sequence[str]) -> list[str]:
        """Return those heads of rewritten branches that neither this clone nor the remote has any more.

        Those that only the remote has are fetched. Raises :class:`GitError` where the remote cannot be asked.
        """
        kept = self._run("for-each-ref", "--format=%(objectname)", _REWRITTEN).decode().split()
        return [sha for sha in heads if sha not in kept and not self._is_fetched(sha, f"{_REWRITTEN}/{sha}")]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether one commit is reachable from another; raise :class:`GitError` where the clone is damaged."""
        try:
            self._run("merge-base", "--is-ancestor", "--", older, newer)
        except GitError as error:
            if _NOT_ANCESTOR.search(str(error)):
                return False
            raise
        return True

    def commits(self, head: str, known: Sequence[str] = ()) -> Iterator[Commit]:
        """Yield the commits that are reachable from ``head`` and from none of ``known``, in the order of rev-list.

        Of a commit object, the first 2 MiB are read. Raises :class:`GitError` where the clone is damaged.
        """
        with (
            self._output("rev-list", "--end-of-options", head, *(f"^{sha}" for sha in known)) as shas,
            self._output("cat-file", "--batch", "--buffer", stdin=shas) as objects,
        ):
            while line := objects.readline():
                sha, kind, *size = line.decode().split()
                if kind != "commit":
                    raise GitError(f"commit {sha} is {kind}")
                content = objects.read(min(int(size[0]), _LONGEST_COMMIT))
                yield parse_commit(sha, content)
                rest = int(size[0]) - len(content) + 1
                while rest > 0 and (skipped := objects.read(min(rest, _CHUNK))):
                    rest -= len(skipped)

    def change(self, sha: str) -> Change:
        """Return what a commit changes against its first parent, with renames detected as GitHub does."""
        return next(self.changes([sha]))

    def changes(self, shas: Sequence[str]) -> Iterator[Change]:
        """Yield what each commit changes against its first parent, with renames detected as GitHub does.

        Raises :class:`GitError` where the clone lacks the files (see :meth:`fetch_files`).
        """
        parents = self._first_parents(shas)
        counts = self.numstat(parents)
        for sha in shas:
            own = counts[sha]
            patch = ("diff-tree", *_DIFF, "-p", "--no-commit-id", "--end-of-options", *parents[sha], sha)
            with self._output(*patch) as output:
                text = excerpt((*names, hunks) for names, hunks in zip(own.names, parse_hunks(output), strict=True))
            yield Change(own.files, own.additions, own.deletions, text)

    def numstat(self, parents: Mapping[str, Sequence[str]]) -> dict[str, LineCounts]:
        """Count the files and lines that commits change; ``parents`` has the first parent of each, if any.

        Large numbers of commits are divided among as many processes as there are processors.
        """
        commits = list(parents.items())
        size = max(_COMMITS_PER_PROCESS, ceil(len(commits) / (os.cpu_count() or 1)))
        parts = parallel_map(self._numstat, (dict(commits[at : at + size]) for at in range(0, len(commits), size)))
        return {sha: counts for part in parts for sha, counts in part.items()}

    def _numstat(self, parents: Mapping[str, Sequence[str]]) -> dict[str, LineCounts]:
        arguments = ("diff-tree", *_DIFF, "--numstat", "-z", "--stdin", "--always")
        with self._output(*arguments, stdin=_pairs(parents)) as output:
            return parse_numstat(output)

    def _first_parents(self, shas: Sequence[str]) -> dict[str, list[str]]:
        """Return a list with the first parent of each commit, empty for a root commit."""
        listed = self._run("rev-list", "--parents", "--no-walk=unsorted", "--stdin", stdin=_lines(shas))
        return {own: parents[:1] for own, *parents in map(str.split, listed.decode().splitlines())}

    @property
    def _path(self) -> Path | None:
        """The path of a repository or bundle of this machine."""
        if self.address.startswith("file://"):
            return Path(unquote(self.address.removeprefix("file://")))
        return None if "://" in self.address or "::" in self.address else Path(self.address).absolute()

    @property
    def _remote(self) -> str:
        """The address as git takes it: a folder becomes file://, so that filters apply and nothing is hard-linked."""
        path = self._path
        if path is not None:
            return str(path) if path.is_file() else f"file://{quote(str(path))}"
        if re.match(r"(https|ssh)://", self.address):
            return self.address
        raise DlbugError(f"{self.address}: repositories are fetched by https, ssh or from a path, nothing else")

    @property
    def _served(self) -> tuple[str, ...]:
        """The option with which git serves a repository of this machine."""
        return (_UPLOAD_PACK,) if self._remote.startswith("file://") else ()

    def _is_fetched(self, sha: str, name: str) -> bool:
        try:
            self._fetch(sha, name)
        except GitError as error:
            if _MISSING_COMMIT.search(str(error)):
                return False
            raise
        return True

    def _fetch(self, sha: str, name: str) -> None:
        self._fetch_from_origin("--force", "--filter=tree:0", "origin", f"+{sha}:{name}")
        try:
            self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except GitError:  # git succeeds then, with a warning
            raise GitError("its source is a shallow clone: run `git fetch --unshallow` there") from None

    def _fetch_objects(self, objects: Iterable[bytes]) -> None:
        """Fetch single objects, trees with all their trees; nothing where the clone has all of them."""
        wanted = b"".join(name + b"\n" for name in objects)
        if wanted:
            # In a negotiation, the remote would leave out the files of commits that the clone has.
            self._fetch_from_origin("--filter=blob:none", "--stdin", "origin", negotiation="noop", stdin=wanted)

    def _fetch_from_origin(self, *arguments: str, negotiation: str = "default", stdin: bytes = b"") -> None:
        settings = ("-c", f"fetch.negotiationAlgorithm={negotiation}")
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", *self._served)
        try:
            self._run(*settings, "fetch", *options, *arguments, stdin=stdin)
        except GitError as error:
            found = (advice for text, advice in _INCOMPLETE.items() if text in str(error))
            raise GitError(next(found, str(error))) from None

    def _remove_unfinished(self) -> None:
        """Remove locks and temporary files, or the clone where nothing was ever fetched completely."""
        if not self.exists:
            shutil.rmtree(self.folder)
            return
        for file in (*self.folder.rglob("*.lock"), *self.folder.rglob("tmp_*")):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return git(f"--git-dir={self.folder}", *arguments, stdin=stdin)

    def _output(self, *arguments: str, stdin: bytes | IO[bytes] = b"") -> AbstractContextManager[BufferedReader]:
        return git_output(f"--git-dir={self.folder}", *arguments, stdin=stdin)


def restrict_to_owner(folder: Path) -> None:
    """Let only the owner enter the clones in a folder: they hold names and e-mail addresses."""
    for clone in _clones_in(folder):
        if clone.stat().st_mode & 0o077:
            clone.chmod(0o700)


def count_and_size(folder: Path) -> tuple[int, int]:
    """Return the number of clones in a folder and their total size in bytes."""
    found = _clones_in(folder)
    return len(found), sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())


def _clones_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.git") if path.is_dir()]


def _lines(shas: Iterable[str]) -> bytes:
    return "".join(f"{sha}\n" for sha in shas).encode()


def _pairs(parents: Mapping[str, Sequence[str]]) -> bytes:
    """Return lines of a commit and its first parent, if any, for `git diff-tree --stdin`."""
    return _lines(" ".join((sha, *first)) for sha, first in parents.items())
