"""The rows of a study's releases: what each cell means, with the irregularities of the files.

What belongs here: spellings, swapped columns, links, rows that are set aside. What doesn't: finding and reading files
(locate.py, ingest/table_files.py), their columns (columns.py), and the tables that are made of the rows (tables.py).
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.clock import parse_timestamp, utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, Limits
from dlbug_assets.ingest.table_files import read_file
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.releases import Column, Release
from dlbug_assets.protocol.study import RELEASE, STUDY_FILE, Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.releases.columns import (
    Joined,
    Part,
    ReleaseFiles,
    Table,
    column_parts,
    label_columns,
    needed_columns,
)
from dlbug_assets.warehouse.rows import table_schema

#: For one file. One of 64 MiB with two million values takes 600 MiB and ten seconds.
_LIMITS = Limits(memory=1 << 30, seconds=120, reply=256 << 20)
_ERRORS_SHOWN = 10
#: Characters of a cell in a message: enough for most links.
_MOST_SHOWN = 200
#: Among more dimensions, swapped labels are not searched for.
_MOST_SWAPPED = 8
_POST = re.compile(r"https?://(?:www\.)?stackoverflow\.com/q(?:uestions)?/(\d{1,18})(?!\d)\S*")
_REPOSITORY = re.compile(r"https?://(?:www\.)?github\.com/([^/\s]+/[^/\s#?]+)(?:/\S*)?")
_COMMIT = re.compile(
    r"https?://(?:www\.)?github\.com/[^/\s]+/[^/\s]+/(?:commit|blob|pull/\d+/commits)/([0-9a-f]{40})(?![0-9a-f])\S*"
)
_NOT_LEFT_OVER = ("library", "source", "title", "post_id", "repository", "commit_sha", "created_at", "rater",
                  "swapped", "mapped")  # fmt: skip
_REJECTED = table_schema("labeling.rejected_labels")


@dataclass(frozen=True)
class Released:
    """The label rows of a study's releases, and those that were set aside (labeling.rejected_labels).

    ``rows`` has one row per label row, in the order of the files: library, source, file, sheet (NULL if the file
    has none), row (its number in the file, from 1), key, link, title, post_id, repository, commit_sha, created_at
    (UTC), rater (numbered, because a release may name people), ``<dimension>`` and ``<dimension>_as_written``
    (VARCHAR[]; NULL if the cell is empty) for each asked dimension, swapped (whether the labels were in other
    columns, which their values reveal), and mapped (the dimensions of which a label is not a category but mapped to
    one, joined by "; "). ``unmatched`` is the number of rows whose key another release lacks. ``leftovers`` has the
    rows with labels in other sheets of the same files: file, sheet (its number, not its name), row, key, link, and
    ``<dimension>`` and ``<dimension>_as_written``, which are NULL also for what no category is spelled like.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    unmatched: int = 0
    leftovers: pl.DataFrame = field(default_factory=pl.DataFrame)


def row_schema(study: Study) -> pl.Schema:
    """Return the columns of :class:`Released`'s ``rows``."""
    texts = ("library", "source", "file", "sheet")
    labels = [name for dimension in study.asked_names for name in (dimension, f"{dimension}_as_written")]
    return pl.Schema(
        {
            **dict.fromkeys(texts, pl.String),
            "row": pl.Int64,
            **dict.fromkeys(("key", "link", "title"), pl.String),
            "post_id": pl.Int64,
            "repository": pl.String,
            "commit_sha": pl.String,
            "created_at": pl.Datetime("us"),
            "rater": pl.String,
            **dict.fromkeys(labels, pl.List(pl.String)),
            "swapped": pl.Boolean,
            "mapped": pl.String,
        }
    )


def read(study: Study, taxonomy: Taxonomy, environ: Mapping[str, str], downloads: Path) -> Released:
    """Return the label rows of a study's releases; ``downloads`` is the folder for files that are downloaded.

    Raises :class:`DlbugError` for a file that cannot be had or read, naming it, and, unless the release sets such rows
    aside, for unknown labels and other invalid cells: with file, sheet, row and value.
    """
    with ChildProcess(f"{read_file.__module__}:{read_file.__name__}", _LIMITS) as child:
        files = ReleaseFiles(child, study, environ, downloads)
        joins = {release.name: Joined(release, files) for release in study.releases if release.name is not None}
        reader = _Reader(study, taxonomy, joins)
        for release in study.releases:
            if release.name is None:
                labels = label_columns(release, study.asked)
                for table in files.tables(release, needed_columns(release), labels=labels):
                    reader.read(release, table)
    return reader.released()


