"""The tables of a study: sizes, and shares per dimension, as CSV, LaTeX and HTML, alone and with printed numbers.

A cell contains its number, the printed one and whether the two differ; each format decides how to show them. Every
number comes from the query of its table.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import polars as pl
from markupsafe import Markup, escape

from dlbug_assets.ingest.csv_cells import escape as escape_cell
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.published_cells import ALL_LIBRARIES, BOTH_SOURCES
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.contents import (
    Printed,
    items_of,
    printed_size_table,
    printed_table,
    prints_sizes,
    short_names,
)

#: The name of the table of sizes.
SIZES = "dataset_sizes"
_MISSING = "-"
_DIFFERS = "≠"
_P_VALUE = "P value"
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
    """A table of numbers: ``groups`` are (title, number of columns) above ``columns``; a row has a title and cells.

    ``groups`` is empty if nothing is above the columns.
    """

    name: str
    label: str
    title: str
    query: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @property
    def has_published(self) -> bool:
        """Whether any of the numbers is printed."""
        return any(cell.published is not None for _, cells in self.rows for cell in cells)


def queries(study: Study) -> dict[str, str]:
    """Return the queries of a study's tables by their names."""
    return {SIZES: _size_query(study), **{_name(each): _share_query(study, each) for each in study.dimensions}}


def study_tables(study: Study, rows: Mapping[str, pl.DataFrame]) -> tuple[Table, ...]:
    """Return the tables of a study from the rows of :func:`queries`: the sizes, and one per dimension with any label.

    A table whose numbers are printed in a numbered one has its number. The others are counted, from S1 on if there are
    printed ones.
    """
    drafts = [(size_table(study, rows[SIZES]), printed_size_table(study))]
    for dimension in study.dimensions:
        if rows[_name(dimension)]["is_used"].any():
            drafts.append((_shares(study, dimension, rows[_name(dimension)]), printed_table(study, dimension.name)))
    numbers = [printed.number if printed and not printed.is_figure else None for _, printed in drafts]
    numbers = [None if number in numbers[:place] else number for place, number in enumerate(numbers)]
    own = (f"Table {'S' * any(numbers)}{number}" for number in count(1))
    return tuple(
        replace(table, label=next(own) if number is None else f"Table {number}")
        for (table, _), number in zip(drafts, numbers, strict=True)
    )


def _name(dimension: Dimension) -> str:
    return f"{dimension.name}_shares"


def _size_query(study: Study) -> str:
    """Return the query of the sizes: one row per library (and `All`) and source.

    A printed total that is not printed itself is the sum of the printed numbers, if the study has all their libraries.
    """
    if not prints_sizes(study):
        return "select library, source, items, items_with_bugs, bugs from analysis.dataset_sizes where source <> 'both'"
    return """
with per_library as (
    select cells.library, cells.source, cells.unit, cells.value, libraries.library is not null as is_studied
    from reference.published_cells as cells
    left join reference.libraries as libraries on libraries.library = cells.library
    where cells.unit in ('items', 'bugs') and cells.dimension is null
),

printed as (
    select library, source, unit, value from per_library
    union all
    select 'All' as library, source, unit, sum(value) as value
    from per_library
    group by source, unit
    having bool_and(is_studied)
)

select
    sizes.library, sizes.source, sizes.items, sizes.items_with_bugs, sizes.bugs,
    cast(items.value as bigint) as published_items, cast(bugs.value as bigint) as published_bugs
from analysis.dataset_sizes as sizes
left join printed as items
    on items.library = sizes.library and items.source = sizes.source and items.unit = 'items'
left join printed as bugs on bugs.library = sizes.library and bugs.source = sizes.source and bugs.unit = 'bugs'
left join reference.sources as sources on sources.source = sizes.source
left join reference.libraries as libraries on libraries.library = sizes.library
where sizes.source <> 'both'
order by libraries.position nulls last, sources.position""".strip()


