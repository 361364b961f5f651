"""The report: one self-contained HTML page of the study's tables and findings beside the paper's."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.taxonomy import DIMENSIONS

#: What the report shows; the asset depends on these.
REPORT_TABLES = (
    "publishing.study_info",
    "analysis.dataset_summary",
    *(f"analysis.{dimension}_distribution" for dimension in DIMENSIONS),
    "analysis.source_comparison",
    "analysis.library_correlation",
    "analysis.findings",
    "analysis.finding_verdicts",
    "analysis.replication_diff",
    "analysis.repeats",
    "labeling.kappa_checkpoints",
    "stackoverflow.funnel",
)

_MISSING = "-"
_TEMPLATES = Path(__file__).parent / "templates"


def render(tables: Mapping[str, pl.DataFrame]) -> str:
    """The page as HTML, from the frames of :data:`REPORT_TABLES`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    environment.filters["percent"] = _percent
    info = dict(tables["publishing.study_info"].iter_rows())
    diff = tables["analysis.replication_diff"].sort("reference", "category", "library", "source")
    return environment.get_template("report.html.j2").render(
        info=info,
        summary=tables["analysis.dataset_summary"].to_dicts(),
        funnel=tables["stackoverflow.funnel"].to_dicts(),
        kappas=tables["labeling.kappa_checkpoints"].filter(pl.col("scope") == "cumulative").to_dicts(),
        distributions={
            dimension: _cross_table(tables[f"analysis.{dimension}_distribution"]) for dimension in DIMENSIONS
        },
        comparison=tables["analysis.source_comparison"].to_dicts(),
        correlation=tables["analysis.library_correlation"].to_dicts(),
        verdicts=tables["analysis.finding_verdicts"].sort("finding").to_dicts(),
        findings=tables["analysis.findings"].to_dicts(),
        repeats=tables["analysis.repeats"].to_dicts(),
        diff_counts=_diff_counts(diff),
        differing=diff.filter(pl.col("same_when_rounded").not_().fill_null(value=False)).to_dicts(),
        not_computed=diff.filter(pl.col("computed").is_null()).height,
    )


def write_report(folder: Path, page: str) -> Path:
    """Write index.html, replacing an older one at once; returns its path. Raises :class:`DlbugError`."""
    target = folder / "index.html"
    unfinished = folder / "index.html.unfinished"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(target)
    except OSError as error:
        raise DlbugError(
            f"cannot write {target}: {error.strerror}. Make the folder writable or free some disk space, and run again."
        ) from None
    return target


def _cross_table(distribution: pl.DataFrame) -> dict[str, Any]:
    """Per source a table of categories by libraries; categories that nobody used are left out and named."""
    used = set(distribution.filter(pl.col("bugs") > 0)["category"])
    categories = [name for name in distribution["category"].unique(maintain_order=True) if name in used]
    return {
        "libraries": distribution["library"].unique(maintain_order=True).to_list(),
        "categories": categories,
        "unused": sorted(set(distribution["category"]) - set(categories)),
        "sources": [
            {
                "source": source,
                "cells": {
                    (row["category"], row["library"]): row
                    for row in distribution.filter(pl.col("source") == source).to_dicts()
                },
            }
            for source in distribution["source"].unique(maintain_order=True)
        ],
    }


def _diff_counts(diff: pl.DataFrame) -> list[dict[str, Any]]:
    return (
        diff.group_by("reference", maintain_order=True)
        .agg(
            pl.len().alias("cells"),
            pl.col("same_when_rounded").fill_null(value=False).sum().alias("same"),
            pl.col("computed").is_null().sum().alias("not_computed"),
        )
        .to_dicts()
    )


def _cell(value: Any) -> str:
    """A value for people: numbers with three digits after the point at most, a dash for what is not there."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else str(value)
    return str(value)


def _percent(share: float | None) -> str:
    return _MISSING if share is None else f"{100 * share:.0f}%"
