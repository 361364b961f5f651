"""Real git repositories, created by git."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path


def git(path: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
    """Run git in a repository, as Jane."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=path,
        input=stdin,
        capture_output=True,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "Jane Doe",
            "GIT_AUTHOR_EMAIL": "jane.doe@example.org",
            "GIT_COMMITTER_NAME": "Jane Doe",
            "GIT_COMMITTER_EMAIL": "jane.doe@example.org",
            **environment,
        },
    )
    return done.stdout.decode(errors="replace").strip()


def overwrite_middle(file: Path) -> None:
    """Replace 200 bytes in the middle of a file by zeros."""
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle - 100 : middle + 100] = bytes(200)
    file.write_bytes(content)


class GitRepository:
    """A repository with a work tree in ``path``, created where it does not exist; commits have given dates."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        self.path = path
        if path.exists():
            return
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", f"--object-format={object_format}")
        # As on servers where partial clones can fetch missing objects.
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def git(self, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
        """Run git in the repository."""
        return git(self.path, *arguments, stdin=stdin, **environment)

    def commit(self, message: str, files: Mapping[str, str | bytes] | None = None, at: int = 1_500_000_000) -> str:
        """Commit files (or nothing), written at a Unix time and committed a minute later; return the hash."""
        for name, content in (files or {}).items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        if files:
            self.git("add", "--", *files)
        when = f"{at} +0200"
        self.git(
            "commit", "-q", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-F", "-",
            stdin=message.encode(), GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=f"{at + 60} +0200",
        )  # fmt: skip
        return self.git("rev-parse", "HEAD")

    def many(self, messages: Iterable[str], at: int = 1_500_000_000) -> None:
        """Create a commit of one line with each message, by one process, a second apart."""
        stream = []
        for number, message in enumerate(messages):
            text, line = message.encode(), f"{number} of {at}\n".encode()
            person = f"Jane Doe <jane.doe@example.org> {at + number} +0000"
            stream.append(f"commit refs/heads/main\ncommitter {person}\ndata {len(text)}\n".encode() + text + b"\n")
            stream.append(b"from refs/heads/main^0\n" if number == 0 else b"")
            stream.append(f"M 100644 inline many.py\ndata {len(line)}\n".encode() + line + b"\n")
        self.git("fast-import", "--quiet", stdin=b"".join(stream))
        self.git("reset", "-q", "--hard")

    def merge(self, branch: str, message: str, at: int = 1_500_000_000) -> str:
        """Merge a branch, always with a merge commit; return its hash."""
        when = f"{at} +0000"
        self.git(
            "merge", "-q", "--no-ff", "-m", message, branch, GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when
        )  # fmt: skip
        return self.git("rev-parse", "HEAD")

    def rewrite(self, message: str) -> str:
        """Replace the last commit by another one; return its hash."""
        self.git("reset", "-q", "--hard", "HEAD~1")
        return self.commit(message)

    def collect_garbage(self) -> None:
        """Delete the commits that no branch reaches."""
        self.git("reflog", "expire", "--expire=now", "--all")
        self.git("gc", "--quiet", "--prune=now")

    def clone(self, path: Path, *options: str) -> "GitRepository":
        """Clone the repository with options of `git clone`, as over a network, without a work tree."""
        self.git("clone", "-q", "--no-checkout", *options, f"file://{self.path}", str(path))
        return GitRepository(path)

    def damage(self) -> None:
        """Pack all objects and overwrite the middle of the pack, as a failing disk may."""
        self.git("repack", "-q", "-a", "-d")
        (pack,) = self.path.glob(".git/objects/pack/*.pack")
        overwrite_middle(pack)

    def raw(self, content: bytes) -> str:
        """Store bytes as a commit, even an invalid one, and make it the head; return its hash."""
        sha = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=content)
        self.git("update-ref", "HEAD", sha)
        return sha
