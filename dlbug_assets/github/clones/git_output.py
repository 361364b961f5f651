"""Parse what git prints: commit objects, line counts and patches. Nothing here runs git."""

import codecs
import re
from datetime import UTC, datetime
from functools import lru_cache

from dlbug_assets.clock import utc_naive
from dlbug_assets.github.commits import Commit

#: Lines added, lines deleted (both 0 in a binary file), name before and name after.
FileCounts = tuple[int, int, str, str]

#: Python's codecs that are not text encodings outside Python.
_PYTHON_CODECS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
#: The address and the Unix time in the author or committer line of a commit.
_ADDRESS = re.compile(rb"<([^<>]*)>")
_UNIX_TIME = re.compile(rb"> (-?\d+) [+-]\d{4}$")
#: Characters that a table cannot store.
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")


def parse_commit(sha: str, content: bytes) -> Commit:
    """Parse the commit object that `git cat-file` prints.

    A date that is malformed or out of Python's range is None. Bytes that are not valid in the commit's encoding become
    U+FFFD; an unknown encoding is read as UTF-8.
    """
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
        _decode(address.group(1) if address else author, encoding),
        _parse_date(author),
        _parse_date(committer),
        _decode(body, encoding),
    )


def parse_numstat(content: bytes) -> dict[str, list[FileCounts]]:
    """Parse `git diff-tree --stdin --always --numstat -z` into the counts of each file, by commit."""
    counts: dict[str, list[FileCounts]] = {}
    files: list[FileCounts] = []
    fields = iter(content.decode("utf-8", "replace").split("\0")[:-1])
    for entry in fields:
        if "\t" not in entry:
            files = counts.setdefault(entry, [])
            continue
        added, deleted, name = entry.split("\t", 2)
        names = (name, name) if name else (next(fields), next(fields))
        files.append((int(added.replace("-", "0")), int(deleted.replace("-", "0")), *names))
    return counts


def parse_hunks(content: str) -> list[str]:
    """Parse `git diff-tree -p` into the hunks of each file; a binary or only renamed file has empty ones."""
    hunks: list[str] = []
    previous = ""
    # No line within a file's patch begins like this.
    parts = iter(re.split(r"^(diff --git .*\n)", content, flags=re.M)[1:])
    for name, patch in zip(parts, parts, strict=True):
        found = re.search(r"^@@ .*", patch, re.M | re.S)
        own = found.group() if found else ""
        if name == previous and patch.startswith("new file mode "):
            # A file that became a symbolic link, or the reverse: git prints a deletion and a creation.
            hunks[-1] += own
        else:
            hunks.append(own)
        previous = name
    return hunks


def _decode(content: bytes, encoding: str) -> str:
    """Decode text; what is invalid, and what a table cannot store, becomes U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", content.decode(_codec(encoding), "replace"))


@lru_cache(maxsize=64)
def _codec(encoding: str) -> str:
    """Return the codec for a commit's encoding: UTF-8 where the name is unknown or known to Python only."""
    try:
        b"text".decode(encoding, "replace")
        return "utf-8" if codecs.lookup(encoding).name in _PYTHON_CODECS else encoding
    except (LookupError, ValueError):
        return "utf-8"


def _parse_date(person: bytes) -> datetime | None:
    found = _UNIX_TIME.search(person)
    try:
        return utc_naive(datetime.fromtimestamp(int(found.group(1)), UTC)) if found else None
    except (OverflowError, ValueError, OSError):
        return None
