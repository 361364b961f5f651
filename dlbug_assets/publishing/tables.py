"""Tables 1 to 4 of the paper from this study's tables, as CSV, LaTeX and HTML, alone and beside what is printed.

A cell knows its number, what the paper prints there and whether the two differ; how it is written is the format's
business. Every number comes from the query that the table names.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup, escape

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
    """A number as text, what is printed in its place (None: nothing), and whether they differ."""

    computed: str
    published: str | None = None
    differs: bool = False


@dataclass(frozen=True)
class Table:
    """A table of numbers: ``groups`` are (title, number of columns) over ``columns``; a row is its name and cells."""

    name: str
    label: str
    title: str
    query: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @property
    def has_published(self) -> bool:
        return any(cell.published is not None for _, cells in self.rows for cell in cells)


DATASET_QUERY = "from analysis.dataset_summary"
_DIMENSIONS = {2: ("bug_type", "bug types"), 3: ("root_cause", "root causes"), 4: ("effect", "effects")}


def share_query(number: int) -> str:
    """The query of Table 2, 3 or 4: a row per category, library and source, and one for each P value."""
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
left join reference.libraries as libraries on libraries.library = cells.library
left join reference.taxonomy as taxonomy on taxonomy.dimension = '{dimension}' and taxonomy.name = cells.category
left join reference.taxonomy as sources on sources.dimension = 'source' and sources.name = cells.source
order by taxonomy.position, libraries.position nulls last, sources.position""".strip()


def dataset(rows: pl.DataFrame) -> Table:
    """Table 1 from analysis.dataset_summary."""
    names = ("posts", "post_bugs", "commits", "commit_bugs")

    def cell(row: Mapping[str, int | None], name: str) -> Cell:
        ours, theirs = row[name], row[f"published_{name}"]
        return Cell(
            _MISSING if ours is None else str(ours),
            None if theirs is None else str(theirs),
            None not in (ours, theirs) and ours != theirs,
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
    """Table 2, 3 or 4 from the rows of :func:`share_query`: percent of a library's and source's bugs, the P value
    of the paper's test, and the number of bugs in the last row. Categories that nobody used or printed are left out."""
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
    """The files of a table by name: CSV, LaTeX and HTML, and the same three beside what is printed where anything
    is; ``notice`` stands in captions."""
    made = {}
    for is_beside in (False, True) if table.has_published else (False,):
        name = f"{table.name}_beside_published" if is_beside else table.name
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(table.label)}</title></head>'
            f"<body>\n{html(table, is_beside=is_beside, notice=notice)}\n</body></html>\n"
        )
        made[f"{name}.csv"] = as_csv(table, is_beside=is_beside).encode()
        made[f"{name}.tex"] = latex(table, is_beside=is_beside, notice=notice).encode()
        made[f"{name}.html"] = page.encode()
    return made


