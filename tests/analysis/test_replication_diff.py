"""Printed tables with edits in some columns: which edits are found, and what is left alone."""

import polars as pl
import pytest

from dlbug_assets.analysis.replication_diff import replication_diff
from dlbug_assets.warehouse.rows import table_schema
from support.printed_tables import CATEGORIES, GH, SO, PrintedColumn, p_value, percents, planted, printed_frames

#: 50 bugs: 20, 4, 30, 10, 16, 6, 14 and 0 percent, in an order in which no two ends are alike.
EVEN = "CAGEFCBDACEGCDAECGFCADECGEACDCFAGCECABGDCEACGECACA"
ROWS = tuple("ABCDEFGH")


def _found(columns, **frames):
    """Return the tables that ``replication_diff`` makes of columns."""
    return replication_diff(**printed_frames(columns, categories=ROWS, **frames))


def _chosen(tables):
    return tables["reconstruction"].filter("is_chosen").select("column", "edit").rows()


def _explained(tables):
    rows = tables["replication_diff"].filter(pl.col("explanation").is_not_null())
    return {(row["category"], row["library"]): row["explanation"] for row in rows.iter_rows(named=True)}


def _one(labels, printed, **column):
    return _found({("Keras", SO): PrintedColumn(labels, printed, **column)})


def _percents(labels):
    return percents(PrintedColumn(labels).counts(ROWS))


def test_ten_tables_with_three_edits_each_are_recovered_and_other_columns_left_alone():
    recovered, left_alone = 0, 0
    for seed in range(10):
        table = planted(seed)
        found = replication_diff(**table.frames)
        edits = found["reconstruction"]
        diff = found["replication_diff"]
        for (library, source), column in table.columns.items():
            of_column = edits.filter(column=f"{library} ({source})")
            text = table.edits.get((library, source))
            if text is None:
                left_alone += of_column.is_empty()
                continue
            # A slip has no rule that gives the printed share.
            values = column.working if "a slip" in text else column.printed
            shares = [table.value(diff, (library, source), category) for category in CATEGORIES]
            is_listed = any(text in edit for edit in of_column["edit"])
            recovered += is_listed and shares == list(values) and of_column["is_chosen"].sum() == 1
        p = diff.filter(unit="p")
        assert p.filter(pl.col("reconstructed").round(4) != pl.col("published")).is_empty()

    assert (recovered, left_alone) == (30, 70)


def test_random_p_values_are_reached_by_no_edits():
    p_values = 0
    for seed in range(13):
        table = planted(seed, edits=1 + seed % 4, has_random_p=True)
        found = replication_diff(**table.frames)
        p = found["replication_diff"].filter(unit="p")
        p_values += p.height
        assert p.filter(pl.col("reconstructed").round(4) == pl.col("published")).is_empty()
        assert p["explanation"].null_count() == p.height
        edited = {f"{library} ({source})" for library, source in table.edits}
        assert {*found["reconstruction"]["column"]} <= edited

    assert p_values >= 126


def test_a_column_as_released_has_no_edits():
    tables = _one(EVEN, _percents(EVEN))

    assert _chosen(tables) == []
    assert _explained(tables) == {}
    assert tables["replication_diff"]["reconstructed"].to_list() == _percents(EVEN)


def test_a_misprint_stays_unexplained():
    printed = _percents(EVEN)
    printed[2] += 8

    tables = _one(EVEN, printed)

    assert _chosen(tables) == []
    assert _explained(tables) == {}
    assert tables["replication_diff"]["reconstructed"].to_list() == _percents(EVEN)


def test_a_column_of_other_data_stays_unexplained():
    assert _chosen(_one(EVEN, [31, 9, 11, 17, 3, 22, 5, 2])) == []


