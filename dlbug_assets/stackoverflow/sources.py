"""Where posts come from. Every source does the same two things: it *collects* into landing, without the database, and
it *loads* a library's tables from there. Nothing after the tables knows which source it was."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from dlbug_assets import artifact
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.landing import Collected, Collection, Landing
from dlbug_assets.privacy import blanked, secret_key
from dlbug_assets.quota import DeferredError
from dlbug_assets.sample import posts as sample
from dlbug_assets.stackoverflow import dump, dump_on_spark
from dlbug_assets.stackoverflow.api import FOLLOWING, LOOK_UP, Api, Collector, questions
from dlbug_assets.stackoverflow.merging import POST_ANSWERS, POSTS, Merged, merge, personless
from dlbug_assets.stackoverflow.replies import IRREGULARITIES, Observed, observed
from dlbug_assets.study import Study, is_address
from dlbug_assets.table_assets import Own, Part
from dlbug_assets.wire import UnreachableError

logger = logging.getLogger(__name__)

_DUMP = "dump"
_NEVER = datetime(1970, 1, 1)
_ALL_OF_LIBRARY = "library = ?"
_NOTHING = "false"
#: An answer belongs to a question, whatever the libraries that the question is filed under.
_ORPHANS = "post_id not in (select post_id from stackoverflow.raw_posts)"
_ANSWERS_OF_LIBRARY = f"post_id in (select post_id from stackoverflow.raw_posts where library = ?) or {_ORPHANS}"
_COLLECTIONS = {
    "library": pl.String,
    "collection": pl.String,
    "kind": pl.String,
    "begun_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "requests": pl.Int64,
    "items": pl.Int64,
    "quota_left": pl.Int64,
    "newest_activity": pl.Datetime("us"),
    "note": pl.String,
}


class PostSource(Protocol):
    """What the assets want of a source."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library; ``sweep`` asks the full question again. A library that fails
        does not keep the others from going on."""
        ...

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """What changes in raw_posts, raw_answers, collections and irregularities, from landing alone."""
        ...


def post_source(
    study: Study,
    landing: Path,
    key_file: Path,
    api: Api,
    release: Callable[[], pl.DataFrame],
    *,
    spark: str | None = None,
) -> PostSource:
    """The source that the study names. ``landing`` is the folder of this corpus, ``key_file`` the file with the key
    of the hashes; ``release`` gives the rows of the authors' release where that is the source; ``spark`` is where
    Spark is, if dumps are read there."""
    match study.sources.posts:
        case "sample":
            return Sample(study)
        case "artifact":
            return Release(study, Landing(landing, api.clock), key_file, api, release)
        case "dump":
            return Dump(study, Landing(landing, Clock()), key_file, spark)
        case "api":
            return Live(study, Landing(landing, api.clock), key_file, api)


@dataclass(frozen=True)
class Sample:
    """The synthetic corpus: nothing to collect."""

    study: Study

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Nothing lands: the rows are made up when they are loaded."""
        del sweep
        for library in libraries:
            yield Collected(library, {"kind": "made up on loading"})

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library."""
        del own
        now = pl.lit(datetime.now(UTC).replace(tzinfo=None)).alias("retrieved_at")
        parts = range(self.study.sources.sample_size)
        rows = (sample.posts(self.study, library, part).with_columns(now) for part in parts)
        answers = (sample.answers(self.study, library, part).with_columns(now) for part in parts)
        return _replaced(library, rows, answers, [], _irregularities(library, []))


@dataclass(frozen=True)
class Live:
    """The live API."""

    study: Study
    landing: Landing
    key_file: Path
    api: Api

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Ask the API, library by library."""
        collector = Collector(self.study, self.landing, self.api)
        for library in libraries:
            try:
                yield Collected(library, collector.collect(library, sweep=sweep))
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """Merge the collections that are not in the tables yet; all of them where the tables are not made of these."""
        done = self.landing.done(library, FOLLOWING)
        names = [collection.name for collection in done]
        loaded = _loaded(self.landing, library, own)
        is_anew = loaded != names[: len(loaded)] or not loaded
        added = done if is_anew else done[len(loaded) :]

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            rows = own("stackoverflow.raw_posts", "post_id in (select unnest(?))", [list(numbers)])
            return rows.filter(pl.col("library") != library) if is_anew else rows

        sightings = _Sightings(added)
        merged = merge(known, sightings, library, questions(self.study), secret_key(self.key_file))
        return {
            "raw_posts": Part(
                merged.posts,
                _ALL_OF_LIBRARY if is_anew else _NOTHING,
                [library] if is_anew else [],
                *_shown(merged, added),
            ),
            "raw_answers": Part(merged.answers, f"post_id in (select unnest(?)) or {_ORPHANS}", [merged.answered]),
            "collections": _collections(library, done),
            "irregularities": Part(
                _irregularities(library, sightings.irregularities),
                _ALL_OF_LIBRARY if is_anew else _NOTHING,
                [library] if is_anew else [],
            ),
        }


