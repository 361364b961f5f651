"""Tables 1 to 4 of the paper with this study's numbers, as CSV, LaTeX and HTML, alone and with the printed numbers.

A cell contains its number, the printed one and whether the two differ; each format decides how to show them. Every
number comes from the query of its table.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup, escape

from dlbug_assets.ingest.csv_cells import escape as escape_cell
from dlbug_assets.protocol.taxonomy import SOURCES

_MISSING = "-"
_DIFFERS = "≠"
_SHORT = {"Stack Overflow": "SO", "GitHub": "GH"}
_P_DECIMALS = 4

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", _DIFFERS: r"$\neq$",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A number as text, the printed number (None if there is none), and whether they differ."""

    computed: str
    published: str | None = None
    differs: bool = False


@dataclass(frozen=True)
class Table:
    """A table of numbers: ``groups`` are (title, number of columns) above ``columns``; a row has a title and cells."""

    name: str
    label: str
    title: str
    query: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @property
    def has_published(self) -> bool:
        """Whether the paper prints any of the numbers."""
        return any(cell.published is not None for _, cells in self.rows for cell in cells)


DATASET_QUERY = "from analysis.dataset_summary"
_DIMENSIONS = {2: ("bug_type", "bug types"), 3: ("root_cause", "root causes"), 4: ("effect", "effects")}


def share_query(number: int) -> str:
    """Return the query of Table 2, 3 or 4: one row per category, library and source, and one per P value."""
    dimension = _DIMENSIONS[number][0]
    return f"""
with cells as (
    select category, library, source, bugs, total, 100 * bugs / nullif(total, 0) as computed
    from analysis.{dimension}_distribution
    where source <> 'both' and library <> 'All'
    union all
    select category, 'All' as library, 'both' as source, null as bugs, null as total, p_paper_rounded as computed
    from analysis.source_comparison
    where dimension = '{dimension}'
)

select
    cells.*, printed.published, coalesce(not printed.same_when_rounded, false) as differs,
    sum(cells.bugs) over (partition by cells.category) > 0 or printed.published is not null as is_used
from cells
left join analysis.replication_diff as printed
    on printed.dimension = '{dimension}' and printed.category = cells.category
    and printed.library = cells.library and printed.source = cells.source
    and printed.unit in ('percent', 'p') and printed.reading = 'printed'
    and printed.within_category is null and printed.year is null
left join reference.libraries as libraries on libraries.library = cells.library
left join reference.taxonomy as taxonomy on taxonomy.dimension = '{dimension}' and taxonomy.name = cells.category
left join reference.taxonomy as sources on sources.dimension = 'source' and sources.name = cells.source
order by taxonomy.position, libraries.position nulls last, sources.position""".strip()


def dataset(rows: pl.DataFrame) -> Table:
    """Return Table 1 from the rows of analysis.dataset_summary."""
    names = ("posts", "post_bugs", "commits", "commit_bugs")

    def cell(row: Mapping[str, int | None], name: str) -> Cell:
        computed, published = row[name], row[f"published_{name}"]
        return Cell(
            _MISSING if computed is None else str(computed),
            None if published is None else str(published),
            None not in (computed, published) and computed != published,
        )

    return Table(
        "table1",
        "Table 1",
        "Summary of the dataset",
        DATASET_QUERY,
        tuple((source, 2) for source in SOURCES),
        ("Posts", "Bugs", "Commits", "Bugs"),
        tuple((row["library"], tuple(cell(row, name) for name in names)) for row in rows.to_dicts()),
    )


def shares(number: int, rows: pl.DataFrame) -> Table:
    """Return Table 2, 3 or 4 from the rows of :func:`share_query`.

    Cells are percents of the bugs of a library and source. The last column is the P value of the paper's test, the last
    row the number of bugs. Categories that are neither used nor printed are left out.
    """
    cells = {(row["category"], row["library"], row["source"]): row for row in rows.to_dicts()}
    totals = {
        (library, source): total
        for library, source, total in rows.select("library", "source", "total").rows()
        if source != "both"
    }
    pairs = list(totals)

    def cell(category: str, library: str, source: str) -> Cell:
        row = cells.get((category, library, source))
        if row is None:
            return Cell(_MISSING)
        form = _p_value if source == "both" else _percent
        published = None if row["published"] is None else form(row["published"])
        return Cell(form(row["computed"]), published, row["differs"])

    used = rows.filter(pl.col("is_used"))["category"].unique(maintain_order=True)
    return Table(
        f"table{number}",
        f"Table {number}",
        f"Statistics of {_DIMENSIONS[number][1]}, percent of the bugs of Stack Overflow (SO) and GitHub (GH)",
        share_query(number),
        (*Counter(library for library, _ in pairs).items(), ("", 1)),
        (*(_SHORT[source] for _, source in pairs), "P value"),
        (
            *((category, tuple(cell(category, *place) for place in (*pairs, ("All", "both")))) for category in used),
            ("Bugs", (*(Cell(str(totals[pair])) for pair in pairs), Cell(_MISSING))),
        ),
    )


