"""Assets of the analysis that Python computes: statistics on frames.

Counts and joins are SQL models.
"""

from functools import partial
from pathlib import Path

import dagster as dg

from dlbug_assets.analysis.claims.claims import claims
from dlbug_assets.analysis.claims.history import claim_history
from dlbug_assets.analysis.claims.queries import queried_tables
from dlbug_assets.analysis.claims.sensitivity import finding_sensitivity
from dlbug_assets.analysis.clusters import clusters
from dlbug_assets.analysis.comparison import source_comparison
from dlbug_assets.analysis.correlation import library_correlation
from dlbug_assets.analysis.distributions import distributions, yearly_evolution
from dlbug_assets.analysis.first_batch import first_batch
from dlbug_assets.analysis.reconstruction.kept import kept_reconstruction
from dlbug_assets.analysis.repeat_agreement import repeat_agreement
from dlbug_assets.analysis.replication_cells import replication_cells
from dlbug_assets.analysis.replication_diff import replication_diff
from dlbug_assets.analysis.source_tests import source_differences
from dlbug_assets.analysis.stratified_tests import stratified_tests
from dlbug_assets.analysis.trends import trends
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.protocol.claims import study_claims
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.rows import Columns

_COUNTS = {"counts": "analysis.label_counts"}
_CLUSTERS = {"clusters": "analysis.cluster_counts"}
_LABELS = {"labels": "labeling.labels"}
_LEFTOVERS = {"leftovers": "labeling.leftover_labels"}
_CLAIMS = _LABELS | {
    "clusters": "analysis.clusters",
    "stated": "reference.claims",
    "bug_labels": "labeling.bug_labels",
    "categories": "labeling.categories",
    "taxonomy": "reference.taxonomy",
}


def assets(tables: TableAssets, reconstructions: Path) -> list[dg.AssetsDefinition]:
    """Return the assets of the analysis that Python computes; ``reconstructions`` is the folder of kept ones."""
    study = tables.study
    queried = queried_tables(study_claims(study, load_taxonomy(study)), tables.specs)
    has = tables.specs.__contains__
    return [
        tables.table("analysis.clusters", compute=partial(clusters, study=study), reads=_LABELS),
        tables.table(
            *(f"analysis.{dimension}_distribution" for dimension in study.dimension_names),
            compute=partial(distributions, study=study),
            reads=_COUNTS | _CLUSTERS,
        ),
        *(
            [
                tables.table(
                    "analysis.source_comparison",
                    compute=partial(source_comparison, study=study),
                    reads=_COUNTS | {"published": "reference.published_cells"},
                ),
                tables.table(
                    "analysis.source_tests",
                    *(table for table in ("analysis.source_residuals",) if has(table)),
                    compute=partial(source_differences, study=study),
                    reads=_COUNTS | _CLUSTERS,
                ),
            ]
            if has("analysis.source_comparison")
            else []
        ),
        *(
            [
                tables.table(
                    "analysis.stratified_tests",
                    compute=partial(stratified_tests, study=study),
                    reads=_COUNTS | _CLUSTERS,
                ),
            ]
            if has("analysis.source_residuals")
            else []
        ),
        tables.table(
            "analysis.library_correlation", compute=partial(library_correlation, study=study), reads=_COUNTS | _CLUSTERS
        ),
        tables.table("analysis.yearly_evolution", compute=yearly_evolution, reads={"counts": "analysis.yearly_counts"}),
        tables.table(
            "analysis.trends",
            compute=partial(trends, study=study),
            reads=_LABELS
            | {
                "evolution": "analysis.yearly_evolution",
                "bug_labels": "labeling.bug_labels",
                "clusters": "analysis.clusters",
            },
        ),
        tables.table(
            "analysis.claims",
            "analysis.findings",
            "analysis.claim_thresholds",
            "analysis.leave_one_out",
            compute=partial(claims, study=study),
            reads=_CLAIMS | {table: table for table in sorted(queried)},
        ),
        *(
            [tables.history("analysis.claim_history", compute=claim_history, reads={"claims": "analysis.claims"})]
            if has("analysis.claim_history")
            else []
        ),
        tables.table(
            "analysis.finding_sensitivity",
            compute=partial(finding_sensitivity, study=study),
            reads=_CLAIMS | _LEFTOVERS,
        ),
        tables.table(
            "analysis.repeat_agreement",
            compute=partial(repeat_agreement, study=study),
            reads=_LABELS | _LEFTOVERS,
        ),
        tables.table(
            "analysis.replication_cells",
            compute=replication_cells,
            reads=_COUNTS
            | {
                "published": "reference.published_cells",
                "sizes": "analysis.dataset_sizes",
                "crosstab": "analysis.crosstab",
                "yearly": "analysis.yearly_counts",
                "correlation": "analysis.library_correlation",
            }
            | ({"comparison": "analysis.source_comparison"} if has("analysis.source_comparison") else {}),
        ),
        tables.table(
            "analysis.first_batch",
            compute=first_batch,
            reads=_LABELS | _LEFTOVERS | {"cells": "analysis.replication_cells", "bug_labels": "labeling.bug_labels"},
        ),
        tables.table(
            "analysis.replication_diff",
            "analysis.reconstruction",
            compute=partial(replication_diff, search=partial(kept_reconstruction, folder=reconstructions)),
            reads={
                "cells": "analysis.replication_cells",
                "labels": Columns("labeling.labels", ("bug_id", "library", "source")),
                "bug_labels": "labeling.bug_labels",
                "leftovers": "labeling.leftover_labels",
            },
        ),
    ]
