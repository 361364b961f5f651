"""Printed numbers with how they came about: what a search over small edits of the released labels makes of them."""

from collections.abc import Callable

import polars as pl

from dlbug_assets.analysis.reconstruction.printed_tables import PrintedTable, printed_tables
from dlbug_assets.analysis.reconstruction.reconstruction import Reconstruction, reconstruct
from dlbug_assets.warehouse.rows import table_schema


def replication_diff(
    cells: pl.DataFrame,
    labels: pl.DataFrame,
    bug_labels: pl.DataFrame,
    leftovers: pl.DataFrame,
    search: Callable[[PrintedTable], Reconstruction] = reconstruct,
) -> dict[str, pl.DataFrame]:
    """Return analysis.replication_diff and analysis.reconstruction by name without schema.

    ``cells`` is analysis.replication_cells, ``labels`` labeling.labels in the order of the release, ``bug_labels``
    labeling.bug_labels and ``leftovers`` labeling.leftover_labels; ``search`` reconstructs a table.

    replication_diff adds reconstructed, the value after the chosen edits, and explanation to the cells, for shares of
    printed tables, bars of the same shares, and P values that were computed from them; both are NULL elsewhere.
    Explained are only numbers that differ from the computed ones.
    """
    found, values, explanations = [], {}, {}
    for table in printed_tables(cells, labels, bug_labels, leftovers):
        reconstruction = search(table)
        found += [{"reference": table.reference, **vars(one)} for one in reconstruction.found]
        values |= reconstruction.values
        explanations |= reconstruction.explanations
    is_explained = cells["same_when_rounded"].fill_null(value=True).not_()
    diff = cells.with_columns(
        reconstructed=pl.Series([values.get(key) for key in cells["position"]], dtype=pl.Float64),
        explanation=pl.when(is_explained).then(
            pl.Series([explanations.get(key) for key in cells["position"]], dtype=pl.String)
        ),
    )
    return {
        "replication_diff": diff.select(table_schema("analysis.replication_diff").names()),
        "reconstruction": pl.DataFrame(found, schema=table_schema("analysis.reconstruction")),
    }