def test_a_table_of_another_sample_of_the_same_bugs_stays_unexplained():
    columns = planted(0).columns
    for column in columns.values():
        # Every second bug: many shares are the same, or differ by one.
        column.printed = percents(PrintedColumn(column.labels[::2]).counts(CATEGORIES))

    tables = replication_diff(**printed_frames(columns, p_values=[(category, 0.4321) for category in CATEGORIES]))

    assert tables["reconstruction"].is_empty()
    assert tables["replication_diff"]["explanation"].null_count() == tables["replication_diff"].height


def test_the_same_edit_described_in_another_way_is_a_rival():
    printed = _percents(EVEN)
    printed[1], printed[7] = printed[7], printed[1]

    tables = _one(EVEN, printed)

    rows = tables["reconstruction"].sort("gain", descending=True).select("edit", "concerns", "evidence", "is_chosen")
    assert rows.rows() == [
        ("B and H exchanged", "B, H", "explains 2 cells", True),
        ("2 of 2 B counted as H", "B, H", "explains 2 cells", False),
    ]
    assert _explained(tables) == dict.fromkeys(
        [("B", "Keras"), ("H", "Keras")], "B and H exchanged; 1 other way fits as well"
    )


def test_a_spelling_of_this_column_alone_is_found_left_out_from_the_count_but_not_from_the_total():
    odd = {number: "Sea" for number, label in enumerate(EVEN) if label == "C" and number < 22}
    printed = _percents(EVEN)
    printed[2] = 2 * (15 - len(odd))
    columns = {("Keras", SO): PrintedColumn(EVEN, printed, spelled=odd)}

    edit = "rows spelled “Sea” left out, but part of the total"
    assert _chosen(_found(columns)) == [(f"Keras ({SO})", edit)]
    # A spelling that other columns have, too, is none of this file's.
    columns["Torch", SO] = PrintedColumn(EVEN, _percents(EVEN), spelled=odd)
    assert _chosen(_found(columns)) == []


def test_bars_tell_how_many_rows_are_missing():
    labels = "ABC" * 16 + "CCBBDD" + "EEEEEEEE"
    kept = labels[:-4]
    bars = {row: round(100 * kept.count(row) / len(kept), 1) for row in "ABCDE"}
    printed = _percents(kept)

    tables = _one(labels, printed, bars=bars)

    assert _chosen(tables) == [(f"Keras ({SO})", "the last 4 rows missing")]
    drawn = tables["replication_diff"].filter(reading="approximate")
    assert drawn["reconstructed"].round(1).to_list() == list(bars.values())
    assert tables["reconstruction"]["evidence"][0].endswith("; agrees with 5 more bars")


def test_two_rows_of_a_source_are_found_exchanged_in_the_table():
    columns = {}
    for library, labels in (("Caffe", EVEN), ("Keras", EVEN[3:]), ("Torch", EVEN[:30])):
        printed = _percents(labels)
        printed[0], printed[5] = printed[5], printed[0]
        columns[library, SO] = PrintedColumn(labels, printed)
        columns[library, GH] = PrintedColumn(EVEN, _percents(EVEN))

    tables = _found(columns)

    edit = f"the rows A and F of {SO} exchanged in the labels"
    assert _chosen(tables) == [(SO, edit)]
    assert set(_explained(tables).values()) == {edit}
    assert len(_explained(tables)) == 6
    assert tables["replication_diff"].filter(pl.col("reconstructed") != pl.col("published")).is_empty()


def _with_p(changed):
    """Return tables of a column that closes to 100, with P values from before or after that."""
    # 30, 8, 23, 13, 15, 10, 3 and 0 percent, which sum to 102.
    labels = "A" * 12 + "B" * 3 + "C" * 9 + "D" * 5 + "E" * 6 + "F" * 4 + "G"
    columns = {}
    for number, library in enumerate(("Caffe", "Keras", "Torch")):
        for source, skipped in ((SO, number), (GH, 3 + 2 * number)):
            kept = labels[skipped:]
            columns[library, source] = PrintedColumn(kept, _percents(kept))
    closed = [29, 8, 22, 13, 15, 10, 3, 0]
    columns["Caffe", SO] = PrintedColumn(labels, closed)
    working = {key: list(column.printed) for key, column in columns.items()}
    working["Caffe", SO] = changed(closed, _percents(labels))
    p = [
        (row, p_value(*([shares[at] for (_, source), shares in working.items() if source == one] for one in (SO, GH))))
        for at, row in enumerate(ROWS)
    ]
    return _found(columns, p_values=[(row, value) for row, value in p if value is not None])


