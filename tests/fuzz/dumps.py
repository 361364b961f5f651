"""Data dumps: a Posts.xml, plain and packed, and commits as git stores them."""

import gzip
import io
import random
import re
import zipfile
from pathlib import Path

import polars as pl

from dlbug_assets.stackoverflow.dump.extraction import extract
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, nasty
from support.dumps import HEAD, LINE, NEWER, OLDER, answer, question

_LIBRARIES = {"Keras": ["keras"], "Torch": ["torch", "pytorch"]}
_LAST = "\n</posts>\n"
#: What may begin something that goes on behind the line.
_OPENING = ("<!", "<?", "</posts", "]]>")


def _rows(notation: str) -> list[str]:
    rows = []
    for number in range(10, 40, 3):
        rows.append(question(number, "keras" if number % 2 else "torch", notation=notation, Title=f"title {number}"))
        rows.append(answer(number + 1, number))
        rows.append(answer(number + 2, number - 3, Body="&lt;p&gt; é 漢字 😀"))
    return rows


def _file(rows: list[str]) -> bytes:
    return (HEAD + LINE.join(rows) + _LAST).encode()


_EXAMPLES = [_file(_rows(NEWER)), _file(_rows(OLDER))]


class Dumps(Kind):
    """A Posts.xml: the questions whose lines are unchanged are read, if only other lines of rows were changed."""

    name = "dumps"

    def examples(self) -> list[bytes]:
        return _EXAMPLES

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.4:
            return mutate_bytes(choose, content)
        lines = content.split(b"\n")
        for _ in range(choose.randint(1, 4)):
            place = choose.randrange(2, len(lines) - 2)
            lines[place] = _mutate_row(choose, lines[place])
        return b"\n".join(lines)

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / "Posts.xml"
        path.write_bytes(content)
        self._extract(path, _untouched(content))

    @staticmethod
    def _extract(path: Path, untouched: set[int]) -> None:
        folders = {library: path.parent / library for library in _LIBRARIES}
        for folder in folders.values():
            folder.mkdir()
        reading = extract(path, _LIBRARIES, folders, min_score=6, created_from=None, created_until=None)
        found = {
            number
            for folder in folders.values()
            for file in folder.glob("questions-*.parquet")
            for number in pl.read_parquet(file)["post_id"]
        }
        assert reading.rows >= len(untouched), reading
        assert untouched <= found, f"{untouched - found} are lost"


def _mutate_row(choose: random.Random, line: bytes) -> bytes:
    """Return a row with other bytes, or with another value of an attribute."""
    values = list(re.finditer(rb'(?<=")[^"]*(?=")', line))
    if choose.random() < 0.5 or not values:
        return mutate_bytes(choose, line).replace(b"\n", b"")
    value = choose.choice(values)
    return (
        line[: value.start()] + nasty(choose).replace("\n", "").encode("utf-8", "surrogatepass") + line[value.end() :]
    )


def _untouched(content: bytes) -> set[int]:
    """Return the IDs of questions whose lines are as in the example, unless anything but rows was changed."""
    lines = content.split(b"\n")
    for example in _EXAMPLES:
        originals = example.split(b"\n")
        if len(lines) != len(originals) or [*lines[:2], *lines[-2:]] != [*originals[:2], *originals[-2:]]:
            continue
        same = [line for line, original in zip(lines, originals, strict=True) if line == original]
        changed = [line for line, original in zip(lines, originals, strict=True) if line != original]
        if len(same) < len(lines) / 2 or any(mark.encode() in line for line in changed for mark in _OPENING):
            continue
        ids = [re.findall(rb'<row Id="(\d+)"', line) for line in lines]
        repeated = {number for found in ids for number in found if sum(number in other for other in ids) > 1}
        return {
            int(match.group(1))
            for line in same
            if (match := re.match(rb'\s*<row Id="(\d+)" PostTypeId="1"', line)) and match.group(1) not in repeated
        }
    return set()


class Archives(Dumps):
    """A packed Posts.xml."""

    name = "archives"

    def examples(self) -> list[bytes]:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("Posts.xml"), _EXAMPLES[0], zipfile.ZIP_DEFLATED)
        return [packed.getvalue(), gzip.compress(_EXAMPLES[0], mtime=0)]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        return mutate_bytes(choose, content)

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / ("Posts.xml.gz" if content.startswith(b"\x1f\x8b") else "Posts.zip")
        path.write_bytes(content)
        self._extract(path, set())
