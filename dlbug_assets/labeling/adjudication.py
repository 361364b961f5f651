"""Adjudication: where raters differ, and the agreed labels.

What belongs here: disagreements and the adjudicator's decisions. What doesn't: how much raters agree (agreement/).
"""

from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets import releases
from dlbug_assets.labeling.bug_labels import bug_labels, full_schema, wide
from dlbug_assets.labeling.imported.tables import NOTHING_IMPORTED, imported_bugs, imported_decisions
from dlbug_assets.labeling.items import add_dates, add_years
from dlbug_assets.labeling.label_texts import IS_BUG, from_text
from dlbug_assets.labeling.questions import LEFT, NOT_ASKED
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.labeling.units import ADJUDICATION, AGREEMENT
from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.rows import Rows, conform, table_schema

DISAGREEMENTS = table_schema("labeling.disagreements")

_BUG = ["item_id", "bug_index"]
_QUESTION = [*_BUG, "dimension"]


def disagreements(
    labels: pl.DataFrame, questions: pl.DataFrame, study: Study, imported: pl.DataFrame = NOTHING_IMPORTED
) -> pl.DataFrame:
    """Return labeling.disagreements: where two raters differ in their answers.

    ``labels`` is labeling.rater_labels, ``questions`` labeling.questions, ``imported`` labeling.imported_labels, which
    decide as well. One row per item_id, bug_index, dimension and pair of raters (rater_1 < rater_2) of whom all who are
    asked have answered; is_bug has bug_index 0 and the labels true and false. A label is ``none`` if the rater decided
    that no category applies; several categories are joined by the dimension's separator. adjudicated_label, _by and _at
    (UTC; when the decision was made, or received if its file does not contain a time) are NULL while undecided.
    """
    adjudicator = pl.lit(study.labeling.adjudicator, pl.String)
    is_decision = (pl.col("rater") == adjudicator).fill_null(value=False)
    by_raters = questions.filter(~is_decision, pl.col("state") != NOT_ASKED)
    complete = by_raters.filter(~pl.col("state").is_in(LEFT).any().over(_QUESTION))
    first = complete.select(*_QUESTION, rater_1="rater", label_1="answer")
    second = complete.select(*_QUESTION, rater_2="rater", label_2="answer")
    differing = first.join(second, on=_QUESTION).filter(
        (pl.col("rater_1") < pl.col("rater_2")) & (pl.col("label_1") != pl.col("label_2"))
    )
    decisions = questions.filter(is_decision & pl.col("answer").is_not_null()).select(
        *_QUESTION, "file", "line", adjudicated_label="answer", adjudicated_by="rater"
    )
    times = (
        labels.filter(pl.col("rater") == adjudicator, ~pl.col("superseded"))
        .group_by("item_id", "file", "line")
        .agg(adjudicated_at=pl.coalesce("labelled_at", "received_at").max())
    )
    decisions = decisions.join(times, on=["item_id", "file", "line"], how="left", nulls_equal=True).drop("file", "line")
    by_import = imported_decisions(imported, study)
    decisions = pl.concat([by_import, decisions.join(by_import, on=_QUESTION, how="anti").select(by_import.columns)])
    order = pl.Enum([IS_BUG, *study.asked_names])
    return (
        differing.join(decisions, on=_QUESTION, how="left")
        .sort("item_id", "bug_index", pl.col("dimension").cast(order), "rater_1", "rater_2")
        .select(DISAGREEMENTS.names())
        .cast(DISAGREEMENTS)
    )


def _latest(labels: pl.DataFrame, people: Sequence[str | None]) -> pl.DataFrame:
    """Return the rows of each person's latest batch in the dimensions pass, per bug."""
    return labels.filter(
        pl.col("rater").is_in([person for person in people if person])
        & ~pl.col("superseded")
        & (pl.col("pass") == RATE_BUGS)
    ).filter(pl.col("batch") == pl.col("batch").max().over(*_BUG, "rater"))


def labels(
    rater_labels: pl.DataFrame,
    questions: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    imported: pl.DataFrame,
    *,
    brackets: pl.DataFrame,
    study: Study,
    taxonomy: Taxonomy,
    release: Callable[[], releases.Released],
) -> dict[str, Rows]:
    """Return labeling.labels and labeling.bug_labels: the bugs that :func:`decide` returns, or those of a release.

    ``brackets`` is reference.post_id_years, for bugs whose date is not known.
    """
    metadata: dict[str, int] = {}
    if study.sources.labels == "release":
        released = release()
        agreed = add_dates(conform(releases.labels(released, study), full_schema(study)), items)
        metadata = releases.data_quality(released, study)
    else:
        agreed = decide(rater_labels, questions, units, items, study, imported=imported)
    long = bug_labels(agreed, study, taxonomy)
    return {"labels": Rows(wide(add_years(agreed, items, brackets), long, study), metadata), "bug_labels": Rows(long)}


