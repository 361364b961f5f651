"""Tests of a common shift between the sources, stratified by library."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency
from statsmodels.stats.contingency_tables import StratifiedTable

from dlbug_assets.analysis.statistics.resampling import generator
from dlbug_assets.analysis.stratified_tests import cochran_mantel_haenszel, common_shift, stratified_tests
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO

STUDY = load_study("islam2019")
TABLES = [np.array([[12, 5], [7, 14]]), np.array([[3, 9], [4, 8]]), np.array([[20, 2], [11, 6]])]


def test_two_categories_have_the_statistic_of_mantel_and_haenszel():
    found = cochran_mantel_haenszel(TABLES)
    expected = vars(StratifiedTable([table.astype(float) for table in TABLES]).test_null_odds(correction=False))

    assert (found.cmh, found.cmh_df, found.p_cmh) == (
        pytest.approx(expected["statistic"]), 1, pytest.approx(expected["pvalue"])
    )  # fmt: skip


def test_one_stratum_has_the_chi_square_of_the_table():
    table = np.array([[12, 5, 9], [7, 14, 4]])
    n = table.sum()

    found = cochran_mantel_haenszel([table])

    assert (found.cmh, found.cmh_df) == (pytest.approx(chi2_contingency(table)[0] * (n - 1) / n), 2)


def _clusters(*rows):
    """Return clusters of bugs by category, with their sum as the last column."""
    return np.array([[*row, sum(row)] for row in rows])


def test_the_statistic_is_that_of_its_formula_with_single_bugs():
    strata = [
        (_clusters(*[(1, 0)] * table[0, 0], *[(0, 1)] * table[0, 1]),
         _clusters(*[(1, 0)] * table[1, 0], *[(0, 1)] * table[1, 1]))
        for table in TABLES
    ]  # fmt: skip
    shift, _ = common_shift(strata, 99, generator(1, "x"))

    # Of single bugs all weights are 1; D of the two categories differs only in sign.
    h = [table[0].sum() * table[1].sum() / table.sum() for table in TABLES]
    d = sum(
        n * (table[0, 0] / table[0].sum() - table[1, 0] / table[1].sum()) for n, table in zip(h, TABLES, strict=True)
    )
    p = sum(n * table[:, 0].sum() / table.sum() for n, table in zip(h, TABLES, strict=True)) / sum(h)
    assert shift == pytest.approx(d**2 * (1 / p + 1 / (1 - p)) / sum(h))


def test_a_shift_in_opposite_directions_is_not_a_common_one():
    many, few = _clusters(*[(1, 0)] * 24, *[(0, 1)] * 6), _clusters(*[(1, 0)] * 6, *[(0, 1)] * 24)

    opposite, p_opposite = common_shift([(many, few), (few, many)], 999, generator(1, "x"))
    same, p_same = common_shift([(many, few), (many, few)], 999, generator(1, "x"))

    assert (opposite, p_opposite) == (pytest.approx(0, abs=1e-12), 1)
    assert same > 40
    assert p_same == 0.001


def test_bugs_of_one_cluster_count_as_one():
    alone = [(_clusters(*[(1, 0)] * 24, *[(0, 1)] * 6), _clusters(*[(1, 0)] * 12, *[(0, 1)] * 18))] * 2
    together = [(_clusters(*[(6, 0)] * 4, (0, 6)), _clusters(*[(6, 0)] * 2, *[(0, 6)] * 3))] * 2

    assert common_shift(alone, 999, generator(1, "x"))[1] < 0.01
    assert common_shift(together, 999, generator(1, "x"))[1] > 0.15


def test_libraries_with_bugs_of_one_source_are_left_out(label_counts):
    crash, hang = {"Crash": 8, "Hang": 2}, {"Crash": 2, "Hang": 8}
    bugs = {(SO, "Keras"): crash, (GH, "Keras"): hang, (SO, "Caffe"): crash, (GH, "Caffe"): hang, (SO, "Torch"): crash}
    counts = label_counts({"effect": bugs}, ("Keras", "Caffe", "Torch"), {"effect": ("Crash", "Hang", "Unknown")})
    rows = [
            (source, library, f"{library} {name} {number}", "effect", name, 1, 1)
            for (source, library), of_cell in bugs.items() for name, n in of_cell.items() for number in range(n)
    ]  # fmt: skip
    clusters = pl.DataFrame(rows, schema=table_schema("analysis.cluster_counts"), orient="row")

    found = stratified_tests(counts, clusters, STUDY).filter(dimension="effect").row(0, named=True)
    alone = (
        stratified_tests(counts, clusters.filter(pl.col("library") != "Caffe"), STUDY)
        .filter(dimension="effect")
        .row(0, named=True)
    )
    nothing = stratified_tests(counts, clusters.clear(), STUDY).filter(dimension="effect").row(0, named=True)

    assert (found["dimension"], found["libraries"], found["categories"]) == ("effect", 2, 2)
    assert (found["cmh_df"], found["undefined_reason"]) == (1, None)
    assert found["p_clusters"] < 0.01
    missing = "fewer than two libraries have two clusters or more in each source"
    for row, libraries in ((alone, 1), (nothing, 0)):
        assert (row["libraries"], row["cmh"], row["p_clusters"], row["undefined_reason"]) == (
            libraries, None, None, missing
        )  # fmt: skip
