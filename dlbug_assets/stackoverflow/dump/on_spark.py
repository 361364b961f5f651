"""Read the data dump on Spark: the same posts, irregularities and order as on one machine, whatever the dump's size.

In scope: how the bytes of a Posts.xml are distributed, and how the executors' findings become a stream of rows again.
Out of scope: the meaning of a row and the libraries that it belongs to; both are in extraction.py, with and without
Spark.

Spark splits the file at `<row`, as rows.py does, so that an executor gets whole rows and the block of the file that
they are in. Executors test them with the same class Rows that reads a file. There are two passes. The first one finds
rows that may be questions, known questions, answers without a readable parent, problems, and the number of rows in each
block. The second one finds the answers to the questions that are in scope or known, whose Ids are sent to every
executor. Both are sorted by their position in the file and read on this machine by extraction.extract, which alone
decides on selection and repeated Ids.
The number of rows in earlier blocks gives each row its position. The number of bytes read is compared with the length
of the file, so that nothing is lost silently.

Not supported: progress in bytes; a limit on the memory for a damaged row (an executor holds a row as a whole, up to
Spark's 2 GB); archives, which cannot be split.
"""

import json
import logging
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from itertools import accumulate, chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.spark import session
from dlbug_assets.stackoverflow.dump import extraction
from dlbug_assets.stackoverflow.dump.extraction import DumpReading, Scope, is_question
from dlbug_assets.stackoverflow.dump.prolog import skip_prolog
from dlbug_assets.stackoverflow.dump.rows import ReportProblem, Row, Rows, ignore_problem, wanted_keys

logger = logging.getLogger(__name__)

_ROW = b"<row"
#: Bytes at the beginning of some files, which Spark removes from the first piece.
_BYTE_ORDER_MARK = 3
_PACKED = (".7z", ".xz", ".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate", ".zip")
#: Pieces that are tested together, and bytes of rows in a record batch of the result.
_PIECES = 256
_BATCH_BYTES = 8 << 20
_HEAD = 4 << 10
#: How many tags are searched for the beginning of the rows, and the longest of them in bytes.
_HEAD_TAGS, _LONGEST_TAG = 1 << 12, 4 << 20
_ADVICE = "Name the Posts.xml of Stack Overflow's data dump, unpacked, where Spark reads it."
#: Columns of the findings: the kind (row, problem, block or rejected); the block, and the number of the row in it; the
#: row; the reason of a problem and the bytes that it concerns; the Id of a question in scope.
_FINDING = "kind string, block long, number long, content binary, reason string, about binary, question long"


