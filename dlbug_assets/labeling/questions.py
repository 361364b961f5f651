"""Questions: what each rater is asked about each item and bug, and the state of the answer.

What belongs here: which answer counts, and who has yet to answer. What doesn't: which bugs there are (units.py), how
much raters agree (agreement/), and what is decided (adjudication.py).
"""

import polars as pl

from dlbug_assets.labeling.agreement.released_raters import compared
from dlbug_assets.labeling.asked import asked_raters, sampled_items
from dlbug_assets.labeling.imported.tables import NOTHING_IMPORTED
from dlbug_assets.labeling.label_texts import IS_BUG, as_text
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.units import freeze
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

NOT_ASKED = "not asked"
WAITING = "waiting"
ANSWERED = "answered"
ANSWERED_NONE = "answered none"
WITHDRAWN = "withdrawn"
REFUSED = "refused"
#: The states of a question that its rater has yet to answer.
LEFT = (WAITING, WITHDRAWN, REFUSED)

QUESTIONS = table_schema("labeling.questions")
_KEY = ["item_id", "bug_index", "rater"]
_LAST_CHECKPOINT = 100


def questions(
    labels: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    rejected: pl.DataFrame,
    imported: pl.DataFrame = NOTHING_IMPORTED,
    *,
    study: Study,
) -> pl.DataFrame:
    """Return labeling.questions, by dimension, item, bug and rater, the adjudicator's last.

    ``labels`` is labeling.rater_labels, ``rejected`` labeling.rejected_labels, ``imported`` labeling.imported_labels;
    the others are the tables of that name. The adjudicator is asked about the items to align (see
    :func:`~dlbug_assets.labeling.units.freeze`), and about the bugs and dimensions on which raters differ who have all
    answered, except for items whose labels were imported.
    """
    released = compared(labels, items, study)
    labels, items, compared_study, names = released
    units = released.asked_units(units)
    if not compared_study.labeling.raters:  # a release may have no labels by raters
        return pl.DataFrame(schema=QUESTIONS)
    # The raters of a release label bugs that are listed already.
    dimensions = study.asked_names if study.sources.labels == "release" else (IS_BUG, *study.asked_names)
    asked = [states(labels, units, items, compared_study, name, imported=imported) for name in dimensions]
    found = pl.concat(asked)
    if study.sources.labels == "release":
        found = found.join(names, left_on=["item_id", "rater"], right_on=["item_id", "compared_as"], how="inner")
        found = found.with_columns(rater="rater_right").select(QUESTIONS.names())
    else:
        found = _with_refusals(found, rejected)
        open_items, to_decide = (
            frame.join(imported, on="item_id", how="anti", maintain_order="left") for frame in (items, found)
        )
        to_align = freeze(labels, open_items, study).to_align
        found = pl.concat([found, adjudications(labels, to_decide, to_align, study)])
    order = items.select("item_id", _order=pl.int_range(pl.len()))
    dimension = pl.col("dimension").cast(pl.Enum([IS_BUG, *study.asked_names]))
    people = {rater: rank for rank, rater in enumerate(study.labeling.raters)}
    person = pl.col("rater").replace_strict(people, default=len(people), return_dtype=pl.Int32)
    return (
        found.join(order, on="item_id", how="left")
        .sort(dimension, "_order", "bug_index", person, "rater")
        .select(QUESTIONS.names())
    )


