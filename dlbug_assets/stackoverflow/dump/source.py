"""The source of posts that reads Stack Overflow's data dump, or that of another site of the same network.

A second dump is treated like a sweep: a question that an earlier dump had stays a row of its library. It is out of
scope if the new dump has it with other values, and deleted if the new dump, as a whole, doesn't have it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.clock import utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.collections import loaded_collections
from dlbug_assets.ingest.landing import Collected, Collection, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.addresses import is_address
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.dump import extraction, on_spark
from dlbug_assets.stackoverflow.loading import COLLECTIONS, collection_rows, irregularity_rows, replace_library
from dlbug_assets.stackoverflow.posts import pseudonymize_owners
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent

logger = logging.getLogger(__name__)

_DUMP = "dump"
#: Rows that may be left out before the reading counts as incomplete: a share of all, but at least some.
_TOLERATED_SHARE, _TOLERATED_ROWS = 0.001, 10
#: Until `site` was recorded, dumps were Stack Overflow's.
_FIRST_SITE = {"site": "stackoverflow.com"}


@dataclass(frozen=True)
class Dump:
    """Stack Overflow's data dump; the posts that the study selects are kept in landing."""

    study: Study
    landing: Landing
    key_file: Path
    spark: str | None = None

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Read the dump once for all libraries that have not been read from it yet; yield an outcome per library."""
        path = self._path
        tags = {library.name: library.tags for library in self.study.libraries}
        requests = {library: self._request(path, tags[library]) for library in libraries}
        due = [library for library in libraries if sweep or not self._is_read(library, requests[library])]
        for library in libraries:
            if library not in due:
                unread = self._collections(library)[-1].done.get("unread")
                note = {"kind": _DUMP, "note": "this dump has been read before"}
                yield Collected(library, note | ({"unread": unread} if unread else {}))
        if not due:
            return
        for library in due:
            self.landing.discard_unfinished(library)
        earlier = {library: self._collections(library) for library in due}
        begun = {library: self.landing.begin(library, _DUMP, requests[library]) for library in due}
        selection = self.study.selection
        try:
            reading = self._extract()(
                path,
                {library: tags[library] for library in due},
                {library: collection.folder for library, collection in begun.items()},
                min_score=selection.min_score,
                created_from=selection.created_from,
                created_until=selection.created_until,
                known={library: _questions(done) for library, done in earlier.items()},
            )
            _require_tags(path, reading)
        except DlbugError as error:
            for library in due:
                yield Collected(library, {}, error)
            return
        for library, collection in begun.items():
            notes = {
                "rows read": reading.rows,
                "planted posts dropped": reading.planted,
                "irregular rows": reading.irregular,
                "questions": reading.questions[library],
                "answers": reading.answers[library],
                "complete": reading.complete,
            }
            missing = set(tags[library]) - set(reading.tags_found[library])
            unread = _unread(Path(path).name, reading, sorted(missing - _tags_found(earlier[library])))
            if unread:
                logger.warning("%s: %s", library, unread)
            collection.finish(
                {
                    "finished_at": utc_naive(datetime.now(UTC)).isoformat(),
                    "reading": notes,
                    "absent": reading.absent[library] if reading.complete else [],
                    "unread": unread,
                }
            )
            yield Collected(library, {"kind": _DUMP, **notes} | ({"unread": unread} if unread else {}))

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library, in batches, or nothing if the tables have them already.

        A question has the values of the latest dump that has it, and so have its answers. Raises :class:`DlbugError` if
        no dump has been read for the library.
        """
        done = self._collections(library)
        if not done:
            raise DlbugError(f"nothing of {library} has landed yet: materialize stackoverflow/landing first")
        loaded = loaded_collections(COLLECTIONS, self.landing, library, read_current)
        if loaded == [collection.name for collection in done]:
            return {
                "raw_posts": PartitionRows.nothing("stackoverflow.raw_posts"),
                "raw_answers": PartitionRows.nothing("stackoverflow.raw_answers"),
                "collections": collection_rows(library, done),
                "irregularities": PartitionRows.nothing("stackoverflow.irregularities"),
            }
        numbered = (
            pl.concat([pl.read_parquet(file) for file in _parquet(done[-1], "irregularities")])
            .sort("position", "field", "reason", maintain_order=True)
            .with_columns(
                pl.lit(done[-1].name).alias("collection"),
                pl.int_range(1, pl.len() + 1).alias("number"),
                pl.lit(Path(done[-1].begun["dump"][0]).name).alias("file"),
                pl.col("field").fill_null("(the row)"),
            )
        )
        return replace_library(
            library,
            self._batches(library, done, "questions"),
            self._batches(library, done, "answers"),
            done,
            irregularity_rows(library, [numbered]),
        )

    def _batches(self, library: str, done: Sequence[Collection], kind: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of raw_posts or raw_answers, each question's from the latest collection that has it."""
        key = secret_key(self.key_file)
        seen: set[int] = set()
        seen_answers: set[int] = set()
        deleted_at: dict[int, datetime] = {}
        for collection in reversed(done):
            at = pl.lit(collection.begun_at).alias("retrieved_at")
            for file in _parquet(collection, kind):
                rows = pl.read_parquet(file).filter(~pl.col("post_id").is_in(list(seen)))
                if kind == "answers":  # one that moved to another question is in two dumps
                    rows = rows.filter(~pl.col("answer_id").is_in(list(seen_answers)))
                rows = pseudonymize_owners(rows, key).with_columns(at)
                yield self._posts(rows, library, collection, deleted_at) if kind == "questions" else rows
            seen |= _questions([collection])
            seen_answers |= _ids([collection], "answers", "answer_id")
            # The earliest dump without the question counts.
            deleted_at |= dict.fromkeys(collection.done.get("absent", ()), collection.begun_at)

    def _posts(
        self, rows: pl.DataFrame, library: str, collection: Collection, deleted_at: Mapping[int, datetime]
    ) -> pl.DataFrame:
        site = (_FIRST_SITE | collection.begun)["site"]
        deleted = pl.Series([deleted_at.get(number) for number in rows["post_id"]], dtype=pl.Datetime("us"))
        # An earlier version kept only questions in scope.
        in_scope = rows["in_scope"] if "in_scope" in rows.columns else pl.lit(value=True)
        return rows.with_columns(
            pl.lit(library).alias("library"),
            pl.format("https://{}/questions/{}", pl.lit(site), "post_id").alias("link"),
            (in_scope & deleted.is_null()).alias("in_scope"),
            deleted.alias("deleted_at"),
        )

    @property
    def _path(self) -> Path | str:
        return self.study.sources.dump_path or Path()  # a study with this source has one

    def _extract(self) -> Callable[..., extraction.DumpReading]:
        """Return the function that reads the dump, on this machine or on Spark."""
        if self.spark is not None:
            return partial(on_spark.extract, address=self.spark)
        if is_address(self._path):
            raise DlbugError(f"{self._path} is an address, which only Spark can read: set DLBUG_SPARK, or name a file.")
        return extraction.extract

    def _request(self, path: Path | str, tags: Sequence[str]) -> dict[str, Any]:
        """Return what a reading depends on, as JSON values. The file at an address is assumed not to change."""
        selection = self.study.selection
        version: list[str | int] = [Path(path).name]
        if is_address(path):
            version = [str(path)]
        else:
            with suppress(OSError):  # reading it will raise the error
                status = Path(path).stat()
                version += [status.st_size, status.st_mtime_ns]
        return {
            "dump": version,
            "tags": list(tags),
            "min_score": selection.min_score,
            "created": [str(selection.created_from), str(selection.created_until)],
            "site": self.study.sources.site,
        }

    def _is_read(self, library: str, request: Mapping[str, Any]) -> bool:
        done = self._collections(library)
        return bool(done) and _FIRST_SITE | done[-1].begun == request

    def _collections(self, library: str) -> list[Collection]:
        """Return the finished readings of the site's dumps, oldest first."""
        done = self.landing.done(library, {_DUMP})
        return [each for each in done if (_FIRST_SITE | each.begun)["site"] == self.study.sources.site]


def _require_tags(path: Path | str, reading: extraction.DumpReading) -> None:
    """Raise :class:`DlbugError` if no row has tags that can be read: the questions would be missing silently."""
    if reading.notation == "none seen":
        raise DlbugError(
            f"{path}: none of its {reading.rows} rows has tags in a known notation (<a><b> or |a|b|). Name "
            "the Posts.xml of a data dump, as downloaded."
        )


def _unread(name: str, reading: extraction.DumpReading, missing: Sequence[str]) -> str | None:
    """Return what is missing from a reading and why, None if nothing is; ``missing`` are tags that no question has."""
    reasons = []
    if not reading.complete:
        reasons.append(f"{name} is truncated: it has been read up to the break, {reading.rows} rows; download it again")
    if reading.left_out > max(_TOLERATED_ROWS, _TOLERATED_SHARE * reading.rows):
        reasons.append(f"{reading.left_out} of the {reading.rows} rows of {name} cannot be read; see irregularities")
    if missing:
        reasons.append(f"no question in {name} has the tag {' or '.join(map(repr, missing))}; check its spelling")
    return "; ".join(reasons) or None


def _tags_found(collections: Sequence[Collection]) -> set[str]:
    """Return the tags of the questions in these collections."""
    files = [file for collection in collections for file in _parquet(collection, "questions")]
    return {tag for file in files for tag in pl.read_parquet(file, columns=["tags"])["tags"].explode()}


def _questions(collections: Sequence[Collection]) -> set[int]:
    """Return the IDs of the questions in these collections."""
    return _ids(collections, "questions", "post_id")


def _ids(collections: Sequence[Collection], kind: str, column: str) -> set[int]:
    files = [file for collection in collections for file in _parquet(collection, kind)]
    return {number for file in files for number in pl.read_parquet(file, columns=[column])[column]}


def _parquet(collection: Collection, kind: str) -> list[Path]:
    return sorted(collection.folder.glob(f"{kind}-*.parquet"))