def extract(
    path: Path | str,
    libraries: Mapping[str, Sequence[str]],
    folders: Mapping[str, Path],
    *,
    address: str,
    min_score: int,
    created_from: date | None,
    created_until: date | None,
    known: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> DumpReading:
    """Extract as :func:`extraction.extract` does, on Spark at ``address``.

    ``path`` may be any address that Spark reads. Raises :class:`DlbugError` for the same reasons, and for those of
    :func:`dlbug_assets.ingest.spark.session`.
    """
    _require_unpacked(str(path))
    with session(address) as spark:
        return extract_in(
            spark,
            path,
            libraries,
            folders,
            min_score=min_score,
            created_from=created_from,
            created_until=created_until,
            known=known,
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
    known: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> DumpReading:
    """Extract in an open session; see :func:`extract`."""
    name = str(path)
    tags = {tag for own in libraries.values() for tag in own}
    scope = Scope(min_score, created_from or date.min, created_until or date.max)
    with ExitStack() as persisted:
        known_questions = frozenset(chain.from_iterable(known.values()))
        findings = _Findings(spark, name, tags, scope, known_questions, persisted=persisted)
        return extraction.extract(
            Path(name),
            libraries,
            folders,
            min_score=min_score,
            created_from=created_from,
            created_until=created_until,
            known=known,
            open_rows=findings.open_rows,
        )


class _Findings:
    """The executors' findings in a dump, to be read any number of times until ``persisted`` is closed."""

    def __init__(
        self,
        spark: Any,
        name: str,
        tags: Collection[str],
        scope: Scope,
        known: frozenset[int],
        *,
        persisted: ExitStack,
    ) -> None:
        escaped = _escape(name)
        length = _length(spark, name, escaped)
        head = _head_pieces(spark, name, escaped)
        pieces = spark.read.text(escaped, lineSep=_ROW.decode()).selectExpr(
            "cast(value as binary) as piece", "_metadata.file_block_start as block"
        )
        logger.info("%s: Spark reads %.1f GB", name, length / 1e9)
        first = pieces.mapInArrow(
            lambda batches: _find_questions(batches, name, head, tags, scope=scope, known=known), _FINDING
        ).persist()
        persisted.callback(first.unpersist)
        self.blocks = [
            (row.block, json.loads(row.content))
            for row in first.where("kind = 'block'").select("block", "content").orderBy("block").collect()
        ]
        for rejected in first.where("kind = 'rejected'").select("reason").collect():
            raise DlbugError(rejected.reason)
        numbers = first.where("question is not null").select("question").distinct().collect()
        questions = frozenset(row.question for row in numbers)
        logger.info("%s: %d questions in scope or known; reading their answers", name, len(questions))
        second = pieces.mapInArrow(lambda batches: _find_answers(batches, name, head, tags, questions), _FINDING)
        everything = first.where("kind in ('row', 'problem')").unionByName(second).persist()
        persisted.callback(everything.unpersist)
        self.stream = everything.orderBy("block", "number", "kind")  # a row's problems precede it
        self.count = sum(block["rows"] for _, block in self.blocks)
        self.ends_with_row_start = self._ends_with_row_start(name, length)
        if not self.count and not self.ends_with_row_start:
            raise DlbugError(f"{name} has no rows. {_ADVICE}")

    def open_rows(self, _path: Path, _tags: Collection[str], wanted: dict[int, int], report: ReportProblem) -> Rows:
        """Return the rows, for extraction.extract."""
        return _FoundRows(self, wanted, report)

    def _ends_with_row_start(self, name: str, length: int) -> bool:
        """Return whether the file ends with a `<row `: Spark makes no piece of the nothing after it."""
        pieces = sum(block["pieces"] for _, block in self.blocks)
        missing = length - sum(block["bytes"] for _, block in self.blocks) - len(_ROW) * (pieces - 1)
        if missing not in (0, _BYTE_ORDER_MARK, len(_ROW), len(_ROW) + _BYTE_ORDER_MARK):
            raise DlbugError(
                f"{name} was not read completely: {missing} of {length} bytes are missing. Did the file change?"
            )
        return missing >= len(_ROW)


class _FoundRows(Rows):
    """The findings, in the order of the class Rows; the properties of the file as a whole are known from the start."""

    def __init__(self, findings: _Findings, wanted: dict[int, int], report: ReportProblem) -> None:
        super().__init__(Path(), (), wanted, report)
        self._findings = findings
        self.count = findings.count
        self.planted = sum(block["planted"] for _, block in findings.blocks)
        self.notations = {notation for _, block in findings.blocks for notation in block["notations"]}
        self.is_complete = findings.blocks[-1][1]["complete"] and not findings.ends_with_row_start

    def __iter__(self) -> Generator[Row, None, None]:
        for row, reason, about in self._all():
            if reason is not None:
                self._report(row, reason, about)
            elif (parent := _answered(row)) is None or self.wanted.get(parent, row.position) < row.position:
                yield row
        if self._findings.ends_with_row_start:
            yield from self._next_row(b"", 0, None)
        for row, reason, _ in self._all():
            if reason is None and (parent := _answered(row)) is not None and row.position < self.wanted.get(parent, 0):
                yield row

    def _all(self) -> Iterator[tuple[Row, str | None, bytes]]:
        """Yield each finding as a row, the reason of a problem (None for a row as such), and the bytes it concerns."""
        counts = [block["rows"] for _, block in self._findings.blocks]
        starts = (start for start, _ in self._findings.blocks)
        rows_before = dict(zip(starts, accumulate(counts, initial=0), strict=False))
        for finding in self._findings.stream.toLocalIterator():
            row = Row(rows_before[finding.block] + finding.number, bytes(finding.content))
            yield row, finding.reason, bytes(finding.about or b"")


def _answered(row: Row) -> int | None:
    """Return the Id of the question that a row answers, None if it isn't an answer with a readable ParentId."""
    return None if is_question(row) else row.number(b"ParentId")


class _Block(Rows):
    """The rows of a block of a dump, from its pieces; positions count within the block."""

    def __init__(
        self, pieces: Iterator[bytes], name: str, tags: Collection[str], wanted: dict[int, int], report: ReportProblem
    ) -> None:
        super().__init__(Path(name), tags, wanted, report)
        self._pieces = pieces
        self.pieces = self.bytes = 0

    def __iter__(self) -> Generator[Row, None, None]:
        first = next(self._counted(), None)
        if first is not None:
            yield from self._rows(self._chunks(first), 0, None)

    def skip_head(self, pieces: int) -> None:
        """Skip the bytes before the first row of the file."""
        if sum(1 for _ in islice(self._counted(), pieces)) < pieces:
            raise DlbugError(
                f"{self.path} begins with a comment that contains rows and is longer than what Spark reads at once. "
                "Remove it, or unset DLBUG_SPARK to have the dump read by this machine."
            )

    def _counted(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.pieces += 1
            self.bytes += len(piece)
            yield piece

    def _chunks(self, first: bytes) -> Iterator[bytes]:
        pieces = chain([first], self._counted())
        while batch := list(islice(pieces, _PIECES)):
            yield _ROW + _ROW.join(batch)


def _find_questions(
    batches: Iterator[Any], name: str, head: int, tags: Collection[str], *, scope: Scope, known: frozenset[int]
) -> Iterator[Any]:
    """Find, on an executor, what must be parsed, known questions, problems and each block's counts.

    ``head`` is the number of pieces before the first row.
    """

    def find(block: int, pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        findings: list[dict[str, Any]] = []

        def report(row: Row, reason: str, about: bytes) -> None:
            findings.append(_finding("problem", block, row, reason=reason, about=about[:_HEAD]))

        rows = _Block(pieces, name, tags, wanted_keys(known), report)
        try:
            if block == 0:
                rows.skip_head(head)
            for row in rows:
                question = extraction.question_id(row, tags, scope, known) if is_question(row) else None
                findings.append(_finding("row", block, row, question=question))
                yield from findings
                findings.clear()
        except DlbugError as error:
            yield _finding("rejected", block, reason=str(error))
        yield from findings
        summary = {
            "rows": rows.count, "planted": rows.planted, "notations": sorted(rows.notations),
            "complete": rows.is_complete, "pieces": rows.pieces, "bytes": rows.bytes,
        }  # fmt: skip
        yield _finding("block", block, Row(0, json.dumps(summary).encode()))

    return _by_block(batches, find)


def _find_answers(
    batches: Iterator[Any], name: str, head: int, tags: Collection[str], questions: frozenset[int]
) -> Iterator[Any]:
    """Find, on an executor, the answers to these questions."""

    def find(block: int, pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        rows = _Block(pieces, name, tags, dict.fromkeys(questions, 0), ignore_problem)
        if block == 0:
            rows.skip_head(head)
        for row in rows:
            yield _finding("row", block, row)

    return _by_block(batches, find)


def _by_block(
    batches: Iterator[Any], find: Callable[[int, Iterator[bytes]], Iterator[dict[str, Any]]]
) -> Iterator[Any]:
    """Yield the findings of each block as record batches of some megabytes."""
    import pyarrow as pa  # noqa: PLC0415 - on the executor

    types = {"string": pa.string(), "long": pa.int64(), "binary": pa.binary()}
    schema = pa.schema([(name, types[type_]) for name, type_ in (column.split() for column in _FINDING.split(", "))])
    columns = ((batch.column("block").to_pylist(), batch.column("piece").to_pylist()) for batch in batches)
    pieces = chain.from_iterable(zip(blocks, own, strict=True) for blocks, own in columns)
    findings: list[dict[str, Any]] = []
    size = 0
    for block, pairs in groupby(pieces, itemgetter(0)):
        for finding in find(block, (piece for _, piece in pairs)):
            findings.append(finding)
            size += len(finding["content"] or b"")
            if size >= _BATCH_BYTES:
                yield pa.RecordBatch.from_pylist(findings, schema)
                findings, size = [], 0
    yield pa.RecordBatch.from_pylist(findings, schema)


def _finding(kind: str, block: int, row: Row | None = None, **more: Any) -> dict[str, Any]:
    number, content = row[:2] if row else (None, None)
    return {"kind": kind, "block": block, "number": number, "content": content, **more}


def _require_unpacked(name: str) -> None:
    if name.lower().endswith(_PACKED):
        raise DlbugError(
            f"{name} is compressed, so Spark cannot split it. Unpack it where Spark reads it (7z x) and name the "
            "Posts.xml; or unset DLBUG_SPARK to have it unpacked and read by this machine."
        )


def _escape(name: str) -> str:
    """Return a path or address that Spark reads literally, with the characters of patterns escaped."""
    escaped = "".join(f"\\{sign}" if sign in "*?[]{}\\" else sign for sign in name)
    return escaped if "://" in name else f"file://{escaped}"


def _length(spark: Any, name: str, escaped: str) -> int:
    """Return the length of the file in bytes."""
    from pyspark.errors import AnalysisException  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

    try:
        files = spark.read.format("binaryFile").load(escaped).select("path", "length").collect()
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error):
            raise DlbugError(f"{name} does not exist (where Spark looks for it). {_ADVICE}") from None
        raise
    if not files:  # Spark skips an empty file
        raise DlbugError(f"{name} is empty. {_ADVICE}")
    if [Path(file.path).name for file in files] != [Path(name).name]:
        raise DlbugError(f"{name} is not a file. {_ADVICE}")
    return files[0].length


def _head_pieces(spark: Any, name: str, escaped: str) -> int:
    """Return the number of pieces before the first row; raises :class:`DlbugError` for a file that isn't a dump.

    Its first tags are read on their own, because the pieces of any other file could be huge.
    """
    longest = {"mapreduce.input.linerecordreader.line.maxlength": str(_LONGEST_TAG)}
    tags = spark.read.options(**longest).text(escaped, lineSep=">").selectExpr("cast(value as binary) as tag")
    head = b"".join(bytes(row.tag) + b">" for row in tags.limit(_HEAD_TAGS).collect())
    found = skip_prolog(iter([head]))
    if found is None:
        raise DlbugError(f"{name} is not a Posts.xml: it does not begin with <posts>. {_ADVICE}")
    return head[: found[0]].count(_ROW) + 1