@dataclass(frozen=True)
class Release:
    """The authors' release, which knows posts by number; the API tells the rest where there is a network."""

    study: Study
    landing: Landing
    key_file: Path
    api: Api
    release: Callable[[], pl.DataFrame]

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Look the posts up by number. Without a network the study runs without their titles and dates."""
        # Titles and dates are welcome, not needed: one try is enough.
        patience = dataclasses.replace(self.api.patience, attempts=1)
        collector = Collector(self.study, self.landing, dataclasses.replace(self.api, patience=patience))
        unreachable = ""
        for library in libraries:
            numbers = artifact.posts(self.release(), library)["post_id"].to_list()
            if unreachable:
                yield Collected(library, {"kind": "not looked up"})
                continue
            try:
                yield Collected(library, collector.look_up(library, numbers, again=sweep))
            except (UnreachableError, DeferredError) as error:
                unreachable = f"titles, texts and dates of posts stay as they are: {error}"
                yield Collected(library, {"kind": "not looked up", "note": unreachable})
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library: those of the release, with what was looked up."""
        _loaded(self.landing, library, own)
        done = self.landing.done(library, {LOOK_UP})
        released = artifact.posts(self.release(), library).with_columns(pl.lit(_NEVER).alias("retrieved_at"))
        released = released.select(list(POSTS)).cast(POSTS)

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            return released.filter(pl.col("post_id").is_in(list(numbers)))

        sightings = _Sightings(done)
        merged = merge(known, sightings, library, questions(self.study), secret_key(self.key_file))
        posts = pl.concat([merged.posts, released.join(merged.posts, on="post_id", how="anti")]).with_columns(
            # The authors chose these posts; what the site says of them today does not take them out.
            in_scope=pl.lit(value=True),
            retrieved_at=pl.when(pl.col("retrieved_at") > _NEVER)
            .then("retrieved_at")
            .otherwise(pl.lit(datetime.now(UTC).replace(tzinfo=None))),
        )
        irregular = _irregularities(library, sightings.irregularities)
        return _replaced(library, posts, merged.answers, done, irregular)


@dataclass(frozen=True)
class Dump:
    """Stack Overflow's data dump, of which what the study selects is kept in landing."""

    study: Study
    landing: Landing
    key_file: Path
    spark: str | None = None

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Read the dump once for all libraries that have not been read from it yet."""
        path = self._path
        tags = {library.name: library.tags for library in self.study.libraries}
        asked = {library: self._asked(path, tags[library]) for library in libraries}
        due = [library for library in libraries if sweep or not self._is_read(library, asked[library])]
        for library in libraries:
            if library not in due:
                yield Collected(library, {"kind": _DUMP, "note": "this dump has been read before"})
        if not due:
            return
        for library in due:
            self.landing.discard_unfinished(library)
        begun = {library: self.landing.begin(library, _DUMP, asked[library]) for library in due}
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
            logger.warning("%s is truncated: the rows before the break are used. Get it anew to have all of it.", path)
        for library, collection in begun.items():
            notes = {
                "rows read": reading.rows,
                "planted posts dropped": reading.planted,
                "irregular rows": reading.irregular,
                "questions": reading.questions[library],
                "answers": reading.answers[library],
                "complete": reading.complete,
            }
            collection.finish({"finished_at": datetime.now(UTC).replace(tzinfo=None).isoformat(), "reading": notes})
            yield Collected(library, {"kind": _DUMP, **notes})

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library, in batches; nothing where they are in the tables already."""
        done = self.landing.done(library, {_DUMP})[-1:]
        if not done:
            raise DlbugError(f"nothing of {library} has landed yet: materialize stackoverflow/landing first")
        loaded = _loaded(self.landing, library, own)
        if loaded == [done[0].name]:
            return {
                "raw_posts": Part(pl.DataFrame(schema=POSTS), _NOTHING, []),
                "raw_answers": Part(pl.DataFrame(schema=POST_ANSWERS), _NOTHING, []),
                "collections": _collections(library, done),
                "irregularities": Part(_irregularities(library, []), _NOTHING, []),
            }
        key = secret_key(self.key_file)
        at = pl.lit(done[0].begun_at).alias("retrieved_at")
        numbered = pl.concat([_read(file) for file in _parquet(done[0], "irregularities")]).with_columns(
            pl.lit(done[0].name).alias("collection"),
            pl.int_range(1, pl.len() + 1).alias("number"),
            pl.lit(Path(self._path).name).alias("file"),
            pl.col("field").fill_null("(the row)"),
        )
        questions_ = (
            personless(_read(file), key).select(
                pl.lit(library).alias("library"),
                pl.exclude("library"),
                at,
                pl.format("https://stackoverflow.com/questions/{}", "post_id").alias("link"),
                pl.lit(value=True).alias("in_scope"),
                pl.lit(None, pl.Datetime("us")).alias("deleted_at"),
            )
            for file in _parquet(done[0], "questions")
        )
        answers = (personless(_read(file), key).with_columns(at) for file in _parquet(done[0], "answers"))
        return _replaced(library, questions_, answers, done, _irregularities(library, [numbered]))

    @property
    def _path(self) -> Path | str:
        return self.study.sources.dump_path or Path()  # a study with this source has one

    def _extract(self) -> Callable[..., dump.DumpReading]:
        """How the dump is read: here, or where Spark is."""
        if self.spark is not None:
            return partial(dump_on_spark.extract, address=self.spark)
        if is_address(self._path):
            raise DlbugError(f"{self._path} is an address, which Spark alone reads: set DLBUG_SPARK, or name a file.")
        return dump.extract

    def _asked(self, path: Path | str, tags: Sequence[str]) -> dict[str, Any]:
        """What a reading depends on, as it comes back from JSON. What stands at an address is taken to stay."""
        selection = self.study.selection
        dated: list[str | int] = [Path(path).name]
        if is_address(path):
            dated = [str(path)]
        else:
            with suppress(OSError):  # reading it will say what is wrong
                status = Path(path).stat()
                dated += [status.st_size, status.st_mtime_ns]
        return {
            "dump": dated,
            "tags": list(tags),
            "min_score": selection.min_score,
            "created": [str(selection.created_from), str(selection.created_until)],
        }

    def _is_read(self, library: str, asked: Mapping[str, Any]) -> bool:
        done = self.landing.done(library, {_DUMP})
        return bool(done) and done[-1].begun == asked


