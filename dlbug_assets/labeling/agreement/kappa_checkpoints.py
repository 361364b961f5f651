"""The tables kappa_checkpoints and category_kappa, with a chart for the UI."""

import polars as pl

from dlbug_assets.labeling.agreement.chart import below_target, chart
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import Markdown, Rows


def kappa_checkpoints(
    labels: pl.DataFrame, units: pl.DataFrame, items: pl.DataFrame, imported: pl.DataFrame, study: Study
) -> dict[str, Rows]:
    """Return the rows of labeling.kappa_checkpoints and labeling.category_kappa.

    ``labels`` is labeling.rater_labels, the other frames are the tables of that name. See
    :func:`~dlbug_assets.labeling.agreement.checkpoints.measure`.
    """
    agreement = measure(labels, units, items, study, imported)
    below = below_target(agreement.kappa_checkpoints, study.labeling.kappa_target) or ["Nothing is below the target."]
    shown = {
        "agreement": Markdown(chart(agreement.kappa_checkpoints, study)),
        "below the target": Markdown("\n".join(f"- {sentence}" for sentence in below)),
    }
    return {
        "kappa_checkpoints": Rows(agreement.kappa_checkpoints, shown),
        "category_kappa": Rows(agreement.category_kappa),
    }