def states(
    labels: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    study: Study,
    dimension: str,
    *,
    imported: pl.DataFrame = NOTHING_IMPORTED,
    checkpoint: int = _LAST_CHECKPOINT,
) -> pl.DataFrame:
    """Return the questions of all raters in one dimension, with what was answered for batches up to a checkpoint.

    The frames are the tables of the same name in labeling, ``labels`` labeling.rater_labels, ``imported``
    labeling.imported_labels. Columns: those of labeling.questions. is_bug is asked about every item, the other
    dimensions about every bug that was frozen up to the checkpoint. Items whose labels were imported are not asked, but
    answers about them count. The row of the latest batch counts as a whole; a bug that its rater listed again for a
    later batch is to be rated again. A blank cell is not an answer; ``none`` is.
    """
    given = labels.filter(pl.col("rater").is_in(study.labeling.raters), pl.col("batch") <= checkpoint)
    listed = given.filter(pl.col("pass") == LIST_BUGS)
    asked = asked_raters(items, study)
    if dimension == IS_BUG:
        found = _listed(listed, items, asked)
    else:
        (described,) = (each for each in study.asked if each.name == dimension)
        frozen = units.filter(pl.col("frozen_in").fill_null(0) <= checkpoint)
        found = _rated(given.filter(pl.col("pass") == RATE_BUGS), listed, frozen, asked, described)
        if described.asked_of != "all":
            is_asked = pl.col("item_id").is_in(sorted(sampled_items(items, units, study)[dimension]))
            found = found.with_columns(state=pl.when(is_asked).then("state").otherwise(pl.lit(NOT_ASKED)))
    rows = found.with_columns(dimension=pl.lit(dimension))
    if items["raters"].is_not_null().any():
        everyone = pl.DataFrame({"rater": study.labeling.raters}, schema={"rater": pl.String})
        others = (
            rows.select("item_id", "bug_index", "dimension").unique(maintain_order=True).join(everyone, how="cross")
        )
        others = others.join(rows, on=_KEY, how="anti").with_columns(state=pl.lit(NOT_ASKED))
        rows = pl.concat([rows, others], how="diagonal")
    is_final = pl.col("item_id").is_in(imported["item_id"].implode()) & pl.col("state").is_in(LEFT)
    rows = rows.with_columns(state=pl.when(is_final).then(pl.lit(NOT_ASKED)).otherwise("state"))
    unasked = pl.col("state") == NOT_ASKED
    blank = {name: pl.when(~unasked).then(name) for name in ("batch", "answer", "file", "line")}
    return rows.with_columns(**blank).select(QUESTIONS.names()).cast(QUESTIONS)


