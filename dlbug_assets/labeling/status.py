"""Progress of labelling: how many questions each person has answered, and what is to be done next."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from dlbug_assets.labeling import rounds
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.labeling.questions import ANSWERED, ANSWERED_NONE, LEFT, NOT_ASKED, REFUSED, WAITING, WITHDRAWN
from dlbug_assets.labeling.sheets.assignments import Sheet, due_sheets
from dlbug_assets.labeling.sheets.export import last_export
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS, WHOLE_FILE
from dlbug_assets.protocol.study import Study

#: One row per person and pass that asks something of them.
PROGRESS = pl.Schema(
    {
        "person": pl.String,
        "pass": pl.String,
        "counted": pl.String,
        "asked": pl.Int64,
        "answered": pl.Int64,
        "waiting": pl.Int64,
        "withdrawn": pl.Int64,
        "refused": pl.Int64,
    }
)
_BUG = ["item_id", "bug_index"]


def progress(questions: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return how far each person is in each pass, with the columns of PROGRESS: raters first, in the study's order.

    ``questions`` is labeling.questions. ``counted`` is what the numbers count: items, bugs, or, of the adjudicator in
    the dimensions pass, labels. A bug is answered if all that is asked about it is.
    """
    is_list = pl.col("dimension") == IS_BUG
    is_adjudicator = (pl.col("rater") == pl.lit(study.labeling.adjudicator, pl.String)).fill_null(value=False)
    worst = pl.Enum([REFUSED, WITHDRAWN, WAITING, ANSWERED])
    counted = (
        questions.filter(pl.col("state") != NOT_ASKED)
        .with_columns(
            pl.when(is_list).then(pl.lit(LIST_BUGS)).otherwise(pl.lit(RATE_BUGS)).alias("pass"),
            pl.col("state").replace(ANSWERED_NONE, ANSWERED).cast(worst),
            _label=pl.when(is_adjudicator).then("dimension"),
            counted=pl.when(is_list)
            .then(pl.lit("items"))
            .when(is_adjudicator)
            .then(pl.lit("labels"))
            .otherwise(pl.lit("bugs")),
            person="rater",
        )
        .group_by("person", "pass", "counted", *_BUG, "_label")
        .agg(pl.col("state").min())
    )
    states = {state: (pl.col("state") == state).sum() for state in (ANSWERED, WAITING, WITHDRAWN, REFUSED)}
    people = [*study.labeling.raters, *filter(None, [study.labeling.adjudicator])]
    return (
        counted.group_by("person", "pass", "counted")
        .agg(asked=pl.len(), **states)
        .with_columns(_order=pl.col("person").replace_strict(people, range(len(people)), default=len(people)))
        .sort("_order", "person", pl.col("pass").cast(pl.Enum([LIST_BUGS, RATE_BUGS])))
        .select(PROGRESS.names())
        .cast(PROGRESS)
    )


def next_steps(study: Study, query: Callable[[str], pl.DataFrame], folder: Path) -> list[str]:
    """Return what people and the study's owner have to do next, the most urgent first.

    ``query`` runs SQL on the published database; ``folder`` contains the frozen rounds and the outbox. Raises
    :class:`DlbugError` if a round cannot be read.
    """
    questions, receipts = query("from labeling.questions"), query("from labeling.receipts")
    left = questions.filter(pl.col("state").is_in(LEFT))
    steps = list(_refusals(query("from labeling.rejected_labels"), receipts))
    if left.is_empty():
        return steps or ["All questions are answered."]
    frozen = rounds.frozen(folder / "queue")
    export = f"dlbug labels export --study {study.name}"
    unfrozen = query("from labeling.items").join(frozen, on="item_id", how="anti")
    number = _number(unfrozen.height, "item")
    if frozen.is_empty():
        return [*steps, f"{export}: freeze {number} and write the first sheets"]
    sheets = due_sheets(
        study, frozen, query("from labeling.rater_labels"), query("from labeling.units"), questions
    )  # fmt: skip
    files = {path.stem.removesuffix("-label-studio"): path.name for path in (folder / "outbox").glob("[0-9r]*")}
    exported_at = last_export(folder)
    is_outdated = exported_at is None or not receipts.filter(pl.col("received_at") > exported_at).is_empty()
    if sheets and (is_outdated or any(sheet.name not in files for sheet in sheets)):
        steps.append(f"{export}: write the {_number(len(sheets), 'sheet')} with what is left")
    for sheet in sheets:
        steps += _of_sheet(sheet, study, files.get(sheet.name))
    if not unfrozen.is_empty():
        lists = left.filter((pl.col("dimension") == IS_BUG) & pl.col("rater").is_in(study.labeling.raters))
        is_listed = lists.join(frozen, on="item_id", how="semi").is_empty()
        following = f"round {unfrozen['round'][0]}, {number}"
        steps.append(
            f"{export}: freeze {following}"
            if is_listed
            else f"later: {following}, can be frozen once the bugs of all items before it are listed"
        )
    return steps


def _refusals(rejected: pl.DataFrame, receipts: pl.DataFrame) -> Iterator[str]:
    """Yield who has to fix which file, the newest first."""
    newest = receipts.sort("received_at").group_by("file").agg(pl.col("rater", "received_at").last())
    files = (
        rejected.group_by("file")
        .agg(rows=pl.len(), is_whole=(pl.col("line") == WHOLE_FILE).all())
        .join(newest, on="file", how="left")
        .sort("received_at", "file", descending=[True, False])
    )
    for file, rows, is_whole, rater, _ in files.iter_rows():
        person = f"{rater}: " if rater else ""
        if is_whole:
            yield f"{person}submit {file} again: it was refused as a whole"
        else:
            yield f"{person}fix {_number(rows, 'refused row')} of {file}"


def _of_sheet(sheet: Sheet, study: Study, file: str | None) -> Iterator[str]:
    """Yield what the person of a sheet has to do in its ``file``, if it was written."""
    place = f", in {file}" if file else ""
    batch = f"batch {sheet.batch}" if sheet.round == 1 else f"round {sheet.round}, batch {sheet.batch}"
    is_rater = sheet.person in study.labeling.raters
    if sheet.pass_name == LIST_BUGS:
        items = _number(len({row["item_id"] for row in sheet.rows}), "item")
        task = f"list the bugs of {items} of {batch}" if is_rater else f"align the lists of bugs of {items}"
        yield f"{sheet.person}: {task}{place}"
        return
    blank = [
        [each for each in sheet.dimensions if row[each.name] is None and (number, each.name) not in sheet.fixed]
        for number, row in enumerate(sheet.rows)
    ]
    if not is_rater:
        labels, bugs = _number(sum(map(len, blank)), "label"), _number(len(blank), "bug")
        yield f"{sheet.person}: decide {labels} of {bugs}{place}"
        return
    unrated = sum(all(row[each.name] is None for each in sheet.dimensions) for row in sheet.rows)
    for dimension in sheet.dimensions:
        lacking = sum(
            dimension in of_row and any(row[each.name] is not None for each in sheet.dimensions)
            for of_row, row in zip(blank, sheet.rows, strict=True)
        )
        if lacking:
            hint = "" if dimension.required else ": choose none if no category applies"
            verb = "lacks" if lacking == 1 else "lack"
            yield f"{sheet.person}: {_number(lacking, 'bug')} {verb} an answer in {dimension.name}{place}{hint}"
    if unrated:
        yield f"{sheet.person}: rate {_number(unrated, 'bug')} of {batch}{place}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
