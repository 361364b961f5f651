"""Histories by git itself: bare partial clones that are fetched again, and what their commits say.

Nothing but ``git`` is run, with arguments that no address can turn into options, without hooks, prompts, configuration
of this machine, or protocols other than https, ssh and file. A clone has commits only; trees and blobs come when a
commit's changes are asked for.
"""

import codecs
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.parallel import parallel_map

HEAD = "refs/dlbug/head"
_REWRITTEN = "refs/dlbug/rewritten"
#: How long git may take for a look at a remote, and for anything else.
_LOOK_SECONDS = 120
_SECONDS = 1800
#: From so many commits on, what they change is asked of one process more.
_WORTH_A_PROCESS = 200
#: So much of a disk stays free.
_FREE_BYTES = 1 << 30
_OPTIONS = (
    "-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always",
    "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always", "-c", "safe.directory=*",
)  # fmt: skip
_DIFF = ("--find-renames", "--no-ext-diff", "--no-textconv", "--root", "-r")
#: What Python takes for encodings of text, and nobody else does.
_OF_PYTHON = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
#: Of a person's line in a commit, the address and the seconds since 1970; and what no table can hold of a text.
_ADDRESS = re.compile(rb"<([^<>]*)>")
_SECONDS_OF = re.compile(rb"> (-?\d+) [+-]\d{4}$")
_NOT_HELD = re.compile(r"[\0\ud800-\udfff]")
#: The process groups of every git that runs now.
_running: set[int] = set()
#: What git says of commits that a remote does not have (any more), or does not give away.
_LOST = re.compile(r"not our ref|unadvertised object")
#: What git says of repositories that are not there (any more), and of those that may not be seen.
_GONE = re.compile(r"not found|does not exist|does not appear to be a git repository|could not read Username", re.I)
_BLOCKED = re.compile(r"\b(403|451)\b|access denied|permission denied", re.I)


