"""Where labels come from: what raters hand in (simulated raters in the sample study), or the authors' release."""

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.rater_labels import ROWS
from dlbug_assets.sample import raters as sample
from dlbug_assets.study import Study


def rater_rows(study: Study, items: pl.DataFrame) -> pl.DataFrame:
    """What raters and adjudicator handed in so far, in order of arrival, not yet validated; columns as in ``ROWS``.

    Raises :class:`DlbugError` where this version cannot read the study's source of labels.
    """
    if study.sources.labels == "sample":
        return sample.rater_rows(study, items)
    if study.sources.labels == "artifact":
        # The release has final labels only: no rater's own ones.
        return pl.DataFrame(schema=ROWS)
    raise DlbugError(
        f"sources.labels = {study.sources.labels!r}: this version of dlbug takes labels from sample or artifact "
        "only. Run the study sample or islam2019."
    )