def as_csv(table: Table, *, is_beside: bool) -> str:
    """A line per row of the table; beside what is printed, each column is followed by what is printed and `differs`
    (true or false). Percents come without their sign. What is not there is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    over = [title for title, width in table.groups for _ in range(width)]
    names = [f"{title} {column}".strip() for title, column in zip(over, table.columns, strict=True)]
    beside = ("{}", "{}, published", "{}, differs")
    writer.writerow(["", *(form.format(name) for name in names for form in (beside if is_beside else beside[:1]))])
    for title, cells in table.rows:
        line = [title]
        for cell in cells:
            line.append(_bare(cell.computed))
            if is_beside:
                line += [_bare(cell.published or ""), str(cell.differs).lower()]
        writer.writerow(line)
    return text.getvalue()


def _bare(text: str) -> str:
    return "" if text == _MISSING else text.removesuffix("%")


def html(table: Table, *, is_beside: bool, notice: str | None = None) -> Markup:
    """The table as an HTML element. Beside what is printed, that stands in brackets and a difference is marked."""

    def written(cell: Cell) -> Markup:
        if not is_beside or cell.published is None:
            return Markup('<td class="n">{}</td>').format(cell.computed)
        mark = Markup(' <abbr title="differs">{}</abbr>').format(_DIFFERS) if cell.differs else ""
        return Markup('<td class="n{}">{} <small>[{}]</small>{}</td>').format(
            " differs" if cell.differs else "", cell.computed, cell.published, mark
        )

    caption = _caption(table, is_beside=is_beside, notice=notice)
    groups = [
        Markup('<th class="g" colspan="{}" scope="colgroup">{}</th>').format(width, title)
        for title, width in table.groups
    ]
    columns = [Markup('<th class="n" scope="col">{}</th>').format(column) for column in table.columns]
    body = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(title, Markup("").join(map(written, cells)))
        for title, cells in table.rows
    ]
    return Markup(
        "<table><caption><span>{}</span></caption>\n<thead><tr><td></td>{}</tr>\n<tr><td></td>{}</tr></thead>\n"
        "<tbody>\n{}\n</tbody></table>"
    ).format(caption, Markup("").join(groups), Markup("").join(columns), Markup("\n").join(body))


def latex(table: Table, *, is_beside: bool, notice: str | None) -> str:
    """The table for a paper in two columns; needs the packages booktabs and graphicx.

    Tables of more than four columns span both columns of the page and shrink to their width.
    """
    is_wide = len(table.columns) > 4  # noqa: PLR2004 - what fits a column of a paper
    environment, width = ("table*", r"\textwidth") if is_wide else ("table", r"\columnwidth")

    def written(cell: Cell) -> str:
        if not is_beside or cell.published is None:
            return escaped(cell.computed)
        both = f"{escaped(cell.computed)} ({escaped(cell.published)})"
        return rf"\textbf{{{both}}}" if cell.differs else both

    first, rules, heads = 2, [], []
    for title, columns in table.groups:
        heads.append(rf"\multicolumn{{{columns}}}{{c}}{{{escaped(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{first}-{first + columns - 1}}}")
        first += columns
    name = f"{table.name}-beside" if is_beside else table.name
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        rf"\caption{{{escaped(_caption(table, is_beside=is_beside, notice=notice, mark='bold'))}}}",
        rf"\label{{tab:dlbug-{name}}}",
        rf"\resizebox{{{width}}}{{!}}{{%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(table.columns)}@{{}}}}",
        r"\toprule",
        f"& {' & '.join(heads)} " + r"\\",
        *rules,
        f"& {' & '.join(map(escaped, table.columns))} " + r"\\",
        r"\midrule",
        *(f"{escaped(title)} & {' & '.join(map(written, cells))} " + r"\\" for title, cells in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as LaTeX shows it. What pdfLaTeX has no letter for is left to the document's encoding."""
    return re.sub(r'[\\&%$#_{}~^<>|"≠]', lambda found: _LATEX[found[0]], text)


def _caption(table: Table, *, is_beside: bool, notice: str | None, mark: str = _DIFFERS) -> str:
    beside = f"; in brackets as the paper prints it, {mark} where it differs" if is_beside else ""
    return f"{table.title}{beside}.{f' {notice}.' if notice else ''}"


def _percent(value: float | None) -> str:
    """Whole percent, halves away from zero, as replication_diff rounds."""
    return _MISSING if value is None else f"{int(value + 0.5)}%"


def _p_value(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.{_P_DECIMALS}f}"


def of_study(rows: Mapping[str, pl.DataFrame]) -> Sequence[Table]:
    """Tables 1 to 4 from the rows of their queries, by name."""
    return (dataset(rows["table1"]), *(shares(number, rows[f"table{number}"]) for number in _DIMENSIONS))


QUERIES = {"table1": DATASET_QUERY} | {f"table{number}": share_query(number) for number in _DIMENSIONS}
