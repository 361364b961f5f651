"""What the UI shows of submitted files beside the tables that they end in."""

from datetime import datetime, timedelta

import polars as pl

from dlbug_assets.labeling.rater_labels import receipts_table, refusals_table
from dlbug_assets.warehouse.rows import table_schema

WHEN = datetime(2026, 5, 1)


def receipts(files):
    counts = {"rows": 3, "taken": 2, "changed": 0, "unchanged": 0, "blank": 0, "withdrawn": 0, "refused": 1}
    rows = [
        {"file": file, "version": 1, "received_at": WHEN + timedelta(days=day), "rater": "ann", "pass": "units",
         "note": None, **counts}
        for day, file in enumerate(files)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("labeling.receipts"))


def test_the_newest_receipts_come_first():
    assert receipts_table(receipts(["5-ann.csv", "10-ann.csv"])).splitlines() == [
        "| file | version | rater | pass | rows | taken | changed | unchanged | blank | withdrawn | refused | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 10-ann.csv | 1 | ann | units | 3 | 2 | 0 | 0 | 0 | 0 | 1 |  |",
        "| 5-ann.csv | 1 | ann | units | 3 | 2 | 0 | 0 | 0 | 0 | 1 |  |",
    ]


def test_20_receipts_are_shown():
    *_, last, blank, more = receipts_table(receipts(f"{day}.csv" for day in range(23))).splitlines()
    assert last.startswith("| 3.csv | 1 |")
    assert (blank, more) == ("", "and 3 more")


def test_texts_of_files_stay_in_their_cells():
    row = {"file": "a|b.csv", "line": 2, "entry": 1, "content": '{"item_id": "SO-1"}', "seen_at": WHEN,
           "reason": "title: '<img src=x>\n' is not that of SO-1"}  # fmt: skip
    shown = refusals_table(pl.DataFrame([row], schema=table_schema("labeling.rejected_labels")))
    assert shown.splitlines()[2:] == [
        "| a&#124;b.csv | 2 | SO-1 | title: &#x27;&lt;img src=x&gt; &#x27; is not that of SO-1 |"
    ]


def test_without_files_there_is_nothing_to_show():
    assert receipts_table(receipts([])) == "None."
