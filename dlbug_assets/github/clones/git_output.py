"""Parse what git prints: commit objects, line counts and patches. Nothing here runs git."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedReader

from dlbug_assets.clock import utc_naive
from dlbug_assets.github.commits import LONGEST_EXCERPT, Commit

#: Python's codecs that are not text encodings outside Python.
_PYTHON_CODECS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
#: The address and the Unix time in the author or committer line of a commit.
_ADDRESS = re.compile(rb"<([^<>]*)>")
#: As git finds it: after the last address. It is in UTC, whatever the zone behind it, which may be missing or wrong.
_UNIX_TIME = re.compile(rb">\s*(-?\d{1,18})(?!\d)[^>]*$")
#: Characters that a table cannot store.
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
#: More files than an excerpt can name, and more bytes of a line than it can have.
_NAMED_FILES = LONGEST_EXCERPT // len("diff --git a/f b/f\n") + 1
_LONGEST_LINE = 4 * LONGEST_EXCERPT + 1
_CHUNK = 1 << 20


@dataclass
class LineCounts:
    """The files and lines that a commit changes, and the first names of files before and after.

    There are as many names as an excerpt of the patch can contain.
    """

    files: int = 0
    additions: int = 0
    deletions: int = 0
    names: list[tuple[str, str]] = field(default_factory=list)


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
        tuple(parent.decode("ascii", "replace") for parent in fields.get(b"parent", [])),
        _decode(address.group(1) if address else author, encoding),
        _parse_date(author),
        _parse_date(committer),
        _decode(body, encoding),
    )


def parse_numstat(output: BufferedReader) -> dict[str, LineCounts]:
    """Parse `git diff-tree --stdin --always --numstat -z` into the counts of each commit."""
    counts: dict[str, LineCounts] = {}
    current = LineCounts()
    fields = _fields(output)
    for entry in fields:
        if "\t" not in entry:
            current = counts.setdefault(entry, LineCounts())
            continue
        added, deleted, name = entry.split("\t", 2)
        names = (name, name) if name else (next(fields), next(fields))
        current.files += 1
        current.additions += int(added.replace("-", "0"))  # a binary file has none
        current.deletions += int(deleted.replace("-", "0"))
        if len(current.names) < _NAMED_FILES:
            current.names.append(names)
    return counts


def parse_hunks(output: BufferedReader) -> Iterator[str]:
    """Parse `git diff-tree -p` into the hunks of each file; a binary or only renamed file has empty ones.

    Hunks end after the characters that an excerpt may have. Reading may stop at any file.
    """
    header, hunks, length = "", [], 0
    is_open = in_hunks = is_repeated = False
    for line in _beginnings_of_lines(output):
        text = line.decode("utf-8", "replace")
        # A file that became a symbolic link, or the reverse: git prints a deletion and a creation.
        is_second = is_repeated and text.startswith("new file mode ")
        if is_repeated and not is_second:
            yield from ["".join(hunks)] if is_open else []
            hunks, length, is_open = [], 0, True
        is_repeated = text == header
        if text.startswith("diff --git ") and not is_repeated:  # no line within a file's patch begins like this
            yield from ["".join(hunks)] if is_open else []
            header, hunks, length, is_open = text, [], 0, True
        in_hunks = (in_hunks and not text.startswith("diff --git ")) or text.startswith("@@ ")
        if is_open and in_hunks:
            hunks.append(text)
            length += len(text)
            if length > LONGEST_EXCERPT:
                yield "".join(hunks)
                is_open = False
    yield from ["".join(hunks)] if is_open else []


def _fields(output: BufferedReader) -> Iterator[str]:
    """Yield what ends with a NUL."""
    rest = b""
    while chunk := output.read1(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        for content in whole:
            yield content.decode("utf-8", "replace")


def _beginnings_of_lines(output: BufferedReader) -> Iterator[bytes]:
    """Yield lines, of which very long ones are cut after the characters that an excerpt may have."""
    while line := output.readline(_LONGEST_LINE):
        yield line
        while not line.endswith(b"\n") and (line := output.readline(_LONGEST_LINE)):
            pass


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