@dataclass(frozen=True)
class RemoteState:
    """What a look at a remote repository found: its state (ok, gone, empty, blocked), and its head if it has one."""

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

    def look(self) -> RemoteState:
        """Ask the remote for its head, and nothing else."""
        try:
            reply = _git("ls-remote", "--symref", "--", self._remote, "HEAD", seconds=_LOOK_SECONDS)
        except GitError as error:
            if _BLOCKED.search(str(error)):
                return RemoteState("blocked")
            if _GONE.search(str(error)):
                return RemoteState("gone")
            raise
        said = reply.decode(errors="replace")
        branch = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", said, re.M)
        sha = re.search(r"^([0-9a-f]{40})\tHEAD$", said, re.M)
        if sha is None:
            return RemoteState("empty", branch and branch.group(1))
        return RemoteState("ok", branch and branch.group(1), sha.group(1))

    @property
    def is_there(self) -> bool:
        """Whether anything was ever fetched."""
        return (self.folder / HEAD).exists() or (self.folder / "packed-refs").exists()

    def head(self) -> str | None:
        """The head that was fetched last."""
        if not self.is_there:
            return None
        try:
            return self._run("rev-parse", "--verify", "--quiet", HEAD).decode().strip()
        except GitError:
            return None

    def fetch(self, sha: str) -> None:
        """Fetch the history up to a head that :meth:`look` found. What was fetched before is kept, also where the
        branch was rewritten. Raises :class:`GitError`, also where the disk is nearly full."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < _FREE_BYTES:
            raise GitError(f"only {free >> 20} MiB are free at {self.folder.parent}: free 1 GiB")
        for lock in self.folder.rglob("*.lock"):  # of a process that was killed: there is only one at a time
            lock.unlink()
        if not self.is_there:
            _git("init", "--quiet", "--bare", "--", str(self.folder))
        # Another repository may bear the name that it had when it was fetched last.
        self._run("config", "remote.origin.url", self._remote)
        before = self.head()
        self._fetch(sha, HEAD)
        if before and not self.is_ancestor(before, sha):
            self._run("update-ref", f"{_REWRITTEN}/{before}", before)

    def lost(self, heads: Sequence[str]) -> list[str]:
        """Which of these heads from before a branch was rewritten are not here, and cannot be fetched again, since the
        remote has them no more."""
        kept = self._run("for-each-ref", "--format=%(objectname)", _REWRITTEN).decode().split()
        return [sha for sha in heads if sha not in kept and not self._is_fetched(sha, f"{_REWRITTEN}/{sha}")]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether a commit is reached by another one."""
        try:
            self._run("merge-base", "--is-ancestor", "--", older, newer)
        except GitError:
            return False
        return True

    def commits(self, head: str, known: Sequence[str] = ()) -> Iterator[Commit]:
        """Every commit that ``head`` reaches and that no ``known`` one does, in git's order."""
        shas = self._run("rev-list", "--end-of-options", head, *(f"^{sha}" for sha in known))
        stored = self._run("cat-file", "--batch", "--buffer", stdin=shas)
        position = 0
        while position < len(stored):
            end = stored.index(b"\n", position)
            sha, _, size = stored[position:end].decode().split(" ")
            yield _commit(sha, stored[end + 1 : end + 1 + int(size)])
            position = end + 1 + int(size) + 1

    def change(self, sha: str) -> Change:
        """What a commit changes, with renames recognized as GitHub does."""
        return next(self.changes([sha]))

    def changes(self, shas: Sequence[str]) -> Iterator[Change]:
        """What each of these commits changes, with renames recognized as GitHub does."""
        parents = self._first_parents(shas)
        numbers = self.numstat(parents)
        for sha in shas:
            patch = self._run("diff-tree", *_DIFF, "-p", "--no-commit-id", "--end-of-options", *parents[sha], sha)
            hunks = _hunks(patch.decode("utf-8", "replace"))
            files = numbers[sha]
            names = ((old, new) for _, _, old, new in files)
            yield Change(
                len(files),
                sum(added for added, _, _, _ in files),
                sum(deleted for _, deleted, _, _ in files),
                excerpt((*name, own) for name, own in zip(names, hunks, strict=True)),
            )

    def numstat(self, parents: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[int, int, str, str]]]:
        """Lines added and deleted (0 in binary files), name before and after, of each file that commits change, each
        against its first parent, if it has one; of many commits in a process for each processor."""
        asked = [" ".join((sha, *first)) for sha, first in parents.items()]
        size = max(_WORTH_A_PROCESS, ceil(len(asked) / (os.cpu_count() or 1)))
        parts = parallel_map(self._numstat, (asked[at : at + size] for at in range(0, len(asked), size)))
        return {sha: files for part in parts for sha, files in part.items()}

    def _numstat(self, asked: Sequence[str]) -> dict[str, list[tuple[int, int, str, str]]]:
        stdin = "".join(f"{line}\n" for line in asked).encode()
        return _numstat(self._run("diff-tree", *_DIFF, "--numstat", "-z", "--stdin", "--always", stdin=stdin))

    def _first_parents(self, shas: Sequence[str]) -> dict[str, list[str]]:
        """Of each commit, its first parent, if it has one."""
        asked = "".join(f"{sha}\n" for sha in shas).encode()
        lines = self._run("rev-list", "--parents", "--no-walk=unsorted", "--stdin", stdin=asked).decode().splitlines()
        return {own: parents[:1] for own, *parents in map(str.split, lines)}

    @property
    def _remote(self) -> str:
        """The address as git takes it: a path becomes file://, so that filters apply and nothing is linked."""
        if re.match(r"(https|ssh|file)://", self.address):
            return self.address
        if "://" in self.address or "::" in self.address:
            raise DlbugError(f"{self.address}: repositories are fetched by https, ssh or from a path, nothing else")
        return f"file://{Path(self.address).absolute()}"

    def _is_fetched(self, sha: str, name: str) -> bool:
        try:
            self._fetch(sha, name)
        except GitError as error:
            if _LOST.search(str(error)):
                return False
            raise
        return True

    def _fetch(self, sha: str, name: str) -> None:
        self._run("fetch", "--quiet", "--no-tags", "--force", "--filter=tree:0", "origin", f"+{sha}:{name}")

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return _git(f"--git-dir={self.folder}", *arguments, stdin=stdin)


