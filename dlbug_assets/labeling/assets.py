"""Assets of labelling, from the queue of items to the agreed bugs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import dagster as dg

from dlbug_assets import releases
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.clock import Clock
from dlbug_assets.labeling import rounds
from dlbug_assets.labeling.adjudication import disagreements, labels
from dlbug_assets.labeling.agreement.kappa_checkpoints import kappa_checkpoints
from dlbug_assets.labeling.agreement.leftover_labels import leftover_labels
from dlbug_assets.labeling.items import items
from dlbug_assets.labeling.questions import questions
from dlbug_assets.labeling.rater_labels import rater_labels
from dlbug_assets.labeling.units import units
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.rows import Columns

_ITEMS = {"items": "labeling.items"}
_RATER_LABELS = {"labels": "labeling.rater_labels"}
_UNITS = {"units": "labeling.units"}
_QUESTIONS = {"questions": "labeling.questions"}
_IMPORTED = {"imported": "labeling.imported_labels"}


def assets(
    study: Study, folder: Path, tables: TableAssets, taxonomy: Taxonomy, release: Callable[[], releases.Released]
) -> list[dg.AssetsDefinition]:
    """Return the assets of the group labeling.

    ``folder`` contains the submitted sheets and the frozen rounds. ``release`` returns the rows of the study's
    releases, where labels come from there.
    """
    return [
        tables.table(
            "labeling.items",
            compute=partial(
                items, study=study, frozen_rounds=partial(rounds.frozen, folder / "queue"), release=release
            ),
            reads={
                "candidates": "stackoverflow.candidate_posts",
                "commits": "github.sampled_commits",
                "posts": Columns("stackoverflow.raw_posts", ("library", "post_id", "title", "created_at")),
                "fixes": Columns("github.fix_commits", ("library", "sha", "title", "authored_at")),
            },
        ),
        tables.table(
            "labeling.rater_labels",
            "labeling.rejected_labels",
            "labeling.receipts",
            "labeling.imported_labels",
            compute=partial(
                rater_labels, study=study, taxonomy=taxonomy, folder=folder, clock=Clock(), release=release
            ),
            reads=_ITEMS,
        ),
        tables.table(
            "labeling.units",
            compute=partial(units, study=study, release=release),
            reads=_RATER_LABELS | _ITEMS | _IMPORTED,
        ),
        tables.table(
            "labeling.questions",
            compute=partial(questions, study=study),
            reads=_RATER_LABELS | _UNITS | _ITEMS | _IMPORTED | {"rejected": "labeling.rejected_labels"},
        ),
        tables.table(
            "labeling.kappa_checkpoints",
            "labeling.category_kappa",
            compute=partial(kappa_checkpoints, study=study),
            reads=_RATER_LABELS | _UNITS | _ITEMS | _IMPORTED,
        ),
        tables.table(
            "labeling.disagreements",
            compute=partial(disagreements, study=study),
            reads=_RATER_LABELS | _QUESTIONS | _IMPORTED,
        ),
        tables.table(
            "labeling.labels",
            "labeling.bug_labels",
            compute=partial(labels, study=study, taxonomy=taxonomy, release=release),
            reads={"rater_labels": "labeling.rater_labels", "brackets": "reference.post_id_years"}
            | _QUESTIONS
            | _UNITS
            | _ITEMS
            | _IMPORTED,
        ),
        tables.table("labeling.leftover_labels", compute=partial(leftover_labels, study=study, release=release)),
    ]