class _Fix(Enum):
    """What helps against a kind of problem, with the study's files in braces."""

    CELL = "fix the cell"
    CATEGORY = (
        "fix the cell, add the category or its other spelling (aliases) to {taxonomy}, or say in {mappings} what it "
        "counts as"
    )
    LIBRARY = "add the library to [[libraries]] of {study}, or map it in releases.columns.library"
    SOURCE = "map the source in releases.columns.source of {study}, or add it to sources.names"


@dataclass
class _Row:
    """A row while it is read: the parts of its columns, and what is wrong with it."""

    parts: dict[str, list[Part]]
    problems: dict[str, _Fix] = field(default_factory=dict)

    def fact(self, name: str) -> str | None:
        """Return the only value of a column, None if its cell is empty."""
        parts = self.parts.get(name, [])
        if len(parts) > 1:
            self.problems[f"{name} has {len(parts)} values, but takes one"] = _Fix.CELL
        return parts[0][1] if parts else None

    def shown(self, name: str) -> str:
        """Return the text of a column, and how it was read."""
        return _shown(*self.parts[name][0])


def _shown(written: str, value: str | None) -> str:
    """Return a part of a cell, and its value if that differs."""
    as_read = "" if value in (None, written.strip()) else f", read as {shown(value, _MOST_SHOWN)}"
    return shown(written, _MOST_SHOWN) + as_read


@dataclass
class _Problem:
    """A problem that rows have in common: where the first one is, and how many have it."""

    place: str
    fix: _Fix
    rows: int = 0


