"""What an import prints about each file."""

import json
from datetime import datetime

import polars as pl
import pytest

from dlbug_assets.cli.labels.receipts import receipt_lines
from dlbug_assets.warehouse.rows import table_schema

WHEN = datetime(2026, 5, 1)
COUNTS = dict.fromkeys(("rows", "taken", "changed", "unchanged", "blank", "withdrawn", "refused"), 0)


def lines(refusals=(), **receipt):
    rows = [
        {"file": "5-ann.csv", "line": 2, "entry": 1, "content": None, "reason": "", "seen_at": WHEN, **row}
        for row in refusals
    ]
    frame = pl.DataFrame(rows, schema=table_schema("labeling.rejected_labels"))
    base = {"file": "5-ann.csv", "version": 1, "rater": "ann", "pass": "units", "note": None, **COUNTS}
    return list(receipt_lines(base | receipt, frame, "dlbug labels status"))


def test_a_receipt_names_what_became_of_the_rows():
    outcomes = {"taken": 12, "changed": 3, "unchanged": 80, "blank": 5, "withdrawn": 1, "refused": 2}
    assert lines(rows=102, version=2, note="its text was read as cp1251", **outcomes) == [
        "5-ann.csv: version 2, ann, units; 102 rows: 12 taken, 3 changed, 80 unchanged, 5 blank, 1 withdrawn, "
        "2 refused",
        "  note: its text was read as cp1251",
    ]


def test_a_receipt_leaves_out_what_there_is_none_of():
    assert lines(rows=1, taken=1) == ["5-ann.csv: ann, units; 1 row: 1 taken"]
    assert lines(rater=None, **{"pass": None}) == ["5-ann.csv: no rows"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"item_id": "SO-Keras-1", "pass": "dimensions", "bug_index": 2}, "line 14, SO-Keras-1 bug 2"),
        ({"item_id": "SO-Keras-1", "pass": "dimensions", "bug_index": 1}, "line 14, SO-Keras-1 bug 1"),
        ({"item_id": "SO-Keras-1", "pass": "units", "bug_index": 1}, "line 14, SO-Keras-1"),
        ({"item_id": "SO-Keras-1", "pass": "units", "bug_index": "1"}, "line 14, SO-Keras-1"),
        ({"item_id": "SO-Keras-1", "pass": "units", "bug_index": 3}, "line 14, SO-Keras-1 bug 3"),
        ({"item_id": None}, "line 14"),
    ],
)
def test_a_refused_row_is_on_one_line_with_its_place_and_reason(content, place):
    refusals = [{"line": 14, "content": json.dumps(content), "reason": "effect:\nmissing; stage: 'x\x1b[1m'"}]
    assert lines(refusals, rows=1, refused=1)[1:] == [f"  {place}: effect: missing; stage: 'x\\u001b[1m'"]


def test_rows_of_label_studio_are_tasks():
    refusals = [{"file": "project-1.json", "line": 7, "content": "{}", "reason": "rater: missing"}]
    assert lines(refusals, rows=1, refused=1)[1:] == ["  task 7: rater: missing"]


def test_a_refused_row_takes_at_most_200_characters():
    (line,) = lines([{"reason": "x" * 1000}], rows=1, refused=1)[1:]
    assert line == f"  line 2: {'x' * 191}…"


def test_a_file_that_was_refused_as_a_whole_has_no_number_of_rows():
    refusals = [{"line": 0, "reason": "it is protected by a password"}]
    assert lines(refusals, rows=1, refused=1, rater=None, **{"pass": None}) == [
        "5-ann.csv: refused",
        "  the whole file: it is protected by a password",
    ]


def test_20_refused_rows_are_listed_in_the_order_of_lines():
    refusals = [{"line": line, "reason": "wrong"} for line in range(25, 2, -1)]
    _, first, *others, more = lines(refusals, rows=23, refused=23)
    assert (first, len(others), others[-1]) == ("  line 3: wrong", 19, "  line 22: wrong")
    assert more == "  and 3 more: dlbug labels status"
