"""Printed columns with one mistake in each, and columns that no mistake explains."""

import polars as pl
import pytest

from dlbug_assets.analysis.comparison import student_t_test
from dlbug_assets.analysis.replication_diff import replication_diff
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.warehouse.rows import table_schema

SO, GH = "Stack Overflow", "GitHub"
ROWS = ("A", "B", "C", "D", "E", "F", "G", "H")
#: 40 bugs: 30, 5, 20, 10, 15, 8 (7.5), 13 (12.5) and 0 percent, which sum to 101.
BUGS = (12, 2, 8, 4, 6, 3, 5, 0)
#: 50 bugs: 20, 4, 30, 10, 16, 6, 14 and 0 percent.
EVEN = (10, 2, 15, 5, 8, 3, 7, 0)


def _percents(bugs):
    return [whole_percent(n, sum(bugs)) for n in bugs]


def _cells(columns, p=(), **other):
    """Return analysis.replication_cells of a table and its P values.

    ``columns`` are {(library, source): (bugs, printed)}, ``p`` are (category, printed P value), ``other`` columns have
    the same value in every row.
    """
    rows = []
    for (library, source), (bugs, printed) in columns.items():
        for category, n, percent in zip(ROWS, bugs, printed, strict=True):
            computed = 100 * n / sum(bugs)
            rows.append({"reference": "table2", "category": category, "library": library, "source": source,
                         "unit": "percent", "decimals": 0, "published": float(percent), "computed": computed,
                         "same_when_rounded": whole_percent(n, sum(bugs)) == percent, "bugs": n,
                         "total": sum(bugs)})  # fmt: skip
    rows += [{"reference": "table2_p", "category": category, "library": "All", "source": "both", "unit": "p",
              "decimals": 4, "published": value, "computed": -1.0, "same_when_rounded": False}
             for category, value in p]  # fmt: skip
    same = {"dimension": "fault", "denominator": "labelled", "halves": "away", "reading": "printed", **other}
    numbered = [{"position": position, **same, **row} for position, row in enumerate(rows, start=1)]
    return pl.DataFrame(numbered, schema=table_schema("analysis.replication_cells"))


def _explained(columns, p=(), **other):
    rows = replication_diff(_cells(columns, p, **other)).filter(pl.col("explanation").is_not_null())
    return {(row["category"], row["library"]): row["explanation"] for row in rows.iter_rows(named=True)}


def _one(printed, bugs=EVEN):
    return {category: reason for (category, _), reason in _explained({("Keras", SO): (bugs, printed)}).items()}


def test_cells_as_printed_have_no_explanation():
    assert _one(_percents(EVEN)) == {}


def test_two_exchanged_cells_are_explained():
    printed = _percents(EVEN)
    printed[0], printed[4] = printed[4], printed[0]

    assert _one(printed) == dict.fromkeys("AE", "the cells of A and E are exchanged")


def test_two_exchanged_rows_are_found_across_libraries():
    columns = {}
    alike = {"Keras": (5, 5, 10, 10, 5, 5, 0, 10), "Torch": (7, 3, 10, 2, 7, 1, 10, 10)}
    for library, bugs in {"Caffe": EVEN, **alike}.items():
        printed = _percents(bugs)
        printed[0], printed[4] = printed[4], printed[0]
        columns[library, SO] = (bugs, printed)

    reason = "the Stack Overflow rows A and E are printed in each other's place"
    # In Keras and Torch both rows are equal, so that no cell differs: a single column shows exchanged cells.
    assert _explained(columns) == dict.fromkeys([("A", "Caffe"), ("E", "Caffe")], "the cells of A and E are exchanged")
    columns["Theano", SO] = ((1, 9, 10, 10, 5, 5, 5, 5), [10, 18, 20, 20, 2, 10, 10, 10])
    assert _explained(columns) == {
        (row, library): reason for row in "AE" for library in ("Caffe", "Theano")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("printed", "rows", "where"),
    [
        # 20, 4, 30, 10, 16, 6, 14, 0: D to F are one row down, and the 6 is lost.
        ([20, 4, 30, 0, 10, 16, 14, 0], "DEF", "low"),
        # C is lost and the following cells move up: half the column differs, but many cells support the explanation.
        ([20, 4, 10, 16, 6, 14, 0, 0], "CDEFG", "high"),
    ],
)
def test_cells_printed_one_row_too_low_or_too_high_are_explained(printed, rows, where):
    found = _one(printed)

    assert set(found) == set(rows)
    assert all(reason.endswith(f"cells of the column are printed one row too {where}") for reason in found.values())


