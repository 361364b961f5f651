"""Validation of submitted rows: each row is either valid or rejected with the reason.

What belongs here: the rules for a row. What doesn't: reading files (submissions.py), and which row counts (history.py).
"""

import json
from collections.abc import Iterator, Mapping

import polars as pl

from dlbug_assets.labeling.asked import sampled_items
from dlbug_assets.labeling.label_texts import as_text, from_text
from dlbug_assets.labeling.sheets.formats import PASSES, RATE_BUGS
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import LONGEST_NAME, Taxonomy
from dlbug_assets.warehouse.rows import table_schema

#: ``entry`` is added when the rows of all files are known.
REJECTED_LABELS = table_schema("labeling.rejected_labels", without=("entry",))

#: Columns that describe where a row came from, not what its rater wrote.
_ORIGIN = ("received_at", "file", "line")

#: Columns of labeling.rater_labels that depend on earlier and later rows.
_HISTORY = ("revision", "superseded", "withdrawn", "replaced_at")
#: The number of lines that a note names.
_MOST_SHOWN = 10

_SHEET = ["item_id", "rater", "batch", "pass"]
_KEY = [*_SHEET, "bug_index"]
_TEXTS = ("item_id", "rater", "pass", "place", "comment")


def submitted_schema(study: Study) -> pl.Schema:
    """Return the columns of submitted rows: labeling.rater_labels, labels as text, without what is added later."""
    texts = dict.fromkeys(study.asked_names, pl.String)
    schema = table_schema("labeling.rater_labels", study, without=(*_HISTORY, "round"))
    return pl.Schema({name: texts.get(name, kind) for name, kind in schema.items()})


