"""Reading the data dump on Spark: the same posts, irregularities and order as on one machine, whatever its size.

What belongs here: how the bytes of a Posts.xml are shared out, and how what the executors find becomes a stream of rows
again. What doesn't: what a row says and which rows a library gets; that is dump.py's, here and there.

Spark splits the file at `<row `, as dump_file.py does, so that an executor sees whole pieces with the block of the file
they stand in. There they are looked at by the very Rows that a file is read with. Two passes: the first finds what may
be a question, what nobody can place, what is wrong, and how many rows each block has; the second finds the answers to
the questions in scope, whose numbers go to every executor. Both are sorted by their place in the file and read on this
machine by extraction.extract, the only judge of what is taken, of Ids that come twice, and of order. The count of the rows
before a block gives each row its position; the bytes that came are held against the file's length, so that nothing is
lost in silence.

Not to be had: progress in bytes; a bound on the memory that a damaged row takes (an executor holds a piece as a whole,
up to Spark's 2 GB); archives, which cannot be split.
"""

import json
import logging
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from itertools import accumulate, chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.spark import session
from dlbug_assets.stackoverflow.dump import extraction
from dlbug_assets.stackoverflow.dump.extraction import DumpReading, Scope
from dlbug_assets.stackoverflow.dump.rows import Note, Row, Rows, note_nothing

logger = logging.getLogger(__name__)

_ROW = b"<row "
#: What is at the beginning of some files, and what Spark leaves out of the first piece.
_BYTE_ORDER_MARK = 3
_PACKED = (".7z", ".xz", ".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate", ".zip")
#: Pieces that are looked at together, and bytes of rows that go back together.
_PIECES = 256
_BATCH_BYTES = 8 << 20
_HEAD = 4 << 10
_NAME_IT = "Name the Posts.xml of Stack Overflow's data dump, unpacked, where Spark reads it."
#: A kind (row, note, block, refused), its place (block, and number of the row in it), and what there is to it: the row,
#: why it was noted and the bytes this is about, and the number of a question in scope.
_FOUND = "kind string, block long, number long, content binary, reason string, about binary, question long"


def extract(
    path: Path | str,
    libraries: Mapping[str, Sequence[str]],
    folders: Mapping[str, Path],
    *,
    address: str,
    min_score: int,
    created_from: date | None,
    created_until: date | None,
) -> DumpReading:
    """What :func:`extraction.extract` does, with Spark at ``address``; ``path`` may be any address that Spark reads.

    Raises :class:`DlbugError`, also for what :func:`dlbug_assets.ingest.spark.session` does.
    """
    _insist_on_plain(str(path))
    with session(address) as spark:
        return extract_in(
            spark,
            path,
            libraries,
            folders,
            min_score=min_score,
            created_from=created_from,
            created_until=created_until,
        )


def extract_in(
    spark: Any,
    path: Path | str,
    libraries: Mapping[str, Sequence[str]],
    folders: Mapping[str, Path],
    *,
    min_score: int,
    created_from: date | None,
    created_until: date | None,
) -> DumpReading:
    """The same in a session that is open."""
    name = str(path)
    tags = {tag for own in libraries.values() for tag in own}
    scope = Scope(min_score, created_from or date.min, created_until or date.max)
    with ExitStack() as kept:
        found = _Found(spark, name, tags, scope, kept=kept)
        return extraction.extract(
            Path(name),
            libraries,
            folders,
            min_score=min_score,
            created_from=created_from,
            created_until=created_until,
            opened=found.opened,
        )