class _Reader:
    """Reads tables one by one; collects their rows, those set aside, and problems."""

    def __init__(self, study: Study, taxonomy: Taxonomy, joins: Mapping[str, Joined]) -> None:
        self._study = study
        self._taxonomy = taxonomy
        self._joins = joins
        self._libraries = {name.casefold(): name for name in study.library_names}
        self._records: list[dict[str, Any]] = []
        self._rejected: list[dict[str, Any]] = []
        self._leftovers: list[dict[str, Any]] = []
        self._problems: dict[str, _Problem] = {}
        self._unmatched = 0

    def read(self, release: Release, table: Table) -> None:
        """Read the rows of a table of a release that is not joined by others, and the labels in its other sheets."""
        for leftover in table.leftovers:
            self._leftovers += self._leftover_rows(release, leftover)
        if not table.numbers:
            return
        dimensions = [dimension for dimension in self._study.asked if dimension.name in release.columns]
        by_name = {dimension.name: dimension for dimension in dimensions}
        parts, unmatched = column_parts(release, table, self._joins, by_name)
        self._unmatched += unmatched
        for index, number in enumerate(table.numbers):
            row = _Row({name: found[index] for name, found in parts.items()})
            record = {"file": table.name, "sheet": table.sheet, "row": number, **self._facts(row, release)}
            record |= self._labels(row, release, dimensions)
            if not row.problems:
                self._records.append(record)
            elif release.on_unknown == "reject":
                self._reject(table, index, row)
            else:
                for problem, fix in row.problems.items():
                    self._problems.setdefault(problem, _Problem(table.place(index), fix)).rows += 1

    def released(self) -> Released:
        """Return what was read. Raises :class:`DlbugError` for problems of rows that are not set aside."""
        if self._problems:
            raise DlbugError(self._message())
        entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
        rejected = pl.DataFrame(self._rejected, schema=_REJECTED).with_columns(
            redact_emails(pl.col("content", "reason")), entry
        )
        rows = _with_numbered_raters(pl.DataFrame(self._records, schema=row_schema(self._study)))
        schema = row_schema(self._study)
        leftovers = pl.DataFrame(
            self._leftovers, schema={name: schema[name] for name in schema if name not in _NOT_LEFT_OVER}
        )
        return Released(rows, rejected, self._unmatched, leftovers)

    def _leftover_rows(self, release: Release, table: Table) -> list[dict[str, Any]]:
        """Return the rows with labels of a sheet that is not the release's; none if most cells are not labels."""
        names = (*self._study.asked_names, "key", "link")
        own = {name: column for name, column in release.columns.items() if name in names and not column.from_}
        described = release.model_copy(update={"columns": own})
        dimensions = [dimension for dimension in self._study.asked if dimension.name in own]
        parts, _ = column_parts(described, table, {}, {dimension.name: dimension for dimension in dimensions})
        records: list[dict[str, Any]] = []
        filled = known = 0
        for index, number in enumerate(table.numbers):
            row = _Row({name: found[index] for name, found in parts.items()})
            labels = self._labels(row, described, dimensions)
            filled += sum(bool(row.parts[dimension.name]) for dimension in dimensions)
            known += sum(labels[dimension.name] is not None for dimension in dimensions)
            facts = {"key": row.fact("key"), "link": row.fact("link")}
            records.append({"file": table.name, "sheet": table.sheet, "row": number, **facts, **labels})
        labelled = [record for record in records if any(record[dimension.name] for dimension in dimensions)]
        return labelled if 2 * known > filled else []

    def _message(self) -> str:
        """Return the problems, each once with its first row, and what helps against each kind of them."""
        listed = [
            f"{problem.place}{f' and {problem.rows - 1} more' if problem.rows > 1 else ''}: {text}"
            for text, problem in self._problems.items()
        ]
        more = len(listed) - _ERRORS_SHOWN
        message = "; ".join(listed[:_ERRORS_SHOWN]) + (f"; and {more} more problems" if more > 0 else "")
        files = self._study.files
        names = {
            "study": files.study or STUDY_FILE,
            "taxonomy": files.taxonomy or "taxonomy.csv",
            "mappings": files.mappings or "mappings.csv",
        }
        fixes = dict.fromkeys(problem.fix.value.format(**names) for problem in self._problems.values())
        fix = ". ".join(f"{fix[0].upper()}{fix[1:]}" for fix in fixes)
        return f'{message}. {fix}. Or set on_unknown = "reject" under [[releases]] to leave such rows out.'

    def _reject(self, table: Table, index: int, row: _Row) -> None:
        # Without the rater, who may be named there.
        content = {name: [written for written, _ in parts] for name, parts in row.parts.items() if name != "rater"}
        self._rejected.append(
            {
                "file": table.name,
                "line": table.numbers[index],
                "content": json.dumps(content, ensure_ascii=False),
                "reason": "; ".join(row.problems),
                "seen_at": utc_naive(datetime.now(UTC)),
            }
        )

    def _facts(self, row: _Row, release: Release) -> dict[str, Any]:
        for name, parts in row.parts.items():
            if unmatched := [written for written, value in parts if value is None]:
                pattern = release.columns[name].extract
                row.problems[f"{name} {shown(unmatched[0], _MOST_SHOWN)} does not match {pattern}"] = _Fix.CELL
        key, link = row.fact("key"), row.fact("link")
        if not (key or link or row.problems):
            row.problems["it has neither key nor link"] = _Fix.CELL
        return {
            "library": self._library(row),
            "source": self._source(row, release),
            "key": key,
            "link": link,
            "title": row.fact("title"),
            "created_at": _moment(row),
            "rater": row.fact("rater"),
            **_identified(link or ""),
        }

    def _library(self, row: _Row) -> str | None:
        written = row.fact("library")
        name = written and (self._taxonomy.fold("library", written) or self._libraries.get(written.casefold()))
        known = self._study.library_names
        if not row.parts["library"]:
            row.problems["library is empty"] = _Fix.CELL
        elif written and name not in known:
            row.problems[f"unknown library {row.shown('library')}{closest(written, known)}"] = _Fix.LIBRARY
        return name

    def _source(self, row: _Row, release: Release) -> str | None:
        known = self._study.source_names
        if "source" not in release.columns:
            return known[0] if len(known) == 1 else RELEASE
        written = row.fact("source")
        if not row.parts["source"]:
            row.problems["source is empty"] = _Fix.CELL
        elif written and written not in known:
            row.problems[f"unknown source {row.shown('source')}; the study has {', '.join(known)}"] = _Fix.SOURCE
        return written

    def _labels(self, row: _Row, release: Release, dimensions: Sequence[Dimension]) -> dict[str, Any]:
        """Return categories and labels as written of each dimension, and whether columns were swapped or mapped."""
        movable = [
            dimension.name
            for dimension in dimensions
            if _is_movable(dimension, release.columns[dimension.name]) and len(row.parts[dimension.name]) <= 1
        ]
        swapped, misfits = self._arranged(row, movable)
        row.problems |= misfits
        record: dict[str, Any] = {}
        mapped: list[str] = []
        for dimension in dimensions:
            name = dimension.name
            categories: dict[str, str] = {}
            for written, value in row.parts[name]:
                category = value and self._category(dimension, value)
                if category:
                    categories.setdefault(category, written)
                elif value and not (misfits and name in movable):
                    row.problems[self._unknown(name, written, value)] = _Fix.CATEGORY
                if value and self._taxonomy.mapping_of(name, value) and name not in mapped:
                    mapped.append(name)
            if len(categories) > 1 and not dimension.multiple:
                row.problems[f"{name} has {len(categories)} values, but takes one"] = _Fix.CELL
            if dimension.required and not row.parts[name] and row.parts.get("rater"):
                row.problems[f"{name} is empty, but required of raters"] = _Fix.CELL
            record[name] = list(categories) or None
            record[f"{name}_as_written"] = list(categories.values()) or None
        return record | {"swapped": swapped, "mapped": "; ".join(mapped) or None}

    def _category(self, dimension: Dimension, value: str) -> str | None:
        """Return the category of a label; in an open dimension, each label is one."""
        return self._taxonomy.fold(dimension.name, value) or (" ".join(value.split()) if dimension.open else None)

    def _unknown(self, dimension: str, written: str, value: str) -> str:
        if name := self._taxonomy.fold(dimension, written):
            why = (
                f": the taxonomy's {shown(name)} contains what strip, extract or map changes, so name it as it is read"
            )
        else:
            why = closest(value, self._taxonomy.names(dimension))
        return f"unknown {dimension} {_shown(written, value)}{why}"

    def _arranged(self, row: _Row, dimensions: Sequence[str]) -> tuple[bool, dict[str, _Fix]]:
        """Put the labels of a row into the only order that fits, if theirs does not.

        Returns whether they were in another order, and what is wrong if none fits, or several.
        """
        labels = {name: row.parts[name][0] for name in dimensions if row.parts[name] and row.parts[name][0][1]}

        def fitting(value: str | None) -> list[str]:
            return [name for name in dimensions if value and self._taxonomy.fold(name, value)]

        if all(name in fitting(value) for name, (_, value) in labels.items()):
            return False, {}
        unknown = [self._unknown(name, written, value or "")
                   for name, (written, value) in labels.items() if not fitting(value)]  # fmt: skip
        if unknown:
            return False, dict.fromkeys(unknown, _Fix.CATEGORY)
        options = sorted(((part, fitting(part[1])) for part in labels.values()), key=lambda it: (len(it[1]), it[0][0]))
        orders = list(itertools.islice(_orders(options, {}), 2)) if len(dimensions) <= _MOST_SWAPPED else []
        if len(orders) == 1:
            row.parts |= {name: [orders[0][name]] if name in orders[0] else [] for name in dimensions}
            return True, {}
        misplaced = [f"{name} {shown(written)}"
                     for name, (written, value) in labels.items() if name not in fitting(value)]  # fmt: skip
        return False, {f"in the wrong column, and more than one order fits, or none: {', '.join(misplaced)}": _Fix.CELL}


