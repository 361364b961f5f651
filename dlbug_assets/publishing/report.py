"""The report: a folder with one self-contained HTML page, figures and tables, rendered from the rows of queries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from dlbug_assets.parallel import parallel_map
from dlbug_assets.publishing import figures, tables
from dlbug_assets.publishing.figures import FIGURES, RenderedFigure
from dlbug_assets.publishing.report_queries import QUERIES

_MISSING = "-"
TEMPLATES = Path(__file__).parent / "templates"
_P_SMALLEST = 0.001


def render_figures(rows: Mapping[str, pl.DataFrame]) -> list[RenderedFigure]:
    """Return every figure, from the rows of :data:`report_queries.QUERIES` by name."""
    notice = _notice(rows)
    return [figures.render_figure(figure, rows[figure.name], notice) for figure in FIGURES]


def report_files(rows: Mapping[str, pl.DataFrame], rendered: Sequence[RenderedFigure]) -> dict[str, bytes]:
    """Return the files of the report by their path within its folder."""
    notice = _notice(rows)
    files = {"index.html": render_page(rows, rendered).encode()}
    # The conversion to PNG and PDF releases the GIL.
    for figure_files in parallel_map(figures.files, rendered):
        files |= {f"figures/{name}": content for name, content in figure_files.items()}
    for table in tables.paper_tables(rows):
        files |= {f"tables/{name}": content for name, content in tables.files(table, notice).items()}
    return files


def render_page(rows: Mapping[str, pl.DataFrame], rendered: Sequence[RenderedFigure]) -> str:
    """Return the page as HTML. Its numbers are those of the rows; the template computes none."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell": _cell, "printed": _printed, "percent": _percent, "p": _p_value, "spaced": _spaced}
    table_markup = {
        table.name: {"table": table, "html": tables.html(table, with_published=table.has_published)}
        for table in tables.paper_tables(rows)
    }
    return environment.get_template("report.html.j2").render(
        **{name: frame.to_dicts() for name, frame in rows.items() if name not in {"info", "study"}},
        info=dict(rows["info"].iter_rows()),
        study=rows["study"].row(0, named=True),
        queries=QUERIES,
        figures={
            # chart_style.svg escapes the text in it.
            each.figure.name: {"rendered": each, "svg": None if each.svg is None else Markup(each.svg)}  # noqa: S704
            for each in rendered
        },
        tables=table_markup,
    )


def _notice(rows: Mapping[str, pl.DataFrame]) -> str | None:
    """Return the notice that marks everything of a synthetic study, None for a study of real data."""
    info = dict(rows["info"].iter_rows())
    return info["notice"] if info["is_synthetic"] == "true" else None


def _cell(value: Any) -> str:
    """Format a value: floats with three decimals, times to the minute (UTC), a dash for NULL."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z.3f}"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value)


def _printed(value: float | None, decimals: int) -> str:
    """Format a number for comparison with one that is printed with so many decimals; whole numbers with up to one."""
    if value is None:
        return _MISSING
    return f"{value:z.{decimals}f}" if decimals else f"{value:z.1f}".removesuffix(".0")


def _percent(share: float | None) -> str:
    return _MISSING if share is None else f"{100 * share:.1f}%"


def _p_value(value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"<{_P_SMALLEST}" if value < _P_SMALLEST else f"{value:.3f}"


def _spaced(name: str) -> str:
    """Replace the underscores in the name of a column or dimension by spaces."""
    return name.replace("_", " ")