def files(table: Table, notice: str | None) -> dict[str, bytes]:
    """Return the files of a table by name: CSV, LaTeX and HTML, and the same with the printed numbers if there are any.

    ``notice`` is added to the captions.
    """
    files = {}
    for with_published in (False, True) if table.has_published else (False,):
        name = f"{table.name}_beside_published" if with_published else table.name
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(table.label)}</title></head>'
            f"<body>\n{html(table, with_published=with_published, notice=notice)}\n</body></html>\n"
        )
        files[f"{name}.csv"] = as_csv(table, with_published=with_published).encode()
        files[f"{name}.tex"] = latex(table, with_published=with_published, notice=notice).encode()
        files[f"{name}.html"] = page.encode()
    return files


def as_csv(table: Table, *, with_published: bool) -> str:
    """Return the table as CSV. Percents have no percent sign, missing values are empty, and no text is a formula.

    With the printed numbers, each column is followed by the printed one and `differs` (true or false).
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = [title for title, width in table.groups for _ in range(width)]
    names = [f"{title} {column}".strip() for title, column in zip(titles, table.columns, strict=True)]
    suffixes = ("", ", published", ", differs") if with_published else ("",)
    writer.writerow(["", *(escape_cell(f"{name}{suffix}") for name in names for suffix in suffixes)])
    for title, cells in table.rows:
        line = [escape_cell(title)]
        for cell in cells:
            line.append(_bare(cell.computed))
            if with_published:
                line += [_bare(cell.published or ""), str(cell.differs).lower()]
        writer.writerow(line)
    return text.getvalue()


def _bare(text: str) -> str:
    return "" if text == _MISSING else text.removesuffix("%")


def html(table: Table, *, with_published: bool, notice: str | None = None) -> Markup:
    """Return the table as an HTML element. Printed numbers are in brackets, and differences are marked."""

    def cell_markup(cell: Cell) -> Markup:
        if not with_published or cell.published is None:
            return Markup('<td class="n">{}</td>').format(cell.computed)
        mark = Markup(' <abbr title="differs">{}</abbr>').format(_DIFFERS) if cell.differs else ""
        return Markup('<td class="n{}">{} <small>[{}]</small>{}</td>').format(
            " differs" if cell.differs else "", cell.computed, cell.published, mark
        )

    caption = _caption(table, with_published=with_published, notice=notice)
    groups = [
        Markup('<th class="g" colspan="{}" scope="colgroup">{}</th>').format(width, title)
        for title, width in table.groups
    ]
    columns = [Markup('<th class="n" scope="col">{}</th>').format(column) for column in table.columns]
    body = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(title, Markup("").join(map(cell_markup, cells)))
        for title, cells in table.rows
    ]
    return Markup(
        "<table><caption><span>{}</span></caption>\n<thead><tr><td></td>{}</tr>\n<tr><td></td>{}</tr></thead>\n"
        "<tbody>\n{}\n</tbody></table>"
    ).format(caption, Markup("").join(groups), Markup("").join(columns), Markup("\n").join(body))


def latex(table: Table, *, with_published: bool, notice: str | None) -> str:
    """Return the table for a two-column paper; it needs the packages booktabs and graphicx.

    Tables with more than four columns span both columns of the page and are scaled to their width.
    """
    is_wide = len(table.columns) > 4  # noqa: PLR2004 - the number that fits into a column of a paper
    environment, width = ("table*", r"\textwidth") if is_wide else ("table", r"\columnwidth")

    def cell_text(cell: Cell) -> str:
        if not with_published or cell.published is None:
            return escape_latex(cell.computed)
        both = f"{escape_latex(cell.computed)} ({escape_latex(cell.published)})"
        return rf"\textbf{{{both}}}" if cell.differs else both

    first, rules, heads = 2, [], []
    for title, columns in table.groups:
        heads.append(rf"\multicolumn{{{columns}}}{{c}}{{{escape_latex(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{first}-{first + columns - 1}}}")
        first += columns
    name = f"{table.name}-beside" if with_published else table.name
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        rf"\caption{{{escape_latex(_caption(table, with_published=with_published, notice=notice, mark='bold'))}}}",
        rf"\label{{tab:dlbug-{name}}}",
        rf"\resizebox{{{width}}}{{!}}{{%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(table.columns)}@{{}}}}",
        r"\toprule",
        f"& {' & '.join(heads)} " + r"\\",
        *rules,
        f"& {' & '.join(map(escape_latex, table.columns))} " + r"\\",
        r"\midrule",
        *(f"{escape_latex(title)} & {' & '.join(map(cell_text, cells))} " + r"\\" for title, cells in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Escape text for LaTeX. Letters that pdfLaTeX lacks are left to the encoding of the document."""
    return re.sub(r'[\\&%$#_{}~^<>|"≠]', lambda character: _LATEX[character[0]], text)


def _caption(table: Table, *, with_published: bool, notice: str | None, mark: str = _DIFFERS) -> str:
    published = f"; in brackets, the printed number, {mark} if it differs" if with_published else ""
    return f"{table.title}{published}.{f' {notice}.' if notice else ''}"


def _percent(value: float | None) -> str:
    """Format as whole percent, halves rounded away from zero as in analysis.replication_diff."""
    return _MISSING if value is None else f"{int(value + 0.5)}%"


def _p_value(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.{_P_DECIMALS}f}"


def paper_tables(rows: Mapping[str, pl.DataFrame]) -> Sequence[Table]:
    """Return Tables 1 to 4 from the rows of their queries, by name."""
    return (dataset(rows["table1"]), *(shares(number, rows[f"table{number}"]) for number in _DIMENSIONS))


QUERIES = {"table1": DATASET_QUERY} | {f"table{number}": share_query(number) for number in _DIMENSIONS}