def _is_movable(dimension: Dimension, column: Column) -> bool:
    """Return whether a dimension's labels may be found in another column: where categories reveal the dimension."""
    return bool(column.column) and not (column.from_ or dimension.multiple or dimension.open)


def _orders(options: Sequence[tuple[Part, list[str]]], taken: dict[str, Part]) -> Iterator[dict[str, Part]]:
    """Yield each way to give every label a dimension of its own; ``options`` are the dimensions that each fits.

    Labels that are written the same are next to each other, and exchanging them is not another way.
    """
    if not options:
        yield taken
        return
    (part, names), *others = options
    last = next(reversed(taken), None)
    first = names.index(last) + 1 if last is not None and taken[last][0] == part[0] else 0
    for name in names[first:]:
        if name not in taken:
            yield from _orders(others, {**taken, name: part})


def _moment(row: _Row) -> datetime | None:
    """Return created_at of a row, in UTC."""
    written = row.fact("created_at")
    try:
        return parse_timestamp(written) if written else None
    except (ValueError, OverflowError):
        problem = f"created_at {shown(written)} is not a time such as 2020-01-31 or 2020-01-31T12:00:00Z"
        row.problems[problem] = _Fix.CELL
        return None


def _identified(link: str) -> dict[str, Any]:
    """Return post, and repository and commit that a link leads to; each is NULL if it does not.

    Issues have no repository: they are reported one by one, whereas bugs of one repository's commits resemble each
    other and are a cluster.
    """
    post, repository, commit = (pattern.fullmatch(link) for pattern in (_POST, _REPOSITORY, _COMMIT))
    return {
        "post_id": int(post.group(1)) if post else None,
        "repository": repository.group(1) if repository and commit else None,
        "commit_sha": commit.group(1) if commit else None,
    }


def _with_numbered_raters(rows: pl.DataFrame) -> pl.DataFrame:
    """Replace the raters of a release by numbers in the order of their names: rater_1, rater_2 .. (rater_01 of ten)."""
    names = rows["rater"].drop_nulls().unique().sort()
    width = len(str(len(names)))
    numbered = {name: f"rater_{number:0{width}}" for number, name in enumerate(names, start=1)}
    return rows.with_columns(pl.col("rater").replace_strict(numbered, default=None, return_dtype=pl.String))