@pytest.mark.parametrize(
    ("moment", "changed"), [("after", lambda _, released: released), ("before", lambda closed, _: closed)]
)
def test_p_values_tell_whether_a_column_was_closed_before_or_after_them(moment, changed):
    tables = _with_p(changed)

    text = f"A and C lowered by one so that the column sums to 100, {moment} the P values"
    assert _chosen(tables) == [(f"Caffe ({SO})", text)]
    p = tables["replication_diff"].filter(unit="p")
    assert p["reconstructed"].round(4).to_list() == p["published"].to_list()


def test_numbers_of_two_decimals_are_reconstructed():
    labels = EVEN[:-1]
    missing = labels[:-3]
    printed = [round(100 * missing.count(row) / len(missing), 2) for row in ROWS]
    tables = replication_diff(
        **printed_frames({("Keras", SO): PrintedColumn(labels, printed)}, categories=ROWS, decimals=2)
    )

    assert _chosen(tables) == [(f"Keras ({SO})", "the last 3 rows missing")]
    assert tables["replication_diff"]["reconstructed"].to_list() == printed


def test_p_values_of_one_source_are_not_reconstructed():
    column = PrintedColumn(EVEN, _percents(EVEN))
    tables = _found({("Keras", SO): column, ("Torch", SO): column}, p_values=[("A", 0.5)])

    assert tables["replication_diff"].filter(unit="p").select("reconstructed", "explanation").row(0) == (None, None)


def test_p_values_of_a_single_library_are_not_reconstructed():
    column = PrintedColumn(EVEN, _percents(EVEN))
    tables = _found({("Keras", SO): column, ("Keras", GH): column}, p_values=[("A", 0.5)])

    assert tables["replication_diff"].filter(unit="p").select("reconstructed", "explanation").row(0) == (None, None)


def test_a_library_outside_the_study_is_not_reconstructed():
    frames = printed_frames({("Keras", SO): PrintedColumn(EVEN, _percents(EVEN))}, categories=ROWS)
    unknown = frames["cells"].with_columns(
        computed=pl.lit(None, pl.Float64), same_when_rounded=pl.lit(None, pl.Boolean)
    )

    tables = replication_diff(**{**frames, "cells": unknown})

    assert tables["replication_diff"]["reconstructed"].null_count() == len(ROWS)
    assert tables["reconstruction"].is_empty()


@pytest.mark.parametrize(
    "other",
    [{"denominator": "all"}, {"within_dimension": "harm", "within_category": "Stranded"}, {"year": 2020},
     {"unit": "bugs"}],
)  # fmt: skip
def test_only_shares_of_all_labelled_bugs_are_reconstructed(other):
    printed = _percents(EVEN)
    printed[0], printed[4] = printed[4], printed[0]
    frames = printed_frames({("Keras", SO): PrintedColumn(EVEN, printed)}, categories=ROWS, **other)

    tables = replication_diff(**frames)

    assert tables["replication_diff"]["reconstructed"].null_count() == len(ROWS)
    assert tables["reconstruction"].is_empty()


def test_a_study_without_printed_numbers_has_empty_tables():
    tables = replication_diff(**printed_frames({}))

    assert {name: (rows.height, rows.schema) for name, rows in tables.items()} == {
        name: (0, table_schema(f"analysis.{name}")) for name in ("replication_diff", "reconstruction")
    }