class _Sightings:
    """What collections saw, one collection in memory at a time; irregularities are kept."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = collections
        self.irregularities: list[pl.DataFrame] = []

    def __iter__(self) -> Iterator[Observed]:
        for collection in self._collections:
            seen = observed(collection)
            self.irregularities.append(seen.irregularities)
            yield seen


def _loaded(landing: Landing, library: str, own: Own) -> list[str]:
    """The collections that the tables are made of. Raises :class:`DlbugError` where landing lost one: made of the rest,
    the tables would lose it, too."""
    loaded = own("stackoverflow.collections", _ALL_OF_LIBRARY, [library])["collection"].sort().to_list()
    landing.insist_on(library, loaded)
    return loaded


def _replaced(
    library: str,
    posts: pl.DataFrame | Iterator[pl.DataFrame],
    answers: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    irregularities: pl.DataFrame,
) -> dict[str, Part]:
    """A library's rows as these and no others."""
    return {
        "raw_posts": Part(posts, _ALL_OF_LIBRARY, [library]),
        "raw_answers": Part(answers, _ANSWERS_OF_LIBRARY, [library]),
        "collections": _collections(library, done),
        "irregularities": Part(irregularities, _ALL_OF_LIBRARY, [library]),
    }


def _shown(merged: Merged, added: Sequence[Collection]) -> tuple[dict[str, int], dict[str, Any]]:
    summaries = [collection.done for collection in added]
    counts = {
        "new": merged.new,
        "changed": merged.changed,
        "gone": merged.gone,
        "requests": sum(summary["requests"] for summary in summaries),
    }
    last = summaries[-1] if summaries else {}
    return counts, {"quota left": last.get("quota_left"), "newest activity": last.get("newest_activity")}


def _collections(library: str, done: Sequence[Collection]) -> Part:
    rows = []
    for collection in done:
        summary = collection.done
        newest = summary.get("newest_activity")
        rows.append(
            {
                "library": library,
                "collection": collection.name,
                "kind": collection.kind,
                "begun_at": collection.begun_at,
                "finished_at": datetime.fromisoformat(summary["finished_at"]),
                "requests": summary.get("requests", 0),
                "items": summary.get("items"),
                "quota_left": summary.get("quota_left"),
                "newest_activity": datetime.fromisoformat(newest) if newest else None,
                "note": json.dumps(summary["reading"]) if "reading" in summary else None,
            }
        )
    return Part(pl.DataFrame(rows, schema=_COLLECTIONS), _ALL_OF_LIBRARY, [library])


def _irregularities(library: str, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    rows = pl.concat([pl.DataFrame(schema=IRREGULARITIES), *(frame.select(list(IRREGULARITIES)) for frame in found)])
    return rows.select(pl.lit(library).alias("library"), pl.exclude("content"), blanked(pl.col("content")))


def _parquet(collection: Collection, kind: str) -> list[Path]:
    return sorted(collection.folder.glob(f"{kind}-*.parquet"))


def _read(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file)
