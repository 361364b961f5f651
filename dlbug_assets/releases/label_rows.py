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
from dlbug_assets.protocol.study import RELEASE, Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.releases.columns import Joined, Part, ReleaseFiles, Table, column_parts, needed_columns
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
_REJECTED = table_schema("labeling.rejected_labels")


@dataclass(frozen=True)
class Released:
    """The label rows of a study's releases, and those that were set aside (labeling.rejected_labels).

    ``rows`` has one row per label row, in the order of the files: library, source, file, sheet (NULL if the file
    has none), row (its number in the file, from 1), key, link, title, post_id, repository, commit_sha, created_at
    (UTC), rater (numbered, because a release may name people), ``<dimension>`` and ``<dimension>_as_written``
    (VARCHAR[]; NULL if the cell is empty) for each asked dimension, swapped (whether the labels were in other
    columns, which their values reveal), and mapped (the dimensions of which a label is not a category but mapped to
    one, joined by "; "). ``unmatched`` is the number of rows whose key another release lacks.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    unmatched: int = 0


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
                for table in files.tables(release, needed_columns(release)):
                    reader.read(release, table)
    return reader.released()


@dataclass
class _Row:
    """A row while it is read: the parts of its columns, and what is wrong with it."""

    parts: dict[str, list[Part]]
    problems: list[str] = field(default_factory=list)

    def fact(self, name: str) -> str | None:
        """Return the only value of a column, None if its cell is empty."""
        parts = self.parts.get(name, [])
        if len(parts) > 1:
            self.problems.append(f"{name} has {len(parts)} values, but takes one")
        return parts[0][1] if parts else None


class _Reader:
    """Reads tables one by one; collects their rows, those set aside, and problems."""

    def __init__(self, study: Study, taxonomy: Taxonomy, joins: Mapping[str, Joined]) -> None:
        self._study = study
        self._taxonomy = taxonomy
        self._joins = joins
        self._libraries = {name.casefold(): name for name in study.library_names}
        self._records: list[dict[str, Any]] = []
        self._rejected: list[dict[str, Any]] = []
        self._problems: list[str] = []
        self._unmatched = 0

    def read(self, release: Release, table: Table) -> None:
        """Read the rows of a table of a release that is not joined by others."""
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
                self._problems.append(f"{table.place(index)}: {'; '.join(row.problems)}")

    def released(self) -> Released:
        """Return what was read. Raises :class:`DlbugError` for problems of rows that are not set aside."""
        if self._problems:
            more = len(self._problems) - _ERRORS_SHOWN
            message = "; ".join(self._problems[:_ERRORS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise DlbugError(
                f'{message}. Fix the cell, or set on_unknown = "reject" to leave such rows out. If it is a new '
                f"spelling of a known category, add that to {self._study.files.taxonomy or 'taxonomy.csv'}."
            )
        entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
        rejected = pl.DataFrame(self._rejected, schema=_REJECTED).with_columns(
            redact_emails(pl.col("content", "reason")), entry
        )
        rows = _with_numbered_raters(pl.DataFrame(self._records, schema=row_schema(self._study)))
        return Released(rows, rejected, self._unmatched)

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
                row.problems.append(f"{name} {shown(unmatched[0], _MOST_SHOWN)} does not match {pattern}")
        key, link = row.fact("key"), row.fact("link")
        if not (key or link or row.problems):
            row.problems.append("it has neither key nor link")
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
        if name not in self._study.library_names:
            known = self._study.library_names
            row.problems.append(f"unknown library {shown(written)}{closest(written or '', known)}")
        return name

    def _source(self, row: _Row, release: Release) -> str | None:
        known = self._study.source_names
        if "source" not in release.columns:
            return known[0] if len(known) == 1 else RELEASE
        written = row.fact("source")
        if written not in known:
            row.problems.append(f"unknown source {shown(written)}; the study has {', '.join(known)}")
        return written

    def _labels(self, row: _Row, release: Release, dimensions: Sequence[Dimension]) -> dict[str, Any]:
        """Return categories and labels as written of each dimension, and whether columns were swapped or mapped."""
        movable = [
            dimension.name
            for dimension in dimensions
            if _is_movable(dimension, release.columns[dimension.name]) and len(row.parts[dimension.name]) <= 1
        ]
        swapped, misfits = self._arranged(row, movable)
        record: dict[str, Any] = {}
        mapped: list[str] = []
        unknown: list[str] = []
        for dimension in dimensions:
            name = dimension.name
            categories: dict[str, str] = {}
            for written, value in row.parts[name]:
                category = value and self._category(dimension, value)
                if category:
                    categories.setdefault(category, written)
                elif value and not (misfits and name in movable):
                    unknown.append(self._unknown(name, written, value))
                if value and self._taxonomy.mapping_of(name, value) and name not in mapped:
                    mapped.append(name)
            if len(categories) > 1 and not dimension.multiple:
                row.problems.append(f"{name} has {len(categories)} values, but takes one")
            if dimension.required and not row.parts[name] and row.parts.get("rater"):
                row.problems.append(f"{name} is empty, but required of raters")
            record[name] = list(categories) or None
            record[f"{name}_as_written"] = list(categories.values()) or None
        row.problems += misfits
        if unknown:
            row.problems.append(f"unknown {', '.join(unknown)}")
        return record | {"swapped": swapped, "mapped": "; ".join(mapped) or None}

    def _category(self, dimension: Dimension, value: str) -> str | None:
        """Return the category of a label; in an open dimension, each label is one."""
        return self._taxonomy.fold(dimension.name, value) or (" ".join(value.split()) if dimension.open else None)

    def _unknown(self, dimension: str, written: str, value: str) -> str:
        return f"{dimension} {shown(written, _MOST_SHOWN)}{closest(value, self._taxonomy.names(dimension))}"

    def _arranged(self, row: _Row, dimensions: Sequence[str]) -> tuple[bool, list[str]]:
        """Put the labels of a row into the only order that fits, if theirs does not.

        Returns whether they were in another order, and what is wrong if none fits, or several.
        """
        labels = {name: row.parts[name][0] for name in dimensions if row.parts[name] and row.parts[name][0][1]}

        def fitting(value: str | None) -> list[str]:
            return [name for name in dimensions if value and self._taxonomy.fold(name, value)]

        if all(name in fitting(value) for name, (_, value) in labels.items()):
            return False, []
        unknown = [self._unknown(name, written, value or "")
                   for name, (written, value) in labels.items() if not fitting(value)]  # fmt: skip
        if unknown:
            return False, [f"unknown {', '.join(unknown)}"]
        options = sorted(((part, fitting(part[1])) for part in labels.values()), key=lambda it: (len(it[1]), it[0][0]))
        orders = list(itertools.islice(_orders(options, {}), 2)) if len(dimensions) <= _MOST_SWAPPED else []
        if len(orders) == 1:
            row.parts |= {name: [orders[0][name]] if name in orders[0] else [] for name in dimensions}
            return True, []
        misplaced = [f"{name} {shown(written)}"
                     for name, (written, value) in labels.items() if name not in fitting(value)]  # fmt: skip
        return False, [f"in the wrong column, and more than one order fits, or none: {', '.join(misplaced)}"]


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
        row.problems.append(f"created_at {shown(written)} is not a time such as 2020-01-31 or 2020-01-31T12:00:00Z")
        return None


def _identified(link: str) -> dict[str, Any]:
    """Return post, repository and commit that a link leads to; each is NULL if it does not."""
    post, repository, commit = (pattern.fullmatch(link) for pattern in (_POST, _REPOSITORY, _COMMIT))
    return {
        "post_id": int(post.group(1)) if post else None,
        "repository": repository.group(1) if repository else None,
        "commit_sha": commit.group(1) if commit else None,
    }


def _with_numbered_raters(rows: pl.DataFrame) -> pl.DataFrame:
    """Replace the raters of a release by numbers in the order of their names: rater_1, rater_2 .. (rater_01 of ten)."""
    names = rows["rater"].drop_nulls().unique().sort()
    width = len(str(len(names)))
    numbered = {name: f"rater_{number:0{width}}" for number, name in enumerate(names, start=1)}
    return rows.with_columns(pl.col("rater").replace_strict(numbered, default=None, return_dtype=pl.String))