class _Found:
    """What the executors found in a dump; it can be gone through as often as needed, as long as it is ``kept``."""

    def __init__(self, spark: Any, name: str, tags: Collection[str], scope: Scope, *, kept: ExitStack) -> None:
        where = _as_spark_names(name)
        length = _length(spark, name, where)
        _insist_on_a_dump(spark, name, where)
        pieces = spark.read.text(where, lineSep=_ROW.decode()).selectExpr(
            "cast(value as binary) as piece", "_metadata.file_block_start as block"
        )
        logger.info("%s: Spark reads %.1f GB", name, length / 1e9)
        first = pieces.mapInArrow(lambda batches: _questions(batches, name, tags, scope), _FOUND).persist()
        kept.callback(first.unpersist)
        self.blocks = [
            (row.block, json.loads(row.content))
            for row in first.where("kind = 'block'").select("block", "content").orderBy("block").collect()
        ]
        for refused in first.where("kind = 'refused'").select("reason").collect():
            raise DlbugError(refused.reason)
        numbers = first.where("question is not null").select("question").distinct().collect()
        taken = frozenset(row.question for row in numbers)
        logger.info("%s: %d questions in scope; reading their answers", name, len(taken))
        second = pieces.mapInArrow(lambda batches: _answers(batches, name, taken), _FOUND)
        everything = first.where("kind in ('row', 'note')").unionByName(second).persist()
        kept.callback(everything.unpersist)
        self.stream = everything.orderBy("block", "number", "kind")  # what is noted of a row stands before it
        self.count = sum(block["rows"] for _, block in self.blocks)
        self.is_begun_at_the_end = self._is_begun_at_the_end(name, length)
        if not self.count and not self.is_begun_at_the_end:
            raise DlbugError(f"{name} has no rows. {_NAME_IT}")

    def opened(self, _path: Path, _tags: Collection[str], _parents: Container[int], note: Note) -> Rows:
        """The rows in the order of the file, as extraction.extract asks for them."""
        return _Gone(self, note)

    def _is_begun_at_the_end(self, name: str, length: int) -> bool:
        """Whether the file ends with a `<row `: of what is behind it, nothing, Spark makes no piece."""
        pieces = sum(block["pieces"] for _, block in self.blocks)
        missing = length - sum(block["bytes"] for _, block in self.blocks) - len(_ROW) * (pieces - 1)
        if missing not in (0, _BYTE_ORDER_MARK, len(_ROW), len(_ROW) + _BYTE_ORDER_MARK):
            raise DlbugError(f"{name} was not read as a whole: {missing} of {length} bytes are missing. Did it change?")
        return missing >= len(_ROW)


class _Gone(Rows):
    """Going through what was found once; what is known of the file as a whole is known before."""

    def __init__(self, found: _Found, note: Note) -> None:
        super().__init__(Path(), (), (), note)
        self._found = found
        self.count = found.count
        self.planted = sum(block["planted"] for _, block in found.blocks)
        self.notations = {notation for _, block in found.blocks for notation in block["notations"]}
        self.is_complete = found.blocks[-1][1]["complete"] and not found.is_begun_at_the_end

    def again(self) -> Rows:
        return _Gone(self._found, note_nothing)

    def __iter__(self) -> Iterator[Row]:
        counts = [block["rows"] for _, block in self._found.blocks]
        before = dict(zip((start for start, _ in self._found.blocks), accumulate(counts, initial=0), strict=False))
        for found in self._found.stream.toLocalIterator():
            row = Row(before[found.block] + found.number, bytes(found.content))
            if found.kind == "note":
                self._note(row, found.reason, bytes(found.about))
            else:
                yield row
        if self._found.is_begun_at_the_end:
            yield from self.row(b"", 0)


