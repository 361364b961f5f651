"""Run git: clone repositories without their files, fetch what is new, and read commits and changes.

Nothing except ``git`` is run. No address can become an option, and git uses no hooks, prompts, configuration of this
machine, or protocols other than https, ssh and file. A clone holds commits only; git fetches trees and blobs when the
changes of a commit are read.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones.git_output import FileCounts, parse_commit, parse_hunks, parse_numstat
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.parallel import parallel_map

HEAD = "refs/dlbug/head"
_REWRITTEN = "refs/dlbug/rewritten"
#: Time limits of `git ls-remote`, and of any other command.
_LS_REMOTE_SECONDS = 120
_SECONDS = 1800
#: Another process is started for at least this number of commits.
_COMMITS_PER_PROCESS = 200
#: Disk space that a fetch must leave free.
_FREE_BYTES = 1 << 30
_OPTIONS = (
    "-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always",
    "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always", "-c", "safe.directory=*",
)  # fmt: skip
_DIFF = ("--find-renames", "--no-ext-diff", "--no-textconv", "--root", "-r")
#: The process group of every git that is running.
_running: set[int] = set()
#: git's errors where a remote doesn't have a commit any more, or doesn't serve it.
_MISSING_COMMIT = re.compile(r"not our ref|unadvertised object")
#: git's errors where a repository doesn't exist any more, and where access is denied.
_GONE = re.compile(r"not found|does not exist|does not appear to be a git repository|could not read Username", re.I)
_BLOCKED = re.compile(r"\b(403|451)\b|access denied|permission denied", re.I)


@dataclass(frozen=True)
class RemoteState:
    """The state of a remote repository (ok, gone, empty, blocked), and its default branch and head if it has them."""

    state: str
    branch: str | None = None
    sha: str | None = None


class GitError(DlbugError):
    """git failed; the message quotes it."""


@dataclass(frozen=True)
class Clone:
    """A bare clone in ``folder`` of the repository at ``address`` (an address or a path)."""

    folder: Path
    address: str

    def remote_state(self) -> RemoteState:
        """Ask the remote for its head, and fetch nothing.

        Raises :class:`GitError` where git fails for another reason than a repository that is gone or blocked.
        """
        try:
            reply = _git("ls-remote", "--symref", "--", self._remote, "HEAD", seconds=_LS_REMOTE_SECONDS)
        except GitError as error:
            if _BLOCKED.search(str(error)):
                return RemoteState("blocked")
            if _GONE.search(str(error)):
                return RemoteState("gone")
            raise
        text = reply.decode(errors="replace")
        branch = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", text, re.M)
        sha = re.search(r"^([0-9a-f]{40})\tHEAD$", text, re.M)
        if sha is None:
            return RemoteState("empty", branch and branch.group(1))
        return RemoteState("ok", branch and branch.group(1), sha.group(1))

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
        where git fails or less than 1 GiB of the disk is free.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < _FREE_BYTES:
            raise GitError(f"only {free >> 20} MiB are free at {self.folder.parent}: free 1 GiB")
        for lock in self.folder.rglob("*.lock"):  # of a process that was killed: only one runs at a time
            lock.unlink()
        if not self.exists:
            _git("init", "--quiet", "--bare", "--", str(self.folder))
        # Another repository may have the name now that this one had at the last fetch.
        self._run("config", "remote.origin.url", self._remote)
        previous = self.head()
        self._fetch(sha, HEAD)
        if previous and not self.is_ancestor(previous, sha):
            self._run("update-ref", f"{_REWRITTEN}/{previous}", previous)

    def lost_heads(self, heads: Sequence[str]) -> list[str]:
        """Return those heads of rewritten branches that neither this clone nor the remote has any more.

        Those that only the remote has are fetched. Raises :class:`GitError` where the remote cannot be asked.
        """
        kept = self._run("for-each-ref", "--format=%(objectname)", _REWRITTEN).decode().split()
        return [sha for sha in heads if sha not in kept and not self._is_fetched(sha, f"{_REWRITTEN}/{sha}")]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether one commit is reachable from another."""
        try:
            self._run("merge-base", "--is-ancestor", "--", older, newer)
        except GitError:
            return False
        return True

    def commits(self, head: str, known: Sequence[str] = ()) -> Iterator[Commit]:
        """Yield the commits that are reachable from ``head`` and from none of ``known``, in the order of rev-list."""
        shas = self._run("rev-list", "--end-of-options", head, *(f"^{sha}" for sha in known))
        objects = self._run("cat-file", "--batch", "--buffer", stdin=shas)
        position = 0
        while position < len(objects):
            end = objects.index(b"\n", position)
            sha, _, size = objects[position:end].decode().split(" ")
            yield parse_commit(sha, objects[end + 1 : end + 1 + int(size)])
            position = end + 1 + int(size) + 1

    def change(self, sha: str) -> Change:
        """Return what a commit changes against its first parent, with renames detected as GitHub does."""
        return next(self.changes([sha]))

    def changes(self, shas: Sequence[str]) -> Iterator[Change]:
        """Yield what each commit changes against its first parent, with renames detected as GitHub does."""
        parents = self._first_parents(shas)
        counts = self.numstat(parents)
        for sha in shas:
            patch = self._run("diff-tree", *_DIFF, "-p", "--no-commit-id", "--end-of-options", *parents[sha], sha)
            hunks = parse_hunks(patch.decode("utf-8", "replace"))
            files = counts[sha]
            names = ((old, new) for _, _, old, new in files)
            yield Change(
                len(files),
                sum(added for added, _, _, _ in files),
                sum(deleted for _, deleted, _, _ in files),
                excerpt((*name, own) for name, own in zip(names, hunks, strict=True)),
            )

    def numstat(self, parents: Mapping[str, Sequence[str]]) -> dict[str, list[FileCounts]]:
        """Count the lines that commits change, by commit and file; ``parents`` has the first parent of each, if any.

        Large numbers of commits are divided among as many processes as there are processors.
        """
        lines = [" ".join((sha, *first)) for sha, first in parents.items()]
        size = max(_COMMITS_PER_PROCESS, ceil(len(lines) / (os.cpu_count() or 1)))
        parts = parallel_map(self._numstat, (lines[at : at + size] for at in range(0, len(lines), size)))
        return {sha: files for part in parts for sha, files in part.items()}

    def _numstat(self, lines: Sequence[str]) -> dict[str, list[FileCounts]]:
        stdin = "".join(f"{line}\n" for line in lines).encode()
        return parse_numstat(self._run("diff-tree", *_DIFF, "--numstat", "-z", "--stdin", "--always", stdin=stdin))

    def _first_parents(self, shas: Sequence[str]) -> dict[str, list[str]]:
        """Return a list with the first parent of each commit, empty for a root commit."""
        stdin = "".join(f"{sha}\n" for sha in shas).encode()
        lines = self._run("rev-list", "--parents", "--no-walk=unsorted", "--stdin", stdin=stdin).decode().splitlines()
        return {own: parents[:1] for own, *parents in map(str.split, lines)}

    @property
    def _remote(self) -> str:
        """The address as git takes it: a path becomes file://, so that filters apply and nothing is hard-linked."""
        if re.match(r"(https|ssh|file)://", self.address):
            return self.address
        if "://" in self.address or "::" in self.address:
            raise DlbugError(f"{self.address}: repositories are fetched by https, ssh or from a path, nothing else")
        return f"file://{Path(self.address).absolute()}"

    def _is_fetched(self, sha: str, name: str) -> bool:
        try:
            self._fetch(sha, name)
        except GitError as error:
            if _MISSING_COMMIT.search(str(error)):
                return False
            raise
        return True

    def _fetch(self, sha: str, name: str) -> None:
        self._run("fetch", "--quiet", "--no-tags", "--force", "--filter=tree:0", "origin", f"+{sha}:{name}")

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return _git(f"--git-dir={self.folder}", *arguments, stdin=stdin)


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


def kill_all() -> None:
    """Kill every git that is running, for a program that is being stopped."""
    for group in tuple(_running):
        _kill(group)


def _kill(group: int) -> None:
    """Kill a git together with the transport helpers that it started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _git(*arguments: str, stdin: bytes = b"", seconds: int | None = None) -> bytes:
    seconds = seconds or _SECONDS
    program = shutil.which("git")
    if program is None:
        raise DlbugError("git is not installed: histories are read with it. Install the package git.")
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "TMPDIR") if name in os.environ},
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }
    with subprocess.Popen(  # noqa: S603 - no shell; untrusted arguments come after -- or --end-of-options
        [program, *_OPTIONS, *arguments], env=environment, process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        _running.add(process.pid)
        try:
            output, errors = process.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]} took longer than {seconds} seconds and was ended") from None
        finally:
            _running.discard(process.pid)
            if process.returncode is None:
                _kill(process.pid)
    if process.returncode:
        lines = errors.decode(errors="replace").splitlines()
        reason = "; ".join(line for line in lines if line.startswith(("fatal: ", "error: ", "remote: ")))
        raise GitError(f"git {' '.join(arguments[:2])}: {reason or f'exit code {process.returncode}'}")
    return output
