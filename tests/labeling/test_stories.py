"""A study of 60 items, labelled as it really happens: in portions, with corrections, withdrawals and refused rows.

It ends in the same tables as the same answers handed in at once.
"""

import dataclasses
import hashlib

import pytest

from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.items import order_queue
from dlbug_assets.labeling.questions import ANSWERED, ANSWERED_NONE, NOT_ASKED
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from support.filled_sheets import WHEN, Loop, items_of

pytestmark = pytest.mark.slow

SIX = ("ann", "bob", "cid", "dan", "eli", "fay")
#: The raters of a study, and how many of them label an item.
DESIGNS = {"two": (SIX[:2], None), "three": (SIX[:3], None), "two of six": (SIX, 2)}


def draw(number, *key):
    """Return one of 0, 1, .. number - 1, always the same for a key."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big") % number


def listed(person, item_id):
    """Return the places of the bugs that a person lists in an item; places may be spelled differently."""
    truth = draw(8, "bugs", item_id)
    places = [] if truth == 0 else ["line 1", "line 20"] if truth == 1 else ["line 1"]
    if person != "eve":
        odd = draw(14, "list", person, item_id)
        places = ["line 7"] if odd == 0 else [] if odd == 1 else places
        if draw(2, "spelling", person, item_id):
            places = [f"  {place.upper()}." for place in reversed(places)]
    return places


def label(taxonomy, dimension, person, row):
    """Return the category that a person gives a bug, which is that of the others in most cases."""
    categories = [*taxonomy.names(dimension.name), *([] if dimension.required else ["none"])]
    key = (dimension.name, row["item_id"], row["bug_index"])
    if person != "eve" and draw(8, "differs", person, *key) == 0:
        key = (*key, person)
    return categories[draw(len(categories), "label", *key)]


def filled(sheet, taxonomy):
    """Return the rows of a sheet as its person fills them in: a list of rows per question."""
    answers = []
    for number, row in enumerate(sheet.rows):
        if sheet.pass_name != LIST_BUGS:
            asked = [each for each in sheet.dimensions if (number, each.name) not in sheet.fixed]
            answers.append([row | {each.name: label(taxonomy, each, sheet.person, row) for each in asked}])
        elif row["bug_index"] == 1:
            places = listed(sheet.person, row["item_id"])
            bugs = [row | {"is_bug": True, "place": p, "bug_index": n} for n, p in enumerate(places, start=1)]
            answers.append(bugs or [row | {"is_bug": False}])
    return answers


def submit(loop, sheet, answers, name):
    """Hand in a version of a sheet with these answers, and nothing in its other rows."""
    rows = [row for rows in answers for row in rows]
    keys = {row["item_id"] if sheet.pass_name == LIST_BUGS else (row["item_id"], row["bug_index"]) for row in rows}
    rows += [
        row
        for row in sheet.rows
        if (row["item_id"] if sheet.pass_name == LIST_BUGS else (row["item_id"], row["bug_index"])) not in keys
    ]
    loop.submit(dataclasses.replace(sheet, rows=tuple(rows)), lambda _: None, name)


def refused(sheet, rows):
    """Return rows with an answer that is refused: neither yes nor no, or no category."""
    column = "is_bug" if sheet.pass_name == LIST_BUGS else sheet.asked[0].name
    return [rows[0] | {column: "perhaps"}]


def mistaken(sheet, rows):
    """Return rows with a wrong answer that is valid."""
    if sheet.pass_name == LIST_BUGS:
        return [rows[0] | {"is_bug": True, "bug_index": 1, "place": f"mistake of {sheet.person}"}]
    names = [dimension.name for dimension in sheet.asked]
    return [rows[0] | {names[0]: "Coding Bug", "comment": "a mistake"}]


def at_once(loop):
    for sheet in loop.due().values():
        submit(loop, sheet, filled(sheet, loop.taxonomy), sheet.name)
    loop.compute()


def in_portions(loop):
    """Hand in every sheet in several files, the raters in turn in the reverse order."""
    files = []
    for sheet in reversed(loop.due().values()):
        answers = filled(sheet, loop.taxonomy)
        half = len(answers) // 2
        first, rest = answers[:half], answers[half:]
        if half < 4:
            files.append([(sheet, answers, sheet.name)])
            continue
        typo, cleared, wrong, *others = first
        files.append([
            (sheet, [mistaken(sheet, typo), cleared, refused(sheet, wrong), *others], sheet.name),
            (sheet, [], f"{sheet.name} (untouched)"),
            (sheet, [typo, *others], f"{sheet.name} (corrected)"),
            (sheet, rest, f"{sheet.name} (rest)"),
            (sheet, [cleared, wrong], f"what {sheet.person} forgot in {sheet.pass_name}"),
        ])  # fmt: skip
    for number in range(max(map(len, files), default=0)):
        for of_sheet in files:
            if number < len(of_sheet):
                submit(loop, *of_sheet[number])
                loop.receive()
    loop.compute()


def finish(loop, hand_in):
    """Hand in what is due until nothing is."""
    for _ in range(8):
        if not loop.due():
            break
        hand_in(loop)
    loop.read()
    assert loop.due() == {}


def outcome(loop):
    """Return the tables of the labelling, without files and times."""
    return {
        "current": loop.current(),
        "units": loop.units.rows(),
        "questions": loop.questions.drop("file", "line").rows(),
        "disagreements": loop.disagreements.drop("adjudicated_at").rows(),
        "labels": loop.decided.drop("provenance").rows(),
        "bug_labels": loop.bug_labels.rows(),
        "kappa": [table.rows() for table in measure(loop.labels, loop.units, loop.items, loop.study)],
    }


@pytest.fixture(scope="module")
def new_loop(make_study, taxonomy, tmp_path_factory):
    def loop(design, file_format):
        raters, per_item = DESIGNS[design]
        study = make_study(raters=raters, checkpoints=(100,), raters_per_item=per_item)
        items = order_queue(items_of(40, study, commits=20).drop("round", "position", "checkpoint"), study)
        items = items.with_columns(frozen_at=WHEN.replace(tzinfo=None))
        return Loop(study, taxonomy, items, tmp_path_factory.mktemp("loop"), file_format)

    return loop


@pytest.fixture(scope="module", params=DESIGNS)
def design(request, new_loop):
    """Return the design, and the tables if everything is handed in at once."""
    loop = new_loop(request.param, "csv")
    finish(loop, at_once)
    assert loop.rejected.is_empty()
    assert set(loop.questions["state"]) == {ANSWERED, ANSWERED_NONE, NOT_ASKED}
    assert loop.decided.height == loop.units.height > 40
    assert set(loop.decided["decided_by"]) == set(loop.units["frozen_by"]) == {"agreement", "adjudication"}
    return request.param, outcome(loop)


@pytest.mark.parametrize("file_format", ["csv", "xlsx", "label-studio"])
def test_portions_corrections_and_withdrawals_end_in_the_same_tables(design, file_format, new_loop):
    name, expected = design
    loop = new_loop(name, file_format)
    finish(loop, in_portions)
    assert loop.rejected.is_empty()
    raters = len(loop.study.labeling.raters)
    counts = loop.receipts.select("taken", "changed", "withdrawn", "refused").sum().row(0, named=True)
    assert counts["withdrawn"] >= 2 * raters
    assert counts["refused"] >= 2 * raters
    assert counts["changed"] >= 2 * raters
    found = outcome(loop)
    for table, rows in expected.items():
        assert found[table] == rows, table
