"""From rater labels to agreed bugs: what raters differ on, and what counts in the end.

What belongs here: disagreements and the adjudicator's decisions. What doesn't: how much raters agree (agreement.py).
"""

from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets import releases
from dlbug_assets.labeling.agreement.ratings import IS_BUG, NONE, ratings
from dlbug_assets.labeling.items import dated
from dlbug_assets.labeling.sheets.validation import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.units import ADJUDICATION, AGREEMENT
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, REQUIRED_DIMENSIONS
from dlbug_assets.warehouse.rows import Rows

#: labeling.disagreements
DISAGREEMENTS = pl.Schema(
    {
        "item_id": pl.String,
        "bug_index": pl.Int32,
        "dimension": pl.String,
        "rater_1": pl.String,
        "label_1": pl.String,
        "rater_2": pl.String,
        "label_2": pl.String,
        "adjudicated_label": pl.String,
        "adjudicated_by": pl.String,
        "adjudicated_at": pl.Datetime("us"),
    }
)

#: labeling.labels
LABELS = pl.Schema(
    {
        "bug_id": pl.String,
        "item_id": pl.String,
        "source": pl.String,
        "library": pl.String,
        "bug_index": pl.Int32,
        **dict.fromkeys(DIMENSIONS, pl.String),
        "created_at": pl.Datetime("us"),
        "year": pl.Int32,
        "repository": pl.String,
        "commit_sha": pl.String,
        "decided_by": pl.String,
        **{f"{dimension}_as_written": pl.String for dimension in REQUIRED_DIMENSIONS},
        "link": pl.String,
        "provenance": pl.String,
    }
)

_BUG = ["item_id", "bug_index"]


def disagreements(labels: pl.DataFrame, units: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Where two raters differ in their latest labels: labeling.disagreements.

    ``labels`` is labeling.rater_labels, ``units`` labeling.units. One row per item_id, bug_index, dimension and
    pair of raters (rater_1 < rater_2); is_bug has bug_index 0 and the labels true and false. The ratings are those
    that count for kappa at 100% (see :func:`~dlbug_assets.labeling.agreement.ratings.ratings`), of frozen units only:
    nothing else is to be decided. ``none`` is what a rater says who left it blank or does not list the bug;
    an adjudicator's blank is ``none`` too. adjudicated_label, _by and _at (UTC: when the decision was made, or received
    where its file does not say) are NULL while undecided.
    """
    if not study.labeling.raters:  # the authors' release: nobody to differ
        return pl.DataFrame(schema=DISAGREEMENTS)
    frames = []
    for dimension in (IS_BUG, *DIMENSIONS):
        wide = ratings(labels, study, dimension)
        if dimension != IS_BUG:
            wide = wide.join(units.select(_BUG), on=_BUG, how="semi")
        wide = wide.join(_adjudicated(labels, study, dimension), on=_BUG, how="left")
        # Column label_i belongs to the i-th rater of the study; pairs are named in alphabetical order.
        ordered = sorted((rater, f"label_{i}") for i, rater in enumerate(study.labeling.raters, start=1))
        for at, (rater_1, label_1) in enumerate(ordered):
            for rater_2, label_2 in ordered[at + 1 :]:
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
    order = pl.Enum([IS_BUG, *DIMENSIONS])
    return (
        pl.concat(frames)
        .sort("item_id", "bug_index", pl.col("dimension").cast(order), "rater_1", "rater_2")
        .rename({"_label_1": "label_1", "_label_2": "label_2"})
        .select(DISAGREEMENTS.names())
        .cast(dict(DISAGREEMENTS))
    )


def _latest(
    labels: pl.DataFrame, raters: tuple[str | None, ...], which: str, of: Sequence[str] = ("item_id",)
) -> pl.DataFrame:
    """What these raters said last in a pass: the rows of each rater's highest batch for the item."""
    return labels.filter(
        pl.col("rater").is_in([rater for rater in raters if rater]) & ~pl.col("superseded") & (pl.col("pass") == which)
    ).filter(pl.col("batch") == pl.col("batch").max().over(*of, "rater"))


