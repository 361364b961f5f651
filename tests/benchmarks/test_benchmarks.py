"""The harness of the benchmarks at a tiny size: arithmetic, table, and rejection of different results."""

import os
from pathlib import Path

import pytest

from benchmarks.comparisons import (
    Sizes,
    extraction_comparisons,
    order_comparisons,
    prepare,
    prepare_extraction,
    warehouse_comparisons,
)
from benchmarks.harness import (
    Comparison,
    Outcome,
    ResultsDifferError,
    SideFailedError,
    compare,
    median,
    mib_of_maxrss,
    ratio,
    run_side,
    table_text,
    write_csv,
)

pytestmark = pytest.mark.slow


def constant(*outcomes: Outcome):
    """Return a side with these outcomes, one per round."""
    rounds = iter(outcomes)
    return lambda: next(rounds)


def test_median_and_ratio():
    assert median([5.0, 1.0, 2.0]) == 2.0
    assert ratio([1.0, 4.0, 3.0], [2.0, 2.0, 2.0]) == 1.5
    with pytest.raises(ValueError, match="no measurements"):
        median([])
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])


def test_peak_memory_is_in_mib_on_every_platform():
    assert mib_of_maxrss(2048, "linux") == mib_of_maxrss(2 * 1024 * 1024, "darwin") == 2.0


def test_table_shows_medians_ratio_and_peaks():
    ours = constant(Outcome(1.0, 10, {"t": 1}, 7.0), Outcome(3.0, 30, {"t": 1}, 7.0))
    other = constant(Outcome(2.0, 50, {"t": 1}, 9.0), Outcome(4.0, 40, {"t": 1}, 9.0))
    lines = table_text([compare(Comparison("copy", "cp", ours, other, rounds=2))]).splitlines()
    assert lines[0].split("  ")[0] == "task"
    assert lines[2].split() == ["copy", "2.00", "s", "3.00", "s", "0.62", "30", "/", "50", "MiB"]
    assert lines[4] == "copy: the other is cp. Rounds: 2, results equal. Files: 7 / 9 MiB."


def test_table_is_written_as_csv(tmp_path: Path):
    ours, other = constant(Outcome(1.0, 10, {"t": 1})), constant(Outcome(2.0, 50.4, {"t": 1}))
    write_csv(tmp_path / "new" / "table.csv", [compare(Comparison("copy, once", "cp", ours, other, rounds=1))])
    assert (tmp_path / "new" / "table.csv").read_text().splitlines() == [
        "what,other,rounds,ours_s,other_s,ratio,ours_peak_mib,other_peak_mib",
        '"copy, once",cp,1,1.0000,2.0000,0.5000,10,50',
    ]


def test_sides_alternate():
    order = []

    def side(name: str):
        def run() -> Outcome:
            order.append(name)
            return Outcome(1.0, 1.0, {"t": 1})

        return run

    compare(Comparison("turns", "x", side("ours"), side("other"), rounds=2))
    assert order == ["ours", "other", "ours", "other"]


@pytest.mark.parametrize(
    ("ours", "other", "message"),
    [
        ({"a.b": [1, "7"]}, {"a.b": [1, "8"]}, r"a.b: ours \[1, '7'\], the other \[1, '8'\]"),
        ({"a.b": 1, "a.c": 2}, {"a.b": 1}, "a.c: ours 2, the other missing"),
        ({}, {}, "nothing to compare"),
    ],
)
def test_different_results_are_an_error(ours, other, message):
    comparison = Comparison("wrong", "x", constant(Outcome(1, 1, ours)), constant(Outcome(2, 1, other)))
    with pytest.raises(ResultsDifferError, match=message):
        compare(comparison)


def test_failing_side_is_reported_with_its_output(tmp_path: Path):
    with pytest.raises(SideFailedError, match="(?s)exited with 1:.*IO Error"):
        run_side(["benchmarks.sides", "fingerprint", str(tmp_path / "absent.duckdb")], os.environ)


def test_warehouse_comparisons_at_a_tiny_size(tmp_path: Path):
    prepare(tmp_path, Sizes(published_rows=50, loaded_rows=60))
    rows = [compare(comparison) for comparison in warehouse_comparisons(tmp_path, rounds=1)]
    published, loaded = (row.ours[0].result for row in rows)
    assert {counted[0] for counted in published.values()} == {"50"}
    assert len(published) == 3
    assert loaded["stackoverflow.loaded"][0] == "60"
    assert all(outcome.peak_mib > 10 for row in rows for outcome in (*row.ours, *row.other))


def test_extraction_comparisons_at_a_tiny_size(tmp_path: Path):
    # Both sides find the same, including answers that precede their questions.
    folder = prepare_extraction(tmp_path, Sizes(dump_rows=6_000, order_rows=3_000, commits=40))
    rows = [compare(comparison) for comparison in extraction_comparisons(folder, rounds=1)]
    results = [row.ours[0].result for row in rows]
    assert sum(count for count, _ in results[0]["posts"].values()) > 50
    assert results[1] == results[2]
    assert results[1]["changes"]["files"] > 10
    orders = [compare(comparison).ours[0].result["posts"] for comparison in order_comparisons(folder, rounds=1)]
    assert orders[0] == orders[1] == orders[2]
    assert sum(count for count, _ in orders[0].values()) > 20
