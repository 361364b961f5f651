"""Taking in what raters hand in: every row is either a label or rejected with its reason, none is lost.

What belongs here: the rules a handed-in row must obey, and revisions. What doesn't: reading files.
"""

import json
from collections.abc import Mapping

import polars as pl

from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, REQUIRED_DIMENSIONS, Taxonomy

#: The two passes: first the bugs of an item are listed, then each frozen unit is rated.
LIST_BUGS = "units"
RATE_BUGS = "dimensions"
PASSES = (LIST_BUGS, RATE_BUGS)

#: What a reader of rater files yields, one row per row of a file.
ROWS = pl.Schema(
    {
        "item_id": pl.String,
        "rater": pl.String,
        "batch": pl.Int32,
        "pass": pl.String,
        "bug_index": pl.Int32,
        "is_bug": pl.Boolean,
        **dict.fromkeys(DIMENSIONS, pl.String),
        "place": pl.String,
        "comment": pl.String,
        "labelled_at": pl.Datetime("us"),
        "received_at": pl.Datetime("us"),
        "file": pl.String,
        "line": pl.Int32,
    }
)

#: labeling.rater_labels
RATER_LABELS = pl.Schema(
    {
        "item_id": pl.String,
        "rater": pl.String,
        "batch": pl.Int32,
        "pass": pl.String,
        "revision": pl.Int32,
        "bug_index": pl.Int32,
        "is_bug": pl.Boolean,
        **dict.fromkeys(DIMENSIONS, pl.String),
        "place": pl.String,
        "comment": pl.String,
        "labelled_at": pl.Datetime("us"),
        "received_at": pl.Datetime("us"),
        "file": pl.String,
        "line": pl.Int32,
        "superseded": pl.Boolean,
        "round": pl.Int32,
    }
)

#: labeling.rejected_labels, but for ``entry``
REJECTED = pl.Schema(
    {"file": pl.String, "line": pl.Int32, "content": pl.String, "reason": pl.String, "seen_at": pl.Datetime("us")}
)

#: Where a row came from: not what its rater wrote.
_ARRIVAL = ("received_at", "file", "line")

_SHEET = ["item_id", "rater", "batch", "pass"]
_KEY = [*_SHEET, "bug_index"]
_BLANKABLE = ("item_id", "rater", "pass", *DIMENSIONS, "place", "comment")


