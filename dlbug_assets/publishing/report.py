"""The report: a folder with one self-contained HTML page, figures and tables, rendered from the rows of queries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from dlbug_assets.analysis.claims.support import CONTRADICTED, DRAWS, SUPPORTED
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.names import in_sentence, plural, slug
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing import tables
from dlbug_assets.publishing.badges import badge_names, badges
from dlbug_assets.publishing.contents import (
    author_names,
    has_raters,
    items_of,
    missing_agreement,
    printed_text,
    prints_p_values,
    question_of,
    reference_text,
    related_dimensions,
)
from dlbug_assets.publishing.figures import RenderedFigure, figure_files, figures, render_figure
from dlbug_assets.publishing.report_queries import queries

_MISSING = "-"
TEMPLATES = Path(__file__).parent / "templates"
_P_SMALLEST = 0.001


def render_figures(rows: Mapping[str, pl.DataFrame], study: Study) -> list[RenderedFigure]:
    """Return every figure of a study, from the rows of :func:`report_queries.queries` by name."""
    notice = _notice(rows)
    return [render_figure(figure, rows[figure.name], notice) for figure in figures(study)]


def report_files(
    rows: Mapping[str, pl.DataFrame], rendered: Sequence[RenderedFigure], study: Study
) -> dict[str, bytes]:
    """Return the files of the report by their path within its folder."""
    notice = _notice(rows)
    files = {"index.html": render_page(rows, rendered, study).encode()}
    # The conversion to PNG and PDF releases the GIL.
    for of_figure in parallel_map(figure_files, rendered):
        files |= {f"figures/{name}": content for name, content in of_figure.items()}
    files |= {f"badges/{name}": content for name, content in badges(_claims(rows), notice).items()}
    for table in tables.study_tables(study, rows):
        files |= {f"tables/{name}": content for name, content in tables.files(table, notice).items()}
    return files


def render_page(rows: Mapping[str, pl.DataFrame], rendered: Sequence[RenderedFigure], study: Study) -> str:
    """Return the page as HTML. Its numbers are those of the rows; the template computes none."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    titles = {dimension.name: dimension.title for dimension in study.dimensions} | {"is_bug": "Is it a bug?"}
    environment.filters |= {
        "cell": _cell,
        "printed": _printed,
        "percent": _percent,
        "p": _p_value,
        "probability": _probability,
        "spaced": _spaced,
        "title_of": titles.__getitem__,
        "inline": in_sentence,
        "reference": reference_text,
        "printed_text": printed_text,
    }
    content = rows.keys()
    return environment.get_template("report.html.j2").render(
        **{name: frame.to_dicts() for name, frame in rows.items() if name != "info"},
        has=content.__contains__,
        info=dict(rows["info"].iter_rows()),
        study=study,
        group=study.study.group,
        groups=plural(study.study.group),
        sources=[{"name": name, "slug": slug(name), "items": items_of(name)} for name in study.source_names],
        sections=_sections(rows, study),
        relation=related_dimensions(study),
        no_agreement=missing_agreement(study, rows["rater_labels"].item()),
        supported=f"{SUPPORTED:.0%}",
        contradicted=f"{CONTRADICTED:.0%}",
        draws=f"{DRAWS:,}",
        prints_p_values=prints_p_values(study),
        authors=" and ".join(author_names(study)),
        queries=queries(study),
        badges={row["position"]: name for row, name in zip(_claims(rows), badge_names(_claims(rows)), strict=True)},
        figures={
            # chart_style.svg escapes the text in it.
            each.figure.name: {"rendered": each, "svg": None if each.svg is None else Markup(each.svg)}  # noqa: S704
            for each in rendered
        },
        tables={
            table.name: {"table": table, "html": tables.html(table, with_published=table.has_published)}
            for table in tables.study_tables(study, rows)
        },
    )


def _claims(rows: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """Return the claims in the order of the study, none for a study without claims."""
    return rows["claims"].sort("position").to_dicts() if "claims" in rows else []


def _sections(rows: Mapping[str, pl.DataFrame], study: Study) -> list[tuple[str, str]]:
    """Return the identifiers and titles of the page's sections, in order."""
    has_agreement = has_raters(study) or any(rows[name].height for name in ("kappas", "repeat_agreement"))
    optional = {
        "claims": ("All claims", "claims" in rows),
        "study": ("The study and its sources", True),
        "data": ("The data", True),
        "agreement": ("Agreement of the raters", has_agreement),
        **{
            f"rq{number}": (f"RQ{number}: {question_of(dimension)}", True)
            for number, dimension in enumerate(study.dimensions, start=1)
        },
        "relation": ("Relations between dimensions", related_dimensions(study) is not None),
        "groups": (f"{plural(study.study.group)} compared", "correlation" in rows),
        "years": ("Changes over the years", True),
        "findings": ("The claims in detail", "claims" in rows),
        "differences": ("Differences from the printed numbers", "diff_counts" in rows),
        "threats": ("Threats to validity", True),
        "cite": ("How to cite", True),
    }
    return [(name, title) for name, (title, is_shown) in optional.items() if is_shown]


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
    """Format a number with these decimals."""
    return _MISSING if value is None else f"{value:z.{decimals}f}"


def _percent(share: float | None) -> str:
    return _MISSING if share is None else f"{100 * share:.1f}%"


def _p_value(value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"<{_P_SMALLEST}" if value < _P_SMALLEST else f"{value:.3f}"


def _probability(share: float | None) -> str:
    return _MISSING if share is None else f"{share:.2f}"


def _spaced(name: str) -> str:
    """Replace the underscores in the name of a column or dimension by spaces."""
    return name.replace("_", " ")