def size_table(study: Study, rows: pl.DataFrame) -> Table:
    """Return the table of numbers of items and bugs from the rows of its query.

    Where a release lists only labelled items, the number of items read is unknown: those with bugs are counted instead,
    unless the number read is printed.
    """
    by_place = {(row["library"], row["source"]): row for row in rows.to_dicts()}
    is_printed = "published_items" in rows.columns
    is_read = {
        source: bool(rows.filter(pl.col("source") == source).select(
            pl.any_horizontal(pl.col(*(["items", "published_items"] if is_printed else ["items"])).is_not_null()).any()
        ).item())
        for source in study.source_names
    }  # fmt: skip

    def cell(library: str, source: str, name: str) -> Cell:
        row = by_place.get((library, source), {})
        computed, published = row.get(name), row.get(f"published_{name}")
        return Cell(
            _MISSING if computed is None else str(computed),
            None if published is None else str(published),
            None not in (computed, published) and computed != published,
        )

    names = [(source, "items" if is_read[source] else "items_with_bugs", "bugs") for source in study.source_names]
    columns = [
        title
        for source in study.source_names
        for title in (items_of(source) if is_read[source] else f"{items_of(source)} with bugs", "Bugs")
    ]
    libraries = [*study.library_names, *([ALL_LIBRARIES] if len(study.libraries) > 1 else [])]
    return Table(
        SIZES,
        "",
        "Size of the data",
        _size_query(study),
        tuple((source, 2) for source in study.source_names),
        tuple(columns),
        tuple(
            (
                "Total" if library == ALL_LIBRARIES else library,
                tuple(cell(library, source, name) for source, *of_source in names for name in of_source),
            )
            for library in libraries
        ),
    )


def _share_query(study: Study, dimension: Dimension) -> str:
    """Return the query of a dimension's shares: one row per category, library and source, and one per P value."""
    printed = printed_table(study, dimension.name)
    p_value = "p_paper_rounded" if printed and not printed.decimals else "p_paper"
    with_p_values = f"""
    union all
    select category, 'All' as library, 'P value' as source, null as bugs, null as total, {p_value} as computed
    from analysis.source_comparison
    where dimension = '{dimension.name}'"""
    cells = f"""
with cells as (
    select category, library, source, bugs, total, 100 * bugs / nullif(total, 0) as computed
    from analysis.{dimension.name}_distribution{with_p_values if len(study.source_names) > 1 else ""}
)""".strip()
    if not study.published:
        return f"""{cells}

select cells.*, sum(cells.bugs) over (partition by cells.category) > 0 as is_used
from cells
left join labeling.categories as categories
    on categories.dimension = '{dimension.name}' and categories.category = cells.category
order by categories.position"""
    return f"""{cells},

printed as (
    select
        category, library, if(unit = 'p', 'P value', source) as source,
        min_by(published, position) as published, min_by(same_when_rounded, position) as is_same
    from analysis.replication_diff
    where dimension = '{dimension.name}' and unit in ('percent', 'p') and reading = 'printed'
        and within_category is null and "year" is null
    group by category, library, if(unit = 'p', 'P value', source)
)

select
    cells.*, printed.published, coalesce(not printed.is_same, false) as differs,
    coalesce(sum(cells.bugs) over (partition by cells.category) > 0, false)
    or count(printed.published) over (partition by cells.category) > 0 as is_used
from cells
left join printed
    on printed.category = cells.category and printed.library = cells.library and printed.source = cells.source
left join labeling.categories as categories
    on categories.dimension = '{dimension.name}' and categories.category = cells.category
order by categories.position"""