def take(
    rows: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split handed-in rows into labels and rejected rows; ``len(labels) + len(rejected) == len(rows)``.

    ``rows`` has the columns of :data:`ROWS`, in order of arrival; ``items`` needs ``item_id`` and ``round``. Returns

    - labels: labeling.rater_labels, in order of arrival. Categories are the taxonomy's names, blanks are NULL.
      ``revision`` counts from 1 per item, rater, batch, pass and bug_index. ``superseded`` is true where a later
      revision exists, and where a later file turns the answer around: a row without a bug supersedes the bugs
      that the same rater listed in the same batch and pass, a row with a bug the earlier "no bug".
    - rejected: file, line, content (the row as compact JSON, as it was handed in), reason (for each column at
      fault what was found and how to mend it, joined by ``; ``), seen_at (when its file was received, UTC).
    """
    rows = rows.select(ROWS.names()).cast(dict(ROWS))
    good, bad = _judged(rows, items, study, taxonomy)
    # Column by column: to join all of them would copy them once more.
    placed = good.select("item_id").join(
        items.select("item_id", "round"), on="item_id", how="left", maintain_order="left"
    )
    rejected = pl.DataFrame(
        {
            "file": bad["file"],
            "line": bad["line"],
            "content": [as_json(row) for row in rows[bad["_row"]].iter_rows(named=True)],
            "reason": bad["_reason"],
            "seen_at": bad["received_at"],
        },
        schema=REJECTED,
    )
    return _with_revisions(good.with_columns(placed["round"])), rejected


def _judged(
    rows: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are taken, tidied, with the taxonomy's names; and the others with ``_reason``. ``_row`` is a row's
    place among all."""
    tidy = rows.with_columns(pl.col(*_BLANKABLE).str.strip_chars().replace("", None)).with_row_index("_row")
    tidy = tidy.with_columns(_folded(tidy, dimension, taxonomy) for dimension in DIMENSIONS)
    problems = _problems(tidy, items, study, taxonomy)
    # A row that no rule complains of is taken; sentences are made for the others alone, which are few.
    tidy = tidy.with_columns(_is_wrong=pl.any_horizontal(problem.is_not_null() for problem in problems))
    as_taken = (pl.col(f"_{name}").alias(name) if name in DIMENSIONS else pl.col(name) for name in ROWS)
    good = tidy.select("_row", "_is_wrong", *as_taken).filter(~pl.col("_is_wrong"))
    return good, tidy.filter("_is_wrong").with_columns(
        _reason=pl.concat_str(problems, separator="; ", ignore_nulls=True)
    )


def _folded(tidy: pl.DataFrame, dimension: str, taxonomy: Taxonomy) -> pl.Expr:
    """``_<dimension>``: the category of each written label, NULL where blank or unknown."""
    written = tidy[dimension].drop_nulls().unique().to_list()
    mapping = {spelling: taxonomy.fold(dimension, spelling) for spelling in written}
    return pl.col(dimension).replace_strict(mapping, default=None, return_dtype=pl.String).alias(f"_{dimension}")


def _problems(tidy: pl.DataFrame, items: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> list[pl.Expr]:
    """One expression per rule: what is wrong with the row, or NULL."""
    raters = [*study.labeling.raters, *([study.labeling.adjudicator] if study.labeling.adjudicator else [])]
    checkpoints = list(study.labeling.checkpoints)
    is_bug, bug_index = pl.col("is_bug"), pl.col("bug_index")
    known_items = pl.col("item_id").is_in(items["item_id"].cast(pl.String).unique().implode())

    problems = [
        _one_of("item_id", known_items, "the queue has no such item; copy the item_id from the exported sheet"),
        _one_of("rater", pl.col("rater").is_in(raters), f"use one of {', '.join(raters)}"),
        _one_of("batch", pl.col("batch").is_in(checkpoints), f"use a checkpoint of the study: {_listed(checkpoints)}"),
        _one_of("pass", pl.col("pass").is_in(PASSES), f"use {' or '.join(PASSES)}"),
        pl.when(bug_index.is_null()).then(
            pl.lit("bug_index: missing; number the item's bugs 1, 2, .. and write 0 where it holds none")
        ),
        pl.when(is_bug.is_null()).then(pl.lit("is_bug: missing; write true or false")),
        pl.when(~is_bug & (bug_index != 0)).then(
            _sentence("bug_index: is_bug is false, yet bug_index is ", bug_index, "; write 0, or true")
        ),
        pl.when(is_bug & (bug_index < 1)).then(
            _sentence(
                "bug_index: is_bug is true, yet bug_index is ", bug_index, "; number the bugs 1, 2, .., or write false"
            )
        ),
    ]
    for dimension in DIMENSIONS:
        names = ", ".join(taxonomy.names(dimension))
        written, category = pl.col(dimension), pl.col(f"_{dimension}")
        problems.append(
            pl.when(written.is_not_null() & category.is_null()).then(
                _sentence(
                    f"{dimension}: unknown category '", written,
                    f"'; use one of {names} (or add it to the study's taxonomy)",
                )
            )
        )  # fmt: skip
    rated = (pl.col("pass") == RATE_BUGS) & is_bug
    for dimension in REQUIRED_DIMENSIONS:
        names = ", ".join(taxonomy.names(dimension))
        problems.append(
            pl.when(rated & pl.col(dimension).is_null()).then(
                pl.lit(f"{dimension}: missing; every bug of the dimensions pass needs one of {names}")
            )
        )

    row = pl.col("_row")
    repeated, first_lines = _repeated(tidy)
    problems.append(
        pl.when(row.is_in(repeated.implode())).then(
            _sentence(
                "bug_index: line ", row.replace_strict(repeated, first_lines, default="?", return_dtype=pl.String),
                " of this file is about the same item, rater, batch, pass and bug ", bug_index, "; keep one",
            )
        )
    )  # fmt: skip
    problems.append(
        pl.when(row.is_in(_saying_both(tidy).implode())).then(
            pl.lit("is_bug: this file says both that the item holds a bug and that it holds none; keep one answer")
        )
    )
    return problems


def _repeated(tidy: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The rows about a bug that their file speaks of before, and the line in which it does."""
    key = [*_KEY, "file"]
    again = tidy.select(*key, "line", "_row").filter(
        pl.all_horizontal(pl.col(key).is_not_null()) & pl.struct(key).is_duplicated()
    )
    first = pl.col("line").first().over(key).cast(pl.String).fill_null("?")
    repeated = again.with_columns(_first=first).filter(pl.int_range(pl.len()).over(key) > 0)
    return repeated["_row"], repeated["_first"]


def _saying_both(tidy: pl.DataFrame) -> pl.Series:
    """The rows of items that the same file says to hold a bug and to hold none."""
    sheet = [*_SHEET, "file"]
    answered = tidy.select(*sheet, "is_bug", "_row").drop_nulls()
    both = answered.group_by(sheet).agg(pl.col("is_bug").any() & ~pl.col("is_bug").all()).filter("is_bug")
    return answered.join(both, on=sheet, how="semi")["_row"]


def _one_of(column: str, known: pl.Expr, cure: str) -> pl.Expr:
    return (
        pl.when(pl.col(column).is_null())
        .then(pl.lit(f"{column}: missing; {cure}"))
        .when(~known)
        .then(_sentence(f"{column}: unknown '", pl.col(column), f"'; {cure}"))
    )


def _sentence(*parts: str | pl.Expr) -> pl.Expr:
    """Words and columns one after the other, NULL where a column is. Polars 2.1's own pl.format panics on some frames
    that were filtered."""
    return pl.concat_str(pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts)


def _listed(values: list[int]) -> str:
    return ", ".join(str(value) for value in values)


def _with_revisions(good: pl.DataFrame) -> pl.DataFrame:
    """Number the revisions of each key and mark what later rows supersede. ``good`` is in order of arrival."""
    row = pl.col("_row").cast(pl.Int64)
    last_bug = row.filter(pl.col("is_bug")).max().over(_SHEET).fill_null(-1)
    last_no_bug = row.filter(~pl.col("is_bug")).max().over(_SHEET).fill_null(-1)
    turned_around = pl.when(pl.col("is_bug")).then(last_no_bug > row).otherwise(last_bug > row)
    return (
        good.with_columns(
            revision=pl.int_range(1, pl.len() + 1).over(_KEY),
            superseded=(row < row.max().over(_KEY)) | turned_around,
        )
        .select(RATER_LABELS.names())
        .cast(dict(RATER_LABELS))
    )


def as_json(row: Mapping[str, object]) -> str:
    """A row as it was handed in, as compact JSON, for people to find it again."""
    kept = {name: value for name, value in row.items() if name not in _ARRIVAL}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str)
