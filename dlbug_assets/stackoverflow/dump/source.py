"""The source of posts that reads Stack Overflow's data dump."""

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
                yield Collected(library, {"kind": _DUMP, "note": "this dump has been read before"})
        if not due:
            return
        for library in due:
            self.landing.discard_unfinished(library)
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
            )
        except DlbugError as error:
            for library in due:
                yield Collected(library, {}, error)
            return
        if not reading.complete:
            logger.warning("%s is truncated: only the rows before the break are used. Download it again.", path)
        for library, collection in begun.items():
            notes = {
                "rows read": reading.rows,
                "planted posts dropped": reading.planted,
                "irregular rows": reading.irregular,
                "questions": reading.questions[library],
                "answers": reading.answers[library],
                "complete": reading.complete,
            }
            collection.finish({"finished_at": utc_naive(datetime.now(UTC)).isoformat(), "reading": notes})
            yield Collected(library, {"kind": _DUMP, **notes})

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library, in batches, or nothing if the tables have them already.

        Raises :class:`DlbugError` if no dump has been read for it.
        """
        done = self.landing.done(library, {_DUMP})[-1:]
        if not done:
            raise DlbugError(f"nothing of {library} has landed yet: materialize stackoverflow/landing first")
        loaded = loaded_collections(COLLECTIONS, self.landing, library, read_current)
        if loaded == [done[0].name]:
            return {
                "raw_posts": PartitionRows.nothing("stackoverflow.raw_posts"),
                "raw_answers": PartitionRows.nothing("stackoverflow.raw_answers"),
                "collections": collection_rows(library, done),
                "irregularities": PartitionRows.nothing("stackoverflow.irregularities"),
            }
        key = secret_key(self.key_file)
        at = pl.lit(done[0].begun_at).alias("retrieved_at")
        numbered = pl.concat([pl.read_parquet(file) for file in _parquet(done[0], "irregularities")]).with_columns(
            pl.lit(done[0].name).alias("collection"),
            pl.int_range(1, pl.len() + 1).alias("number"),
            pl.lit(Path(self._path).name).alias("file"),
            pl.col("field").fill_null("(the row)"),
        )
        questions = (
            pseudonymize_owners(pl.read_parquet(file), key).select(
                pl.lit(library).alias("library"),
                pl.exclude("library"),
                at,
                pl.format("https://stackoverflow.com/questions/{}", "post_id").alias("link"),
                pl.lit(value=True).alias("in_scope"),
                pl.lit(None, pl.Datetime("us")).alias("deleted_at"),
            )
            for file in _parquet(done[0], "questions")
        )
        answers = (
            pseudonymize_owners(pl.read_parquet(file), key).with_columns(at) for file in _parquet(done[0], "answers")
        )
        return replace_library(library, questions, answers, done, irregularity_rows(library, [numbered]))

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
        }

    def _is_read(self, library: str, request: Mapping[str, Any]) -> bool:
        done = self.landing.done(library, {_DUMP})
        return bool(done) and done[-1].begun == request


def _parquet(collection: Collection, kind: str) -> list[Path]:
    return sorted(collection.folder.glob(f"{kind}-*.parquet"))
