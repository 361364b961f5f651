"""Where posts come from. Every source has one shape: for a library it yields batches of rows in the raw schema."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from dlbug_assets import artifact
from dlbug_assets.errors import DlbugError
from dlbug_assets.sample import posts as sample
from dlbug_assets.study import Study

_ANSWER_COLUMNS = (
    "answer_id",
    "post_id",
    "score",
    "is_accepted",
    "body_html",
    "created_at",
    "last_activity_at",
    "owner_hash",
    "content_license",
)


@dataclass(frozen=True)
class PostBatch:
    """Questions of one library with the columns of stackoverflow.raw_posts, answers with those of raw_answers.

    retrieved_at is left out: it is added where the rows are stored.
    """

    posts: pl.DataFrame
    answers: pl.DataFrame


PostSource = Callable[[str], Iterator[PostBatch]]


def post_source(study: Study, release: Callable[[], pl.DataFrame]) -> PostSource:
    """The source that the study names, as a function of the library.

    ``release`` gives the rows of the authors' release where that is the source. Raises :class:`DlbugError` where
    this version cannot collect from the source.
    """

    def from_sample(library: str) -> Iterator[PostBatch]:
        yield PostBatch(sample.posts(study, library), sample.answers(study, library))

    def from_release(library: str) -> Iterator[PostBatch]:
        # The release knows posts by their numbers alone; it has no answers.
        yield PostBatch(artifact.posts(release(), library), pl.DataFrame(schema=_ANSWER_COLUMNS))

    sources: dict[str, PostSource] = {"sample": from_sample, "artifact": from_release}
    if study.sources.posts not in sources:
        raise DlbugError(
            f"sources.posts = {study.sources.posts!r}: this version of dlbug takes posts from "
            f"{' or '.join(sources)} only. Run the study sample or islam2019."
        )
    return sources[study.sources.posts]
