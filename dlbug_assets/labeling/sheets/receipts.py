"""Receipts: what became of each row of a submitted file, and which refused rows still wait for an answer."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from dlbug_assets.labeling.asked import asked_raters
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.sheets.history import CHANGED, TAKEN, UNCHANGED, WITHDRAWN, Question, Recorded
from dlbug_assets.labeling.sheets.inbox import Version
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

RECEIPTS = table_schema("labeling.receipts")

#: What a row answers: in the units pass, all rows about an item are one answer.
ANSWER = ("item_id", "rater", "pass", "bug_index")
_BLANK, _REFUSED = "blank", "refused"


@dataclass
class Tally:
    """What the rows of a version are about, how many are blank, and what these would have answered."""

    raters: set[str] = field(default_factory=set)
    passes: set[str] = field(default_factory=set)
    blank: int = 0
    cleared: set[Question] = field(default_factory=set)


def receipts(
    received: Sequence[Version],
    tallies: Sequence[Tally],
    recorded: Sequence[Recorded],
    problems: pl.DataFrame,
    notes: Mapping[str, Sequence[str]],
) -> pl.DataFrame:
    """Return labeling.receipts, in the order of arrival.

    ``problems`` has a row per refused row or file, ``file`` being the folder of the version, as in ``notes``.
    """
    refused = dict(problems.group_by("file").len().rows())
    numbers: Counter[str] = Counter()
    rows = []
    for version, tally in zip(received, tallies, strict=True):
        name = version.folder.name
        numbers[version.path.name] += 1
        outcome: Counter[str] = Counter({_BLANK: tally.blank, _REFUSED: refused.get(name, 0)})
        remarks = list(notes[name])
        for each in recorded:
            outcome.update(each.outcomes[name])
            remarks += [f"taken as {each.assumptions[name]}"] if name in each.assumptions else []
        total = outcome.total() - outcome[WITHDRAWN]
        if total == outcome[_BLANK]:
            remarks.append("nothing is filled in" if total else "it has no rows")
        rows.append(
            {
                **{column: outcome[column] for column in (TAKEN, CHANGED, UNCHANGED, _BLANK, WITHDRAWN, _REFUSED)},
                "file": version.path.name,
                "version": numbers[version.path.name],
                "received_at": version.received_at,
                "rater": _only(tally.raters),
                "pass": _only(tally.passes),
                "rows": total,
                "note": "; ".join(remarks) or None,
            }
        )
    return pl.DataFrame(rows, schema=RECEIPTS)


def _only(values: Collection[str]) -> str | None:
    """Return the only value; None if there are several or none."""
    return next(iter(values)) if len(values) == 1 else None


def questions_of(items: pl.DataFrame, units: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return what may be answered, with the columns of ANSWER: the bugs of each item, and each frozen bug."""
    adjudicator = pl.lit(study.labeling.adjudicator, pl.String)
    people = pl.concat([asked_raters(items, study), items.select("item_id", rater=adjudicator)])
    lists = items.select("item_id", pl.lit(LIST_BUGS).alias("pass"), bug_index=pl.lit(0, pl.Int32))
    bugs = units.select("item_id", pl.lit(RATE_BUGS).alias("pass"), "bug_index")
    return pl.concat([lists, bugs]).join(people, on="item_id").select(ANSWER)


def stated_answer() -> list[pl.Expr]:
    """Return what a refused row says that it answers, as the columns of ANSWER."""
    stated = {name: pl.col("content").str.json_path_match(f"$.{name}").str.strip_chars() for name in ANSWER}
    is_list = stated["pass"] == LIST_BUGS
    index = stated["bug_index"].cast(pl.Int32, strict=False)
    stated["bug_index"] = pl.when(is_list).then(pl.lit(0, pl.Int32)).otherwise(index)
    return [expression.alias(name) for name, expression in stated.items()]


def unanswered(
    problems: pl.DataFrame,
    accepted: pl.DataFrame,
    askable: pl.DataFrame,
    sheets: Mapping[str, str],
    people: Mapping[str, str],
) -> pl.DataFrame:
    """Return the refused rows, with the columns of ``problems``, that nobody has answered since.

    ``accepted`` has the columns of ANSWER and ``file``, of all valid rows; ``askable`` is what :func:`questions_of`
    returns; ``sheets`` and ``people`` name the sheet of each version, and the person whose name it bears.

    A row about a question that may be asked waits until a later version has a valid answer; another row, or a whole
    file, until there is a later version of its sheet without it.
    """
    if problems.is_empty():
        return problems
    order = {version: number for number, version in enumerate(sheets)}
    newest = {sheet: version for version, sheet in sheets.items()}
    version = pl.col("file").replace_strict(order, default=None, return_dtype=pl.Int32)
    bug = pl.when(pl.col("pass") == LIST_BUGS).then(pl.lit(0, pl.Int32)).otherwise("bug_index").alias("bug_index")
    answered = accepted.with_columns(bug).group_by(ANSWER).agg(_answered=version.max())
    person = pl.col("file").replace_strict(dict(people), default=None, return_dtype=pl.String)
    rows = (
        problems.with_columns(*stated_answer(), _version=version)
        .join(answered, on=ANSWER, how="left", maintain_order="left")
        .join(askable.unique().with_columns(_is_askable=True), on=ANSWER, how="left", maintain_order="left")
    )
    is_known = pl.col("_is_askable").fill_null(value=False) & (person.fill_null(pl.col("rater")) == pl.col("rater"))
    last = pl.col("_version").max().over(ANSWER)
    waits = (pl.col("_answered").fill_null(-1) <= pl.col("_version")) & (pl.col("_version") == last)
    is_newest = pl.col("file").is_in(list(newest.values()))
    return rows.filter(pl.when(is_known).then(waits).otherwise(is_newest)).select(problems.columns)