def test_another_denominator_is_explained():
    both = {("Keras", SO): (EVEN, _percents(EVEN)), ("Keras", GH): ((20, 10, 10, 10, 10, 10, 10, 0), None)}
    github = (20, 10, 10, 10, 10, 10, 10, 0)
    printed = _percents(github)
    printed[0], printed[1] = 40, 20  # percent of the 50 bugs of Stack Overflow
    both["Keras", GH] = (github, printed)

    assert _explained(both) == dict.fromkeys(
        [("A", "Keras"), ("B", "Keras")], "percent of the 50 bugs of Stack Overflow, not of 80"
    )


def test_a_whole_column_with_another_denominator_is_explained():
    github = (20, 10, 10, 10, 10, 10, 10, 0)
    printed = [whole_percent(n, 130) for n in github]

    found = _explained({("Keras", SO): (EVEN, _percents(EVEN)), ("Keras", GH): (github, printed)})

    assert found == {(row, "Keras"): "percent of the 130 bugs of both sources, not of 80" for row in "ABCDEFG"}


def test_halves_rounded_down_are_explained():
    printed = _percents(BUGS)
    printed[5], printed[6] = 7, 12  # 7.5 and 12.5

    assert _one(printed, BUGS) == {
        "F": "3 of 40 is half a percent, which is rounded down",
        "G": "5 of 40 is half a percent, which is rounded down",
    }


def test_a_column_adjusted_to_sum_to_100_is_explained():
    printed = _percents(BUGS)
    printed[0] = 29

    assert _one(printed, BUGS) == {
        "A": "rounded, the column sums to 101; one cell is lowered by one so that it sums to 100"
    }


def test_one_bug_less_is_explained():
    printed = _percents((10, 2, 15, 4, 8, 3, 7, 0))  # of 49 bugs: C has 31 percent, D has 8

    assert _one(printed) == dict.fromkeys("CD", "the column is that of one D less (4 of 49 bugs)")


def test_bugs_counted_in_another_row_are_explained():
    moved = (10, 2, 15, 2, 8, 3, 10, 0)  # three D counted as G

    assert _one(_percents(moved)) == dict.fromkeys("DG", "the column is that of 3 of 5 D counted as G")


def test_two_equally_good_counts_explain_nothing():
    bugs = tuple(10 * n for n in EVEN)  # 500 bugs: several numbers of bugs round to the same percent
    printed = _percents(bugs)
    printed[0], printed[2] = printed[0] - 1, printed[2] + 1

    assert _one(printed, bugs) == {}


def test_a_misprint_stays_unexplained():
    printed = _percents(EVEN)
    printed[2] = 38

    assert _one(printed) == {}


def test_a_column_of_other_data_stays_unexplained():
    printed = [30, 4, 20, 16, 10, 14, 6, 0]  # only two cells are as printed, although A and C look exchanged

    assert _one(printed) == {}


def test_a_library_outside_the_study_has_no_explanations():
    cells = _cells({("Keras", SO): (EVEN, _percents(EVEN))}).with_columns(
        computed=pl.lit(None, pl.Float64), same_when_rounded=pl.lit(None, pl.Boolean)
    )

    assert replication_diff(cells)["explanation"].null_count() == 8


@pytest.mark.parametrize(
    "other",
    [
        {"reading": "approximate"},
        {"denominator": "all"},
        {"within_dimension": "harm", "within_category": "Stranded"},
        {"year": 2020},
    ],
)
def test_only_shares_of_a_printed_table_are_explained(other):
    printed = _percents(EVEN)
    printed[0], printed[4] = printed[4], printed[0]

    assert _explained({("Keras", SO): (EVEN, printed)}, **other) == {}


def test_shares_with_decimals_are_not_explained():
    printed = _percents(EVEN)
    printed[0], printed[4] = printed[4], printed[0]
    cells = _cells({("Keras", SO): (EVEN, printed)}).with_columns(decimals=pl.lit(2, pl.Int32))

    assert replication_diff(cells)["explanation"].null_count() == 8