def _listed(listed: pl.DataFrame, items: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Return the state of each rater's list of bugs."""
    current = listed.filter(~pl.col("superseded"))
    latest = current.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    answers = latest.group_by("item_id", "rater").agg(
        pl.col("batch").first(),
        answer=pl.col("is_bug").any().cast(pl.String),
        file=pl.col("file").first(),
        line=pl.col("line").min(),
    )
    withdrawn = listed.filter("withdrawn").select("item_id", "rater").unique().with_columns(_withdrawn=True)
    return (
        asked.join(answers, on=["item_id", "rater"], how="left", maintain_order="left")
        .join(withdrawn, on=["item_id", "rater"], how="left", maintain_order="left")
        .join(items.select("item_id", "checkpoint"), on="item_id", how="left", maintain_order="left")
        .with_columns(
            bug_index=pl.lit(0, pl.Int32), batch=pl.coalesce("batch", "checkpoint"), state=_state(pl.col("_withdrawn"))
        )
    )


def _rated(
    rated: pl.DataFrame, listed: pl.DataFrame, units: pl.DataFrame, asked: pl.DataFrame, dimension: Dimension
) -> pl.DataFrame:
    """Return the state of each rater's answer about each bug in a dimension."""
    current, former = rated.filter(~pl.col("superseded")), rated.filter("superseded")
    answers = current.filter(pl.col("batch") == pl.col("batch").max().over(_KEY)).select(
        *_KEY, "file", "line", _answered_in="batch", answer=as_text(dimension)
    )
    answered_before = (
        former.filter(as_text(dimension).is_not_null())
        .select(*_KEY, _answered_before="batch")
        .group_by(_KEY)
        .agg(pl.col("_answered_before").max())
    )
    relisted = listed.filter(~pl.col("superseded")).group_by("item_id", "rater").agg(batch=pl.col("batch").max())
    bugs = units.select("item_id", "bug_index", "frozen_in").join(asked, on="item_id", maintain_order="left")
    found = (
        bugs.join(relisted, on=["item_id", "rater"], how="left", maintain_order="left")
        .join(answers, on=_KEY, how="left", maintain_order="left")
        .join(answered_before, on=_KEY, how="left", maintain_order="left")
        .with_columns(batch=pl.coalesce("batch", "frozen_in", "_answered_in"))
    )
    is_outdated = pl.col("_answered_in") < pl.col("batch")
    kept = {name: pl.when(~is_outdated.fill_null(value=False)).then(name) for name in ("answer", "file", "line")}
    was_withdrawn = pl.col("_answered_before") >= pl.coalesce("_answered_in", "batch")
    return found.with_columns(
        **kept, batch=pl.max_horizontal("batch", "_answered_in")
    ).with_columns(state=_state(was_withdrawn))  # fmt: skip


def _state(was_withdrawn: pl.Expr) -> pl.Expr:
    return (
        pl.when(pl.col("answer") == NONE)
        .then(pl.lit(ANSWERED_NONE))
        .when(pl.col("answer").is_not_null())
        .then(pl.lit(ANSWERED))
        .when(was_withdrawn)
        .then(pl.lit(WITHDRAWN))
        .otherwise(pl.lit(WAITING))
    )


def adjudications(labels: pl.DataFrame, by_raters: pl.DataFrame, to_align: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the adjudicator's questions, with the columns of labeling.questions.

    ``by_raters`` are the raters' questions. is_bug is asked about items to align, other dimensions about bugs on which
    raters differ who have all answered. What was decided is answered, also about items that are aligned.
    """
    own = labels.filter(pl.col("rater") == pl.lit(study.labeling.adjudicator, pl.String), ~pl.col("superseded"))
    listed = (
        own.filter(pl.col("pass") == LIST_BUGS)
        .filter(pl.col("batch") == pl.col("batch").max().over("item_id"))
        .group_by("item_id")
        .agg(
            pl.col("batch").first(),
            answer=pl.col("is_bug").any().cast(pl.String),
            file=pl.col("file").first(),
            line=pl.col("line").min(),
        )
    )
    aligned = listed.join(to_align, on="item_id", how="anti")
    items = pl.concat([aligned, to_align], how="diagonal").with_columns(
        bug_index=pl.lit(0, pl.Int32), dimension=pl.lit(IS_BUG)
    )
    bug = ["item_id", "bug_index"]
    differing = (
        by_raters.filter((pl.col("dimension") != IS_BUG) & (pl.col("state") != NOT_ASKED))
        .group_by(*bug, "dimension")
        .agg(pl.col("batch").max(), _left=pl.col("state").is_in(LEFT).any(), _answers=pl.col("answer").n_unique())
        .filter(~pl.col("_left") & (pl.col("_answers") > 1))
        .drop("_left", "_answers")
    )
    rated = own.filter(pl.col("pass") == RATE_BUGS)
    rated = rated.filter(pl.col("batch") == pl.col("batch").max().over(bug))
    decided = pl.concat(
        [pl.DataFrame(schema=QUESTIONS).select(*bug, "dimension", "answer", "file", "line")]
        + [
            rated.select(*bug, "file", "line", dimension=pl.lit(dimension.name), answer=as_text(dimension)).select(
                *bug, "dimension", "answer", "file", "line"
            )
            for dimension in study.asked
        ],
        how="vertical_relaxed",
    )
    bugs = differing.join(decided, on=[*bug, "dimension"], how="left")
    rows = pl.concat([items, bugs], how="diagonal_relaxed").with_columns(
        rater=pl.lit(study.labeling.adjudicator, pl.String), state=_state(pl.lit(value=False))
    )
    return rows.select(QUESTIONS.names()).cast(QUESTIONS)


def _with_refusals(questions: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Mark the questions that wait although their row was submitted, because it was refused."""
    of_row = {name: pl.col("content").str.json_path_match(f"$.{name}") for name in ("item_id", "rater", "pass")}
    refused = rejected.select(
        **of_row,
        bug_index=pl.col("content").str.json_path_match("$.bug_index").cast(pl.Int32, strict=False).fill_null(0),
        _file="file",
        _line="line",
    )
    is_list = pl.col("pass") == LIST_BUGS
    refused = (
        refused.with_columns(bug_index=pl.when(is_list).then(0).otherwise("bug_index").cast(pl.Int32))
        .unique([*_KEY, "pass"], keep="last", maintain_order=True)
        .with_columns(_is_list=is_list)
        .drop("pass")
    )
    joined = questions.with_columns(_is_list=pl.col("dimension") == IS_BUG).join(
        refused, on=[*_KEY, "_is_list"], how="left", maintain_order="left"
    )
    is_refused = pl.col("_line").is_not_null() & pl.col("state").is_in([WAITING, WITHDRAWN])
    return joined.with_columns(
        state=pl.when(is_refused).then(pl.lit(REFUSED)).otherwise("state"),
        file=pl.when(is_refused).then("_file").otherwise("file"),
        line=pl.when(is_refused).then("_line").otherwise("line"),
    ).select(QUESTIONS.names())
