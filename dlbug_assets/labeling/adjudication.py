"""Adjudication: where raters differ, and the agreed labels.

What belongs here: disagreements and the adjudicator's decisions. What doesn't: how much raters agree (agreement/).
"""

from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets import releases
from dlbug_assets.labeling.agreement.ratings import rated_bugs, ratings
from dlbug_assets.labeling.agreement.released_raters import compared
from dlbug_assets.labeling.bug_labels import bug_labels, full_schema, wide
from dlbug_assets.labeling.items import add_dates
from dlbug_assets.labeling.label_texts import IS_BUG, NONE, as_text, from_text
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.units import ADJUDICATION, AGREEMENT
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.rows import Rows, conform, table_schema

DISAGREEMENTS = table_schema("labeling.disagreements")

_BUG = ["item_id", "bug_index"]


def disagreements(labels: pl.DataFrame, units: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return labeling.disagreements: where two raters differ in their latest labels.

    ``labels`` is labeling.rater_labels, ``units`` labeling.units. One row per item_id, bug_index, dimension and
    pair of raters (rater_1 < rater_2); is_bug has bug_index 0 and the labels true and false. The ratings are those
    that count for kappa at 100% (see :func:`~dlbug_assets.labeling.agreement.ratings.ratings`), of frozen units only:
    nothing else needs a decision. A label is ``none`` if the rater left it blank or did not list the bug; an
    adjudicator's blank is ``none`` too; several categories are joined by the dimension's separator. adjudicated_label,
    _by and _at (UTC; when the decision was made, or received if its file does not contain a time) are NULL while
    undecided.
    """
    labels, study, names = compared(labels, study)
    if not study.labeling.raters:  # a release may have no labels by raters
        return pl.DataFrame(schema=DISAGREEMENTS)
    frames = []
    for dimension in (IS_BUG, *study.asked_names):
        wide = ratings(labels, study, dimension)
        if dimension != IS_BUG:
            wide = wide.join(units.select(_BUG), on=_BUG, how="semi")
        wide = wide.join(_adjudicated(labels, study, dimension), on=_BUG, how="left")
        # Column label_i belongs to the i-th rater of the study; the raters of a pair are in alphabetical order.
        ordered = sorted((rater, f"label_{i}") for i, rater in enumerate(study.labeling.raters, start=1))
        for position, (rater_1, label_1) in enumerate(ordered):
            for rater_2, label_2 in ordered[position + 1 :]:
                frames.append(
                    wide.filter(pl.col(label_1) != pl.col(label_2)).select(
                        *_BUG,
                        pl.lit(dimension).alias("dimension"),
                        pl.lit(rater_1).alias("rater_1"),
                        pl.col(label_1).alias("_label_1"),
                        pl.lit(rater_2).alias("rater_2"),
                        pl.col(label_2).alias("_label_2"),
                        "adjudicated_label",
                        "adjudicated_by",
                        "adjudicated_at",
                    )
                )
    order = pl.Enum([IS_BUG, *study.asked_names])
    found = pl.concat(frames)
    for column in ("rater_1", "rater_2"):
        named = names.select("item_id", pl.col("compared_as").alias(column), _name="rater")
        found = found.join(named, on=["item_id", column], how="left")
        found = found.with_columns(pl.coalesce("_name", column).alias(column)).drop("_name")
    return (
        found.sort("item_id", "bug_index", pl.col("dimension").cast(order), "rater_1", "rater_2")
        .rename({"_label_1": "label_1", "_label_2": "label_2"})
        .select(DISAGREEMENTS.names())
        .cast(DISAGREEMENTS)
    )


def _latest(
    labels: pl.DataFrame, people: Sequence[str | None], pass_name: str, of: Sequence[str] = ("item_id",)
) -> pl.DataFrame:
    """Return the rows of each person's latest batch in a pass, per item or per the key ``of``."""
    return labels.filter(
        pl.col("rater").is_in([person for person in people if person])
        & ~pl.col("superseded")
        & (pl.col("pass") == pass_name)
    ).filter(pl.col("batch") == pl.col("batch").max().over(*of, "rater"))


def _decisions(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the adjudicator's latest row for each bug.

    The latest batch is taken per bug, because a later sheet contains only the bugs of an item that are still open.
    """
    return _latest(labels, (study.labeling.adjudicator,), RATE_BUGS, of=_BUG).filter("is_bug")


def _adjudicated(labels: pl.DataFrame, study: Study, dimension: str) -> pl.DataFrame:
    """Return the adjudicator's label per bug (per item for is_bug).

    Columns: item_id, bug_index, adjudicated_label, adjudicated_by and adjudicated_at.
    """
    adjudicator = study.labeling.adjudicator
    decided_at = pl.coalesce("labelled_at", "received_at").alias("adjudicated_at")
    if dimension == IS_BUG:
        decisions = (
            _latest(labels, (adjudicator,), LIST_BUGS)
            .group_by("item_id")
            .agg(
                decided_at.max(),
                bug_index=pl.lit(0, pl.Int32),
                adjudicated_label=pl.col("is_bug").any().cast(pl.String),
            )
        )
    else:
        asked = {each.name: each for each in study.asked}[dimension]
        decisions = _decisions(labels, study).select(
            *_BUG, decided_at, adjudicated_label=as_text(asked).fill_null(NONE)
        )
    return decisions.with_columns(pl.col("bug_index").cast(pl.Int32), adjudicated_by=pl.lit(adjudicator, pl.String))


def labels(
    rater_labels: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    *,
    study: Study,
    taxonomy: Taxonomy,
    release: Callable[[], releases.Released],
) -> dict[str, Rows]:
    """Return labeling.labels and labeling.bug_labels: the bugs that :func:`decide` returns, or those of a release."""
    metadata: dict[str, int] = {}
    if study.sources.labels == "release":
        released = release()
        agreed = add_dates(conform(releases.labels(released, study), full_schema(study)), items)
        metadata = releases.data_quality(released, study)
    else:
        agreed = decide(rater_labels, units, items, study)
    long = bug_labels(agreed, study, taxonomy)
    return {"labels": Rows(wide(agreed, long, study), metadata), "bug_labels": Rows(long)}


def decide(labels: pl.DataFrame, units: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the agreed bugs, in the order of ``items``, with the columns of ``full_schema``.

    ``labels`` is labeling.rater_labels, ``units`` labeling.units, ``items`` labeling.items. One row per frozen
    unit that is decided: by ``agreement`` if all raters give the same labels in every dimension, by ``adjudication``
    if the adjudicator's row decides the dimensions in which they differ. A unit that a rater has yet to rate, or the
    adjudicator to decide, is left out. The ``_as_written`` columns repeat the label; ``provenance`` contains file and
    line of each row that the label is based on, raters first. Times are UTC.
    """
    raters, schema = study.labeling.raters, full_schema(study)
    if not raters:
        return pl.DataFrame(schema=schema)
    rated = _latest(labels, raters, RATE_BUGS).filter("is_bug")
    decisions = _decisions(labels, study)
    names = [f"label_{number}" for number in range(1, len(raters) + 1)]

    bugs = rated_bugs(labels, study).join(units.select(_BUG), on=_BUG, how="semi")
    bugs = bugs.join(
        decisions.select(
            *_BUG,
            *(pl.col(name).alias(f"_decided_{name}") for name in study.asked_names),
            _provenance("_decision"),
            _decided=pl.lit(1),
        ),
        on=_BUG,
        how="left",
    )
    for dimension in study.asked:
        answers = ratings(labels, study, dimension.name).with_columns(
            _same=pl.all_horizontal(pl.col(name) == pl.col(names[0]) for name in names)
        )
        # A bug without ratings was left blank by all raters, in an optional dimension: they agree.
        bugs = bugs.join(answers.select(*_BUG, "_same", _answer=names[0]), on=_BUG, how="left").select(
            pl.exclude("_same", "_answer", f"_decided_{dimension.name}"),
            pl.col("_same").fill_null(True).alias(f"_same_{dimension.name}"),
            pl.when(pl.col("_same").fill_null(True))
            .then(from_text(pl.col("_answer").replace(NONE, None), dimension))
            .otherwise(pl.col(f"_decided_{dimension.name}"))
            .alias(dimension.name),
        )
    cited = rated.join(pl.DataFrame({"rater": raters, "_order": range(len(raters))}), on="rater").sort("_order")
    cited = cited.group_by(_BUG, maintain_order=True).agg(_provenance("_ratings").str.join("; "))
    agreed = pl.all_horizontal(pl.col(f"_same_{name}") for name in study.asked_names)
    decided = (
        bugs.with_columns(decided_by=pl.when(agreed).then(pl.lit(AGREEMENT)).otherwise(pl.lit(ADJUDICATION)))
        .filter((pl.col("decided_by") == AGREEMENT) | pl.col("_decided").is_not_null())
        .join(cited, on=_BUG, how="left")
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
    placed = items.select(
        "item_id", "source", "library", "created_at", "year", "repository", "commit_sha", "link",
        _order=pl.int_range(pl.len()),
    )  # fmt: skip
    return (
        decided.join(placed, on="item_id", how="inner").sort("_order", "bug_index").select(schema.names()).cast(schema)
    )


def _provenance(name: str) -> pl.Expr:
    """Return the file and line of each row as the column ``name``."""
    return pl.format("{} line {}", pl.col("file").fill_null("?"), pl.col("line").cast(pl.String).fill_null("?")).alias(
        name
    )
