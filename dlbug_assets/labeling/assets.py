"""The tables of labelling, from the queue of items to the agreed bugs."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl

from dlbug_assets import releases
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.clock import Clock
from dlbug_assets.labeling import adjudication, rater_labels, rounds, units
from dlbug_assets.labeling.agreement import checkpoints
from dlbug_assets.labeling.agreement.chart import chart, disagreeing
from dlbug_assets.labeling.items import completed, dated, order_queue, queue
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.rows import Columns, Rows


def assets(
    study: Study, folder: Path, tables: TableAssets, taxonomy: Taxonomy, release: Callable[[], pl.DataFrame]
) -> list[dg.AssetsDefinition]:
    """The room's assets; ``folder`` has the sheets that come in and the frozen rounds, ``release`` gives the rows of
    the authors' release, which has items and final labels but no raters."""
    is_released = study.sources.labels == "artifact"

    @tables.whole(
        "labeling.items",
        reads={
            "candidates": "stackoverflow.candidate_posts",
            "commits": "github.sampled_commits",
            "posts": Columns("stackoverflow.raw_posts", ("library", "post_id", "title", "created_at")),
            "fixes": Columns("github.fix_commits", ("library", "sha", "title", "authored_at")),
        },
    )
    def items(
        candidates: pl.DataFrame, commits: pl.DataFrame, posts: pl.DataFrame, fixes: pl.DataFrame
    ) -> pl.DataFrame:
        if is_released:
            return order_queue(completed(releases.items(release()), posts, fixes), study)
        return queue(candidates, commits, study, rounds.frozen(folder / "queue"))

    @tables.whole("labeling.rater_labels", "labeling.rejected_labels", reads={"items": "labeling.items"})
    def handed_in(items: pl.DataFrame) -> dict[str, Rows]:
        came = rater_labels.labels(study, items, taxonomy, folder, Clock())
        return {"rater_labels": Rows(came.labels, dict(came.counts)), "rejected_labels": Rows(came.rejected)}

    @tables.whole("labeling.units", reads={"labels": "labeling.rater_labels", "items": "labeling.items"})
    def frozen_units(labels: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
        if is_released:
            return releases.units(releases.labels(release()))
        return units.freeze(labels, items, study)

    @tables.whole(
        "labeling.kappa_checkpoints",
        "labeling.category_kappa",
        reads={"labels": "labeling.rater_labels", "items": "labeling.items"},
    )
    def kappas(labels: pl.DataFrame, items: pl.DataFrame) -> dict[str, Rows]:
        target = study.labeling.kappa_target
        checkpoints, categories = checkpoints.measure(labels, items, study)
        below = disagreeing(checkpoints, target) or ["Nothing is below the target."]
        shown = {
            "agreement": dg.MetadataValue.md(chart(checkpoints, target)),
            "below the target": dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in below)),
        }
        return {"kappa_checkpoints": Rows(checkpoints, shown), "category_kappa": Rows(categories)}

    @tables.whole("labeling.disagreements", reads={"labels": "labeling.rater_labels", "frozen": "labeling.units"})
    def disagreements(labels: pl.DataFrame, frozen: pl.DataFrame) -> pl.DataFrame:
        return adjudication.disagreements(labels, frozen, study)

    @tables.whole(
        "labeling.labels",
        reads={"handed_in": "labeling.rater_labels", "frozen": "labeling.units", "items": "labeling.items"},
    )
    def labels(handed_in: pl.DataFrame, frozen: pl.DataFrame, items: pl.DataFrame) -> Rows:
        if is_released:
            rows = release()
            return Rows(dated(releases.labels(rows), items), releases.dirt(rows))
        return Rows(adjudication.decide(handed_in, frozen, items, study))

    return [items, handed_in, frozen_units, kappas, disagreements, labels]