def keep_to_owner(folder: Path) -> None:
    """Let nobody else into the clones in a folder, whoever may enter now: they hold names and addresses of people."""
    for clone in _clones_in(folder):
        if clone.stat().st_mode & 0o077:
            clone.chmod(0o700)


def weighed(folder: Path) -> tuple[int, int]:
    """How many clones are in a folder, and the bytes they take."""
    found = _clones_in(folder)
    return len(found), sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())


def _clones_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.git") if path.is_dir()]


def end_all() -> None:
    """End every git that runs now, whatever it is doing: for a program that is told to stop."""
    for group in tuple(_running):
        _end(group)


def _end(group: int) -> None:
    """End a git with the programs that talk for it."""
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
    with subprocess.Popen(  # noqa: S603 - no shell; what is not ours stands behind -- or --end-of-options
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
                _end(process.pid)
    if process.returncode:
        lines = errors.decode(errors="replace").splitlines()
        said = "; ".join(line for line in lines if line.startswith(("fatal: ", "error: ", "remote: ")))
        raise GitError(f"git {' '.join(arguments[:2])}: {said or f'exit code {process.returncode}'}")
    return output


def _numstat(content: bytes) -> dict[str, list[tuple[int, int, str, str]]]:
    """By commit, the files of `diff-tree --stdin --always --numstat -z`."""
    found: dict[str, list[tuple[int, int, str, str]]] = {}
    files: list[tuple[int, int, str, str]] = []
    fields = iter(content.decode("utf-8", "replace").split("\0")[:-1])
    for entry in fields:
        if "\t" not in entry:
            files = found.setdefault(entry, [])
            continue
        added, deleted, name = entry.split("\t", 2)
        names = (name, name) if name else (next(fields), next(fields))
        files.append((int(added.replace("-", "0")), int(deleted.replace("-", "0")), *names))
    return found


def _hunks(content: str) -> list[str]:
    """The hunks of each file of `diff-tree -p`."""
    hunks: list[str] = []
    before = ""
    # No line within a file's patch begins like this.
    parts = iter(re.split(r"^(diff --git .*\n)", content, flags=re.M)[1:])
    for name, patch in zip(parts, parts, strict=True):
        found = re.search(r"^@@ .*", patch, re.M | re.S)
        own = found.group() if found else ""
        if name == before and patch.startswith("new file mode "):
            # A file that became a link, or the other way round: git deletes it, and makes it anew.
            hunks[-1] += own
        else:
            hunks.append(own)
        before = name
    return hunks


def _commit(sha: str, content: bytes) -> Commit:
    header, _, body = content.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name:  # the lines of a signature begin with a space
            fields.setdefault(name, []).append(value)
    encoding = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    author, committer = fields.get(b"author", [b""])[0], fields.get(b"committer", [b""])[0]
    address = _ADDRESS.search(author)
    return Commit(
        sha,
        tuple(parent.decode() for parent in fields.get(b"parent", [])),
        _text(address.group(1) if address else author, encoding),
        _moment(author),
        _moment(committer),
        _text(body, encoding),
    )


def _text(content: bytes, encoding: str) -> str:
    """What is written there, as far as a table can hold it."""
    return _NOT_HELD.sub("\N{REPLACEMENT CHARACTER}", content.decode(_codec(encoding), "replace"))


@lru_cache(maxsize=64)
def _codec(encoding: str) -> str:
    """An encoding of text by its name, UTF-8 where the name is none that everybody knows."""
    try:
        b"text".decode(encoding, "replace")
        return "utf-8" if codecs.lookup(encoding).name in _OF_PYTHON else encoding
    except (LookupError, ValueError):
        return "utf-8"


def _moment(person: bytes) -> datetime | None:
    told = _SECONDS_OF.search(person)
    try:
        return datetime.fromtimestamp(int(told.group(1)), UTC).replace(tzinfo=None) if told else None
    except (OverflowError, ValueError, OSError):
        return None