def decide(
    labels: pl.DataFrame,
    questions: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    study: Study,
    *,
    imported: pl.DataFrame = NOTHING_IMPORTED,
) -> pl.DataFrame:
    """Return the agreed bugs, in the order of ``items``, with the columns of ``full_schema``.

    ``labels`` is labeling.rater_labels, ``imported`` labeling.imported_labels, the others are the tables of that name
    in labeling. One row per frozen unit that is decided: by ``imported`` labels, whatever raters answer; by
    ``agreement`` if all raters who are asked give the same answers in every dimension, by ``adjudication`` if the
    adjudicator decides the dimensions in which they differ. A unit about which a rater has yet to answer a
    question, or the adjudicator to decide one, is left out. A label is NULL if the answer is none, or if the
    dimension is not asked. The ``_as_written`` columns repeat the label; ``provenance`` contains file and line of
    each row that the label is based on, raters first. Times are UTC; the columns about years are NULL (see add_years).
    """
    raters, schema = study.labeling.raters, full_schema(study)
    if not raters:
        return pl.DataFrame(schema=schema)
    is_decision = pl.col("rater") == pl.lit(study.labeling.adjudicator, pl.String)
    asked = questions.filter((pl.col("dimension") != IS_BUG) & (pl.col("state") != NOT_ASKED))
    answers = (
        asked.filter(~is_decision)
        .group_by(_QUESTION)
        .agg(
            _same=pl.col("answer").n_unique() == 1,
            _answer=pl.col("answer").first(),
            _is_left=pl.col("state").is_in(LEFT).any(),
        )
        .join(asked.filter(is_decision).select(*_QUESTION, _decision="answer"), on=_QUESTION, how="left")
        .with_columns(label=pl.when("_same").then("_answer").otherwise("_decision"))
    )
    bugs = answers.group_by(_BUG).agg(
        _is_decided=(~pl.col("_is_left") & pl.col("label").is_not_null()).all(), _agreed=pl.col("_same").all()
    )
    # About a bug without questions, raters have nothing to differ in.
    is_decided = pl.col("_is_decided").fill_null(value=True)
    by_raters = units.join(imported, on="item_id", how="anti").select(_BUG)
    bugs = by_raters.join(bugs, on=_BUG, how="left").filter(is_decided)
    for dimension in study.asked:
        of_dimension = answers.filter(pl.col("dimension") == dimension.name)
        label = from_text(pl.col("label").replace(NONE, None), dimension).alias(dimension.name)
        bugs = bugs.join(of_dimension.select(*_BUG, label), on=_BUG, how="left")
    rated = _latest(labels, raters).join(pl.DataFrame({"rater": raters, "_order": range(len(raters))}), on="rater")
    cited = rated.sort("_order").group_by(_BUG, maintain_order=True).agg(_provenance("_ratings").str.join("; "))
    decisions = _latest(labels, (study.labeling.adjudicator,)).select(*_BUG, _provenance("_decision"))
    decided = (
        bugs.with_columns(
            decided_by=pl.when(pl.col("_agreed").fill_null(value=True))
            .then(pl.lit(AGREEMENT))
            .otherwise(pl.lit(ADJUDICATION))
        )
        .join(cited, on=_BUG, how="left")
        .join(decisions, on=_BUG, how="left")
        .with_columns(
            bug_id=pl.format("{}#{}", "item_id", "bug_index"),
            provenance=pl.concat_str(
                "_ratings",
                pl.when(pl.col("decided_by") == ADJUDICATION).then("_decision"),
                separator="; ",
                ignore_nulls=True,
            ),
            **{f"{dimension}_as_written": pl.col(dimension) for dimension in study.asked_names},
        )
    )
    placed = items.select("item_id", "source", "library", "created_at", "repository", "commit_sha", "link")
    order = items.select("item_id", _order=pl.int_range(pl.len()))
    agreed = conform(decided.join(placed, on="item_id", how="inner"), schema)
    agreed = pl.concat([agreed, imported_bugs(imported, items, study)]).join(order, on="item_id", how="inner")
    return agreed.sort("_order", "bug_index").drop("_order")


def _provenance(name: str) -> pl.Expr:
    """Return the file and line of each row as the column ``name``."""
    return pl.format("{} line {}", pl.col("file").fill_null("?"), pl.col("line").cast(pl.String).fill_null("?")).alias(
        name
    )