def _shares(study: Study, dimension: Dimension, rows: pl.DataFrame) -> Table:
    """Return the table of a dimension from the rows of its query.

    Cells are percents of the bugs of a library and source. The last column is the P value of the comparison of the
    sources, if there is any, the last row the number of bugs. Categories neither used nor printed are left out.
    """
    cells = {(row["category"], row["library"], row["source"]): row for row in rows.to_dicts()}
    totals = {(library, source): total for library, source, total in rows.select("library", "source", "total").rows()}
    printed = printed_table(study, dimension.name)
    places = _places(study, rows)
    has_p_values = not rows.filter(pl.col("source") == _P_VALUE).is_empty()

    def cell(category: str, library: str, source: str) -> Cell:
        row = cells.get((category, library, source))
        if row is None:
            return Cell(_MISSING)
        published = row.get("published")
        form = _p_value if source == _P_VALUE else partial(_percent, printed=printed)
        return Cell(form(row["computed"]), None if published is None else form(published), row.get("differs", False))

    used = rows.filter(pl.col("is_used"))["category"].unique(maintain_order=True)
    short = short_names(study.source_names) | {BOTH_SOURCES: "all"}
    if len(study.source_names) == 1:
        groups, columns = (), tuple(library for library, _ in places)
        of_bugs = "bugs"
    else:
        groups = (*Counter(library for library, _ in places).items(), *([("", 1)] if has_p_values else []))
        columns = (*(short[source] for _, source in places), *(["P value"] if has_p_values else []))
        of_bugs = "bugs of " + ", ".join(
            source if short[source] == source else f"{source} ({short[source]})" for source in study.source_names
        )
    ends = ((ALL_LIBRARIES, _P_VALUE),) if has_p_values else ()
    several = "; a bug may have several" if dimension.multiple else ""
    return Table(
        _name(dimension),
        "",
        f"{dimension.title}: percent of the {of_bugs}{several}",
        _share_query(study, dimension),
        groups,
        columns,
        (
            *((category, tuple(cell(category, *place) for place in (*places, *ends))) for category in used),
            ("Bugs", (*(Cell(str(totals[place])) for place in places), *(Cell(_MISSING) for _ in ends))),
        ),
    )


def _places(study: Study, rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Return the (library, source) of the columns: each, the totals, and what else is printed."""
    sources = study.source_names
    pooled = [*sources, *([BOTH_SOURCES] if len(sources) > 1 else [])]
    shown = {(library, source) for library in study.library_names for source in sources}
    if len(study.libraries) > 1:
        shown |= {(ALL_LIBRARIES, source) for source in pooled}
    if "published" in rows.columns:
        shown |= set(rows.filter(pl.col("published").is_not_null()).select("library", "source").iter_rows())
    shown &= set(rows.select("library", "source").iter_rows())
    order = [(library, source) for library in (*study.library_names, ALL_LIBRARIES) for source in pooled]
    return [place for place in order if place in shown]


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
    titles = [title for title, width in table.groups for _ in range(width)] or [""] * len(table.columns)
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
    groups = Markup("").join(
        Markup('<th class="g" colspan="{}" scope="colgroup">{}</th>').format(width, title)
        for title, width in table.groups
    )
    head = Markup("<tr><td></td>{}</tr>\n").format(groups) if table.groups else ""
    columns = [Markup('<th class="n" scope="col">{}</th>').format(column) for column in table.columns]
    body = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(title, Markup("").join(map(cell_markup, cells)))
        for title, cells in table.rows
    ]
    return Markup(
        "<table><caption><span>{}</span></caption>\n<thead>{}<tr><td></td>{}</tr></thead>\n"
        "<tbody>\n{}\n</tbody></table>"
    ).format(caption, head, Markup("").join(columns), Markup("\n").join(body))


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
        *([f"& {' & '.join(heads)} " + r"\\"] if heads else []),
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


def _percent(value: float | None, printed: Printed | None) -> str:
    """Format as percent with the decimals of printed ones, else as whole percent.

    Halves are rounded as analysis.replication_diff does it.
    """
    if value is None:
        return _MISSING
    decimals = printed.decimals if printed else 0
    if printed and printed.halves == "even":
        return f"{value:.{decimals}f}%"
    return f"{int(value * 10**decimals + 0.5) / 10**decimals:.{decimals}f}%"


def _p_value(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.{_P_DECIMALS}f}"
