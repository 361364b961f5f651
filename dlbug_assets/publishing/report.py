"""The report: a folder with one self-contained HTML page, the figures and the tables, made from rows of queries."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from dlbug_assets.parallel import parallel_map
from dlbug_assets.publishing import figures, tables
from dlbug_assets.publishing.figures import FIGURES, Picture
from dlbug_assets.publishing.report_queries import QUERIES

_MISSING = "-"
TEMPLATES = Path(__file__).parent / "templates"
_P_SMALLEST = 0.001


def pictures(rows: Mapping[str, pl.DataFrame]) -> list[Picture]:
    """Every figure, drawn or with the reason why it is not, from the rows of :data:`contents.QUERIES`."""
    notice = _notice(rows)
    return [figures.drawn(figure, rows[figure.name], notice) for figure in FIGURES]


def contents(rows: Mapping[str, pl.DataFrame], drawn: Sequence[Picture]) -> dict[str, bytes]:
    """The files of the report by their path within it."""
    notice = _notice(rows)
    made = {"index.html": render(rows, drawn).encode()}
    # What turns them into files leaves Python to the others meanwhile.
    for files in parallel_map(figures.files, drawn):
        made |= {f"figures/{name}": content for name, content in files.items()}
    for table in tables.of_study(rows):
        made |= {f"tables/{name}": content for name, content in tables.files(table, notice).items()}
    return made


def render(rows: Mapping[str, pl.DataFrame], drawn: Sequence[Picture]) -> str:
    """The page as HTML. Nothing is computed here: what it says is in the rows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell": _cell, "printed": _printed, "percent": _percent, "p": _p_value, "words": _words}
    set_tables = {
        table.name: {"table": table, "html": tables.html(table, is_beside=table.has_published)}
        for table in tables.of_study(rows)
    }
    return environment.get_template("report.html.j2").render(
        **{name: frame.to_dicts() for name, frame in rows.items() if name not in {"info", "study"}},
        info=dict(rows["info"].iter_rows()),
        study=rows["study"].row(0, named=True),
        queries=QUERIES,
        pictures={
            # Drawn by us from escaped text: markup, not text.
            picture.figure.name: {"picture": picture, "svg": None if picture.svg is None else Markup(picture.svg)}  # noqa: S704
            for picture in drawn
        },
        tables=set_tables,
    )


def _notice(rows: Mapping[str, pl.DataFrame]) -> str | None:
    """What must stand on everything of a synthetic study; None for one of real data."""
    info = dict(rows["info"].iter_rows())
    return info["notice"] if info["is_synthetic"] == "true" else None


def _cell(value: Any) -> str:
    """A value for people: fractions with three digits after the point, a dash for what is not there."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z.3f}"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value)


def _printed(value: float | None, reference: str) -> str:
    """A number beside one of a printed table: P values with as many digits as there, percents with one after the point
    where it is not 0."""
    if value is None:
        return _MISSING
    return f"{value:.4f}" if reference.endswith("_p") else f"{value:z.1f}".removesuffix(".0")


def _percent(share: float | None) -> str:
    return _MISSING if share is None else f"{100 * share:.1f}%"


def _p_value(value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"<{_P_SMALLEST}" if value < _P_SMALLEST else f"{value:.3f}"


def _words(name: str) -> str:
    """A name of a table or column, as words."""
    return re.sub(r"_", " ", name)