class _Block(Rows):
    """The rows of a block of a dump, of its pieces; positions are counted within it."""

    def __init__(
        self, pieces: Iterator[bytes], name: str, tags: Collection[str], parents: Container[int], note: Note
    ) -> None:
        super().__init__(Path(name), tags, parents, note)
        self._pieces = pieces
        self.pieces = self.bytes = 0

    def __iter__(self) -> Iterator[Row]:
        first = next(self._weighed(), None)
        if first is not None:
            chunks = self._chunks(first)
            head = next(chunks)
            yield from self._rows(chain([head], chunks), 0, head)

    def skip_head(self) -> None:
        """Leave out what stands before the first row of the file."""
        next(self._weighed())

    def _weighed(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.pieces += 1
            self.bytes += len(piece)
            yield piece

    def _chunks(self, first: bytes) -> Iterator[bytes]:
        pieces = chain([first], self._weighed())
        while some := list(islice(pieces, _PIECES)):
            yield _ROW + _ROW.join(some)


def _questions(batches: Iterator[Any], name: str, tags: Collection[str], scope: Scope) -> Iterator[Any]:
    """On an executor, of each block: what may be a question or cannot be placed, what is wrong, and what it holds."""

    def found(block: int, pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        noted: list[dict[str, Any]] = []

        def note(row: Row, reason: str, about: bytes) -> None:
            noted.append(_entry("note", block, row, reason=reason, about=about[:_HEAD]))

        rows = _Block(pieces, name, tags, (), note)
        if block == 0:
            rows.skip_head()
        try:
            for row in rows:
                if _is_question(row):
                    noted.append(_entry("row", block, row, question=extraction.question_number(row, tags, scope)))
                elif row.number(b"ParentId") is None:
                    noted.append(_entry("row", block, row))
                yield from noted
                noted.clear()
        except DlbugError as error:
            yield _entry("refused", block, reason=str(error))
        yield from noted
        summary = {
            "rows": rows.count, "planted": rows.planted, "notations": sorted(rows.notations),
            "complete": rows.is_complete, "pieces": rows.pieces, "bytes": rows.bytes,
        }  # fmt: skip
        yield _entry("block", block, Row(0, json.dumps(summary).encode()))

    return _per_block(batches, found)


def _answers(batches: Iterator[Any], name: str, taken: frozenset[int]) -> Iterator[Any]:
    """On an executor, of each block: the answers to these questions, but for what may be a question itself."""

    def found(block: int, pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        rows = _Block(pieces, name, (), taken, note_nothing)
        if block == 0:
            rows.skip_head()
        for row in rows:
            if row.number(b"ParentId") in taken and not _is_question(row):
                yield _entry("row", block, row)

    return _per_block(batches, found)


def _is_question(row: Row) -> bool:
    return row.written(b"PostTypeId") != b"2" and bool(row.written(b"Tags"))


def _per_block(
    batches: Iterator[Any], found: Callable[[int, Iterator[bytes]], Iterator[dict[str, Any]]]
) -> Iterator[Any]:
    """What is found in each block, as record batches of some megabytes."""
    import pyarrow as pa  # noqa: PLC0415 - on the executor

    types = {"string": pa.string(), "long": pa.int64(), "binary": pa.binary()}
    schema = pa.schema([(name, types[type_]) for name, type_ in (column.split() for column in _FOUND.split(", "))])
    columns = ((batch.column("block").to_pylist(), batch.column("piece").to_pylist()) for batch in batches)
    pieces = chain.from_iterable(zip(blocks, own, strict=True) for blocks, own in columns)
    entries: list[dict[str, Any]] = []
    weight = 0
    for block, pairs in groupby(pieces, itemgetter(0)):
        for entry in found(block, (piece for _, piece in pairs)):
            entries.append(entry)
            weight += len(entry["content"] or b"")
            if weight >= _BATCH_BYTES:
                yield pa.RecordBatch.from_pylist(entries, schema)
                entries, weight = [], 0
    yield pa.RecordBatch.from_pylist(entries, schema)


def _entry(kind: str, block: int, row: Row | None = None, **more: Any) -> dict[str, Any]:
    number, content = row[:2] if row else (None, None)
    return {"kind": kind, "block": block, "number": number, "content": content, **more}


def _insist_on_plain(name: str) -> None:
    if name.lower().endswith(_PACKED):
        raise DlbugError(
            f"{name} is packed, and what is packed cannot be shared out. Unpack it to where Spark reads it (7z x) and "
            "name the Posts.xml; or unset DLBUG_SPARK to have it unpacked and read by this machine."
        )


def _as_spark_names(name: str) -> str:
    """A name that Spark takes as it stands: signs that make it a pattern are marked as none."""
    escaped = "".join(f"\\{sign}" if sign in "*?[]{}\\" else sign for sign in name)
    return escaped if "://" in name else f"file://{escaped}"


def _length(spark: Any, name: str, where: str) -> int:
    """The length of the file, in bytes."""
    from pyspark.errors import AnalysisException  # noqa: PLC0415

    try:
        files = spark.read.format("binaryFile").load(where).select("path", "length").collect()
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error):
            raise DlbugError(f"{name} does not exist (where Spark looks for it). {_NAME_IT}") from None
        raise
    if not files:  # Spark passes over a file without bytes
        raise DlbugError(f"{name} is empty. {_NAME_IT}")
    if [Path(file.path).name for file in files] != [Path(name).name]:
        raise DlbugError(f"{name} is no file. {_NAME_IT}")
    return files[0].length


def _insist_on_a_dump(spark: Any, name: str, where: str) -> None:
    """Look at the beginning of the file: one that is no dump may be one piece, however large."""
    options = {"mapreduce.input.linerecordreader.line.maxlength": str(_HEAD)}
    tags = spark.read.options(**options).text(where, lineSep=">").selectExpr("cast(value as binary) as value")
    head = b">".join(bytes(row.value) for row in tags.limit(_HEAD // 16).collect()) + b">"
    if b"<posts>" not in head[:_HEAD]:
        raise DlbugError(f"{name} is no Posts.xml: it does not begin with <posts>. {_NAME_IT}")