def test_a_study_without_printed_numbers_has_no_differences():
    rows = replication_diff(_cells({}))

    assert (rows.height, rows.schema) == (0, table_schema("analysis.replication_diff"))


def test_the_sources_may_have_any_names():
    github = (20, 10, 10, 10, 10, 10, 10, 0)
    printed = _percents(github)
    printed[0], printed[1] = 40, 20  # percent of the 50 bugs of the ships
    columns = {("Ebb", "Ships"): (EVEN, _percents(EVEN)), ("Ebb", "Ports"): (github, printed)}
    reason = "percent of the 50 bugs of Ships, not of 80"

    assert _explained(columns) == dict.fromkeys([("A", "Ebb"), ("B", "Ebb")], reason)
    three = {**columns, ("Ebb", "Quays"): (EVEN, [whole_percent(n, 180) for n in EVEN])}
    found = _explained(three)
    assert found["C", "Ebb"] == "percent of the 180 bugs of all sources, not of 50"


def test_a_column_of_both_sources_is_not_another_source():
    github = (20, 10, 10, 10, 10, 10, 10, 0)
    printed = [whole_percent(n, 130) for n in EVEN]
    together = tuple(a + b for a, b in zip(EVEN, github, strict=True))
    columns = {("Ebb", "Ships"): (EVEN, printed), ("Ebb", "Ports"): (github, _percents(github)),
               ("Ebb", "both"): (together, _percents(together))}  # fmt: skip

    assert set(_explained(columns).values()) == {"percent of the 130 bugs of both sources, not of 50"}


LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
SHARES = {SO: (10, 20, 30, 5, 15), GH: (40, 35, 25, 50, 45)}


def _p_explained(printed_shares, published, libraries=LIBRARIES):
    """Return the explanation of the published P value of A, whose cells are computed as SHARES."""
    columns = {}
    for source, shares in SHARES.items():
        for library, share, printed in zip(libraries, shares, printed_shares[source], strict=False):
            rest = (100 - share, 0, 0, 0, 0, 0, 0)
            columns[library, source] = ((share, *rest), (printed, *rest))
    return _explained(columns, p=[("A", round(published, 4))]).get(("A", "All"))


def test_a_p_value_computed_from_the_printed_shares_is_explained():
    printed = {**SHARES, GH: (40, 35, 20, 50, 45)}

    assert _p_explained(printed, student_t_test(printed[SO], printed[GH])) == (
        "the printed P value is that of the printed shares"
    )


def test_a_p_value_computed_before_some_shares_changed_is_explained():
    printed = {SO: (11, 20, 30, 5, 15), GH: (40, 35, 20, 50, 45)}
    before = student_t_test(SHARES[SO], printed[GH])

    assert _p_explained(printed, before) == (
        "the printed P value is that of the printed shares, but for the computed one of Caffe (Stack Overflow)"
    )


def test_a_p_value_computed_from_unrounded_shares_is_explained():
    assert _p_explained({**SHARES, GH: (40, 35, 20, 50, 45)}, student_t_test(SHARES[SO], SHARES[GH])) == (
        "the printed P value is that of unrounded shares"
    )


def test_another_p_value_stays_unexplained():
    assert _p_explained({**SHARES, GH: (40, 35, 20, 50, 45)}, 0.77) is None


def test_a_p_value_is_not_explained_by_replacing_shares_if_most_of_them_differ():
    printed = {SO: (20, 30, 10, 15, 25), GH: (20, 35, 25, 50, 45)}
    some_as_computed = student_t_test((10, 30, 10, 15, 25), printed[GH])

    assert _p_explained(printed, some_as_computed) is None
    assert _p_explained(printed, student_t_test(printed[SO], printed[GH])) == (
        "the printed P value is that of the printed shares"
    )


def test_a_p_value_of_a_single_library_is_not_explained():
    assert _p_explained(SHARES, 0.5, libraries=("Caffe",)) is None


def test_many_differing_shares_are_not_combined():
    libraries = tuple(f"L{number}" for number in range(40))
    columns = {
        (library, source): ((number, 100 - number, 0, 0, 0, 0, 0, 0), (number, 100 - number + (source == SO), *[0] * 6))
        for number, library in enumerate(libraries, start=20)
        for source in (SO, GH)
    }

    # 40 of 80 cells differ: 2 ** 40 combinations.
    assert ("B", "All") not in _explained(columns, p=[("B", 0.1234)])