def validate(
    rows: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy, *, units: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split submitted rows into valid and rejected rows; ``len(valid) + len(rejected) == len(rows)``.

    ``rows`` has the columns of :func:`submitted_schema`, in order of arrival; ``items`` is labeling.items. With
    ``units`` (labeling.units), rows of the dimensions pass are valid only for these bugs. Two frames are returned:

    - valid: the columns of labeling.rater_labels without their history, in order of arrival. Categories are spelled and
      ordered as in the taxonomy, blanks are NULL, ``none`` is the answer that no category of an optional dimension
      applies. In an open dimension, others are spelled as they were first, and follow in alphabetical order.
    - rejected: file, line, content (the submitted row as compact JSON), reason (for each invalid column what was
      found and how to fix it, joined by ``; ``), seen_at (when its file was received, UTC).
    """
    submitted = submitted_schema(study)
    rows = rows.select(submitted.names()).cast(submitted)
    valid, invalid = _split(rows, items, study, taxonomy, units)
    # Only one column is joined: a join of all columns would copy them once more.
    placed = valid.select("item_id").join(
        items.select("item_id", "round"), on="item_id", how="left", maintain_order="left"
    )
    rejected = pl.DataFrame(
        {
            "file": invalid["file"],
            "line": invalid["line"],
            "content": [row_json(row) for row in rows[invalid["_row"]].iter_rows(named=True)],
            "reason": invalid["_reason"],
            "seen_at": invalid["received_at"],
        },
        schema=REJECTED_LABELS,
    )
    schema = table_schema("labeling.rater_labels", study, without=_HISTORY)
    return valid.with_columns(placed["round"]).select(schema.names()).cast(schema), rejected


def without_unasked(
    valid: pl.DataFrame, items: pl.DataFrame, units: pl.DataFrame, study: Study
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Return valid rows without answers to what is asked of a sample only, outside of it, and notes on them by file."""
    notes: dict[str, list[str]] = {}
    for name, sampled in sampled_items(items, units, study).items():
        (dimension,) = (each for each in study.asked if each.name == name)
        is_asked = pl.col("item_id").is_in(sorted(sampled))
        unasked = valid.filter(~is_asked & as_text(dimension).ne(NONE))
        for (file,), its_rows in unasked.group_by("file", maintain_order=True):
            lines = ", ".join(map(str, its_rows["line"].head(_MOST_SHOWN)))
            more = f" and {its_rows.height - _MOST_SHOWN} more" if its_rows.height > _MOST_SHOWN else ""
            notes.setdefault(str(file), []).append(
                f"{name} is not asked about the bugs in lines {lines}{more}: these answers are not taken"
            )
        valid = valid.with_columns(pl.when(is_asked).then(name).alias(name))
    return valid, notes


def _split(
    rows: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy, units: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the valid rows, with categories spelled as in the taxonomy, and the invalid ones, with ``_reason``.

    Both have ``_row``, the position among all rows.
    """
    texts = (*_TEXTS, *study.asked_names)
    tidy = rows.with_columns(pl.col(*texts).str.strip_chars().replace("", None)).with_row_index("_row")
    tidy = tidy.with_columns(_is_rater=pl.col("rater").is_in(study.labeling.raters))
    tidy = tidy.with_columns(
        column for dimension in study.asked for column in _categories(tidy[dimension.name], dimension, taxonomy)
    )
    problems = [*_problems(tidy, items, study, taxonomy), _not_asked(tidy, items)]
    if units is not None:
        problems.append(_not_frozen(tidy, units))
    # Reasons are composed for invalid rows only, which are few.
    tidy = tidy.with_columns(_is_invalid=pl.any_horizontal(problem.is_not_null() for problem in problems))
    spelled = [from_text(pl.col(_spelled(each.name)), each).alias(each.name) for each in study.asked]
    valid = tidy.filter(~pl.col("_is_invalid")).with_columns(spelled).select("_row", *rows.columns)
    return valid, tidy.filter("_is_invalid").with_columns(
        _reason=pl.concat_str(problems, separator="; ", ignore_nulls=True)
    )


def _spelled(name: str) -> str:
    return f"_spelled_{name}"


def _unknown(name: str) -> str:
    return f"_unknown_{name}"


def _categories(written: pl.Series, dimension: Dimension, taxonomy: Taxonomy) -> Iterator[pl.Expr]:
    """Yield two columns: the categories of each label as one text, NULL if blank; and what is not a category."""
    name = dimension.name
    order = {category: position for position, category in enumerate(taxonomy.names(name))}
    found: dict[str, str] = {}
    spelled: dict[str, str | None] = {}
    unknown: dict[str, str] = {}
    for cell in written.drop_nulls().unique(maintain_order=True):
        if cell.casefold() == NONE and not dimension.required:
            spelled[cell] = NONE
            continue
        categories = set()
        for part in dimension.split(cell):
            category = taxonomy.fold(name, part)
            if category is None and dimension.open and _may_be_new(part):
                category = found.setdefault(part.casefold(), part)
            if category is None:
                unknown.setdefault(cell, part)
            categories.add(category or part)
        in_order = sorted(categories, key=lambda category: (order.get(category, len(order)), category))
        spelled[cell] = dimension.joiner.join(in_order) or None
    yield pl.col(name).replace_strict(spelled, default=None, return_dtype=pl.String).alias(_spelled(name))
    yield pl.col(name).replace_strict(unknown, default=None, return_dtype=pl.String).alias(_unknown(name))


def _may_be_new(category: str) -> bool:
    return category.casefold() != NONE and len(category) <= LONGEST_NAME and category.isprintable()


def _problems(tidy: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> list[pl.Expr]:
    """Return one expression per rule: what is wrong with the row, or NULL."""
    raters = [*study.labeling.raters, *([study.labeling.adjudicator] if study.labeling.adjudicator else [])]
    checkpoints = list(study.labeling.checkpoints)
    is_bug, bug_index = pl.col("is_bug"), pl.col("bug_index")
    known_items = pl.col("item_id").is_in(items["item_id"].cast(pl.String).unique().implode())
    listed = ", ".join(map(str, checkpoints))

    problems = [
        _one_of("item_id", known_items, "it is not in the queue; copy the item_id from the exported sheet"),
        _one_of("rater", pl.col("rater").is_in(raters), f"use one of {', '.join(raters)}"),
        _one_of("batch", pl.col("batch").is_in(checkpoints), f"use a checkpoint of the study: {listed}"),
        _one_of("pass", pl.col("pass").is_in(PASSES), f"use {' or '.join(PASSES)}"),
        pl.when(bug_index.is_null()).then(
            pl.lit("bug_index: missing; number the item's bugs 1, 2, .. and write 0 if it has none")
        ),
        pl.when(is_bug.is_null()).then(pl.lit("is_bug: missing; write true or false")),
        pl.when(~is_bug & (bug_index != 0)).then(
            _concat("bug_index: is_bug is false, but bug_index is ", bug_index, "; write 0, or change is_bug to true")
        ),
        pl.when(is_bug & (bug_index < 1)).then(
            _concat(
                "bug_index: is_bug is true, but bug_index is ", bug_index,
                "; number the bugs 1, 2, .., or change is_bug to false",
            )
        ),
    ]  # fmt: skip
    for dimension in study.asked:
        names, unknown = ", ".join(taxonomy.names(dimension.name)), pl.col(_unknown(dimension.name))
        fix = f"use one of {names} (or add it to the study's taxonomy)"
        if dimension.open:
            fix = f"use up to {LONGEST_NAME} printable characters"
            fix += "" if dimension.required else f", or {NONE} if no category applies"
        problems.append(
            pl.when(unknown.is_not_null()).then(_concat(f"{dimension.name}: unknown category '", unknown, f"'; {fix}"))
        )
    # The adjudicator decides only where raters differ.
    rated = (pl.col("pass") == RATE_BUGS) & is_bug & (pl.col("rater") != pl.lit(study.labeling.adjudicator or ""))
    for dimension in study.asked:
        names = ", ".join(taxonomy.names(dimension.name))
        needed = f"one of {names}" if names and not dimension.open else "a category"
        if dimension.required:
            problems.append(
                pl.when(rated & pl.col(_spelled(dimension.name)).is_null()).then(
                    pl.lit(f"{dimension.name}: missing; in the dimensions pass every bug needs {needed}")
                )
            )

    row = pl.col("_row")
    repeated, first_lines = _repeated(tidy)
    problems.append(
        pl.when(row.is_in(repeated.implode())).then(
            _concat(
                "bug_index: duplicate of line ",
                row.replace_strict(repeated, first_lines, default="?", return_dtype=pl.String),
                " of this file (same item, rater, batch, pass and bug ", bug_index, "); keep one",
            )
        )
    )  # fmt: skip
    problems.append(
        pl.when(row.is_in(_contradictory(tidy).implode())).then(
            pl.lit("is_bug: both true and false for this item in this file; keep one answer")
        )
    )
    return problems


def _not_asked(tidy: pl.DataFrame, items: pl.DataFrame) -> pl.Expr:
    """Return what is wrong with rows about items that their raters are not asked about."""
    drawn = items.filter(pl.col("raters").is_not_null()).select("item_id", "raters")
    named = tidy.select("item_id", "rater", "_row").join(drawn, on="item_id")
    other = named.filter(~pl.col("rater").is_in(pl.col("raters")))
    return pl.when(pl.col("_row").is_in(other["_row"].implode()) & pl.col("_is_rater")).then(
        _concat("rater: ", pl.col("rater"), " is not asked about this item; copy rows from the own sheet only")
    )


def _not_frozen(tidy: pl.DataFrame, units: pl.DataFrame) -> pl.Expr:
    """Return what is wrong with rows of the dimensions pass about bugs that do not exist."""
    about = tidy.filter(pl.col("pass") == RATE_BUGS).select("item_id", "bug_index", "_row")
    unknown = about.join(units, on=["item_id", "bug_index"], how="anti")["_row"]
    known = units.group_by("item_id").agg(pl.col("bug_index").sort().cast(pl.String).str.join(", "))
    bugs = dict(known.rows())
    found = pl.col("item_id").replace_strict(bugs, default=None, return_dtype=pl.String)
    return pl.when(pl.col("_row").is_in(unknown.implode())).then(
        pl.when(found.is_null())
        .then(pl.lit("bug_index: no bug of this item is frozen yet: it is rated when its raters agree on its bugs"))
        .otherwise(_concat("bug_index: the item has no bug ", pl.col("bug_index"), "; its frozen bugs are ", found))
    )


def _repeated(tidy: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return the rows with the same key as an earlier row of their file, and the line of the first such row."""
    key = [*_KEY, "file"]
    duplicates = tidy.select(*key, "line", "_row").filter(
        pl.all_horizontal(pl.col(key).is_not_null()) & pl.struct(key).is_duplicated()
    )
    first = pl.col("line").first().over(key).cast(pl.String).fill_null("?")
    repeated = duplicates.with_columns(_first=first).filter(pl.int_range(pl.len()).over(key) > 0)
    return repeated["_row"], repeated["_first"]


def _contradictory(tidy: pl.DataFrame) -> pl.Series:
    """Return the rows of items for which the same file contains both a bug and "no bug"."""
    sheet = [*_SHEET, "file"]
    answered = tidy.select(*sheet, "is_bug", "_row").drop_nulls()
    both = answered.group_by(sheet).agg(pl.col("is_bug").any() & ~pl.col("is_bug").all()).filter("is_bug")
    return answered.join(both, on=sheet, how="semi")["_row"]


def _one_of(column: str, known: pl.Expr, fix: str) -> pl.Expr:
    return (
        pl.when(pl.col(column).is_null())
        .then(pl.lit(f"{column}: missing; {fix}"))
        .when(~known)
        .then(_concat(f"{column}: unknown '", pl.col(column), f"'; {fix}"))
    )


def _concat(*parts: str | pl.Expr) -> pl.Expr:
    """Concatenate texts and columns; NULL where a column is.

    Used instead of pl.format, which panics in Polars 2.1 on some filtered frames.
    """
    return pl.concat_str(pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts)


def row_json(row: Mapping[str, object]) -> str:
    """Return a submitted row as compact JSON, without where it came from."""
    kept = {name: value for name, value in row.items() if name not in _ORIGIN}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str)
