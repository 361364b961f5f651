"""Tables as Dagster shows them: their keys, columns, checks and metadata."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.warehouse.checks import CheckOutcome
from dlbug_assets.warehouse.rows import Markdown
from dlbug_assets.warehouse.table_specs import TableSpec

#: Metadata of a materialization: rows that the step read or received, and rows of the table now.
ROWS_IN, ROWS_OUT = "rows in", "dagster/row_count"


def asset_key(table: str) -> dg.AssetKey:
    """Return the asset key of a table: `schema/table` for `schema.table`."""
    return dg.AssetKey(table.split("."))


def library_metadata(notes: Mapping[str, Mapping[str, Any]], totals: Mapping[str, int]) -> dict[str, Any]:
    """Return the notes per library as a table for the UI, and the totals, which the UI plots over time."""
    plotted = {name.replace(" ", "_"): value for name, value in totals.items()}
    rows = [{"library": library, **of_library} for library, of_library in notes.items()]
    return {**plotted, "by_library": markdown_table(pl.DataFrame(rows, infer_schema_length=None, strict=False))}


def rendered(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata in which texts in Markdown are marked as such for the UI."""
    return {
        name: dg.MetadataValue.md(value) if isinstance(value, Markdown) else value for name, value in metadata.items()
    }


def markdown_table(rows: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Format rows as a table in Markdown, which the UI renders."""
    lines = [rows.columns, ["---"] * rows.width]
    lines += [["" if value is None else str(value) for value in row] for row in rows.iter_rows()]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def check_specs(spec: TableSpec) -> list[dg.AssetCheckSpec]:
    """Return the checks of a table as Dagster shows them."""
    return [
        dg.AssetCheckSpec(
            check.name, asset=asset_key(spec.table), description=check.description, blocking=check.blocking
        )
        for check in spec.checks
    ]


def column_schema(spec: TableSpec, origins: Mapping[str, str] | None = None) -> dg.TableSchema:
    """Return the columns for the UI; ``origins`` (column -> its source columns) are added to the descriptions."""
    origins = origins or {}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.data_type,
                description=f"{column.description} [{origins[column.name]}]"
                if origins.get(column.name)
                else column.description,
            )
            for column in spec.columns
        ]
    )


def violation(spec: TableSpec, outcome: CheckOutcome) -> str:
    """Return the error message of a failed check."""
    return (
        f"{spec.table}: check {outcome.check.name} ({outcome.check.description}) is violated by "
        f"{outcome.violations} rows, such as {outcome.sample}. The table keeps its previous content."
    )


def check_result(spec: TableSpec, outcome: CheckOutcome) -> dg.AssetCheckResult:
    """Return the outcome of a check as Dagster records it."""
    metadata: dict[str, Any] = {"violations": outcome.violations, "query": outcome.check.violations}
    if not outcome.passed:
        metadata["sample"] = outcome.sample
    return dg.AssetCheckResult(
        asset_key=asset_key(spec.table),
        check_name=outcome.check.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.check.blocking else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