def _rulings(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """What the adjudicator said last of each bug: a later sheet holds only the bugs of an item that are still open."""
    return _latest(labels, (study.labeling.adjudicator,), RATE_BUGS, of=_BUG).filter("is_bug")


def _adjudicated(labels: pl.DataFrame, study: Study, dimension: str) -> pl.DataFrame:
    """The adjudicator's answer per bug (per item for is_bug): item_id, bug_index, adjudicated_label, _by and _at."""
    who = study.labeling.adjudicator
    decided_at = pl.coalesce("labelled_at", "received_at").alias("adjudicated_at")
    if dimension == IS_BUG:
        said = (
            _latest(labels, (who,), LIST_BUGS)
            .group_by("item_id")
            .agg(
                decided_at.max(),
                bug_index=pl.lit(0, pl.Int32),
                adjudicated_label=pl.col("is_bug").any().cast(pl.String),
            )
        )
    else:
        said = _rulings(labels, study).select(*_BUG, decided_at, adjudicated_label=pl.col(dimension).fill_null(NONE))
    return said.with_columns(pl.col("bug_index").cast(pl.Int32), adjudicated_by=pl.lit(who, pl.String))


def labels(
    rater_labels: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    study: Study,
    release: Callable[[], pl.DataFrame],
) -> Rows:
    """Return labeling.labels: the bugs that :func:`decide` finds, or those of the authors' release."""
    if study.sources.labels == "artifact":
        rows = release()
        return Rows(dated(releases.labels(rows), items), releases.dirt(rows))
    return Rows(decide(rater_labels, units, items, study))


def decide(labels: pl.DataFrame, units: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The agreed bugs: labeling.labels, in the order of ``items``.

    ``labels`` is labeling.rater_labels, ``units`` labeling.units, ``items`` labeling.items. One row per frozen
    unit that is decided: ``agreement`` where all raters say the same in every dimension, ``adjudication`` where the
    adjudicator's row decides those in which they differ. A unit that a rater has yet to rate, or on which the
    adjudicator has yet to decide, is left out. The ``_as_written`` columns repeat the label; ``provenance`` names
    file and line of each row that decided, raters first. Times are UTC.
    """
    raters = study.labeling.raters
    if not raters:
        return pl.DataFrame(schema=LABELS)
    rows = _latest(labels, raters, RATE_BUGS).filter("is_bug")
    ruling = _rulings(labels, study)
    names = [f"label_{number}" for number in range(1, len(raters) + 1)]

    # Whoever rated a bug gave it a bug type, so these are all the bugs that somebody rated and no rater still owes.
    bugs = ratings(labels, study, "bug_type").select(_BUG).join(units.select(_BUG), on=_BUG, how="semi")
    bugs = bugs.join(
        ruling.select(
            *_BUG, *(pl.col(name).alias(f"_ruled_{name}") for name in DIMENSIONS), _where("_ruling"), _ruled=pl.lit(1)
        ),
        on=_BUG,
        how="left",
    )
    for dimension in DIMENSIONS:
        said = ratings(labels, study, dimension).with_columns(
            _same=pl.all_horizontal(pl.col(name) == pl.col(names[0]) for name in names)
        )
        # No row of ratings means that all left it blank (stage, antipattern): they agree.
        bugs = bugs.join(said.select(*_BUG, "_same", _said=names[0]), on=_BUG, how="left").select(
            pl.exclude("_same", "_said", f"_ruled_{dimension}"),
            pl.col("_same").fill_null(True).alias(f"_same_{dimension}"),
            pl.when(pl.col("_same").fill_null(True))
            .then(pl.col("_said").replace(NONE, None))
            .otherwise(pl.col(f"_ruled_{dimension}"))
            .alias(dimension),
        )
    cited = rows.join(pl.DataFrame({"rater": raters, "_order": range(len(raters))}), on="rater").sort("_order")
    cited = cited.group_by(_BUG, maintain_order=True).agg(_where("_raters").str.join("; "))
    agreed = pl.all_horizontal(pl.col(f"_same_{dimension}") for dimension in DIMENSIONS)
    decided = (
        bugs.with_columns(decided_by=pl.when(agreed).then(pl.lit(AGREEMENT)).otherwise(pl.lit(ADJUDICATION)))
        .filter((pl.col("decided_by") == AGREEMENT) | pl.col("_ruled").is_not_null())
        .join(cited, on=_BUG, how="left")
        .with_columns(
            bug_id=pl.format("{}#{}", "item_id", "bug_index"),
            provenance=pl.concat_str(
                "_raters",
                pl.when(pl.col("decided_by") == ADJUDICATION).then("_ruling"),
                separator="; ",
                ignore_nulls=True,
            ),
            **{f"{dimension}_as_written": pl.col(dimension) for dimension in REQUIRED_DIMENSIONS},
        )
    )
    placed = items.select(
        "item_id", "source", "library", "created_at", "year", "repository", "commit_sha", "link",
        _order=pl.int_range(pl.len()),
    )  # fmt: skip
    return (
        decided.join(placed, on="item_id", how="inner")
        .sort("_order", "bug_index")
        .select(LABELS.names())
        .cast(dict(LABELS))
    )


def _where(name: str) -> pl.Expr:
    """The place of a row as a reader looks it up."""
    return pl.format("{} line {}", pl.col("file").fill_null("?"), pl.col("line").cast(pl.String).fill_null("?")).alias(
        name
    )
