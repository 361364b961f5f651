"""Compare agreement with other implementations on random tables, and with worked examples from the literature.

scikit-learn is not needed to run dlbug: without it, its comparisons are skipped.
"""

import math
import warnings
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import Any

import krippendorff
import numpy as np
import polars as pl
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from dlbug_assets.labeling.agreement import bootstrap, coefficients
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.warehouse.rows import table_schema
from support.filled_sheets import labelling_study

pytestmark = pytest.mark.slow

WITHIN = 1e-10
_STUDY = labelling_study()
DIMENSIONS, REQUIRED_DIMENSIONS = _STUDY.asked_names, _STUDY.required_names
RATER_LABELS = table_schema("labeling.rater_labels", _STUDY)
RATERS = ("ann", "bob", "cid", "dan")
PREFIXES = {"Stack Overflow": "SO", "GitHub": "GH"}
#: 34 checkpoints, 2 sources, 6 dimensions, 3 numbers of raters: over 1,000 tables that share no label, and empty ones.
CHECKPOINTS = (*range(3, 100, 3), 100)
NONE = "none"

Cell = tuple[str, str, int]  # source, dimension, checkpoint
Unit = list[str | None]  # the label of each rater


def label_row(item: str, rater: str, batch: int, which: str, bug_index: int, **labels: str | None) -> dict:
    key = {"item_id": item, "rater": rater, "batch": batch, "pass": which, "revision": 1, "bug_index": bug_index}
    key |= {"is_bug": bug_index > 0, "superseded": False, "round": 1}
    return dict.fromkeys(RATER_LABELS.names()) | key | labels


class Study:
    """Random labels, as rows of rater_labels and as lists of units x raters (None: not submitted)."""

    def __init__(self, seed: int, raters: tuple[str, ...]) -> None:
        self.random = np.random.default_rng(seed)
        self.raters = raters
        self.rows: list[dict] = []
        self.items: dict[str, int] = {}
        self.units: dict[Cell, list[Unit]] = {}
        for previous, checkpoint in pairwise((0, *CHECKPOINTS)):
            batches = (previous + 1, checkpoint)
            missing = {batch: self._who_is_missing(0.2) for batch in batches}
            for source in PREFIXES:
                self._label(source, checkpoint, batches, missing)

    def _who_is_missing(self, share: float) -> set[str]:
        """Choose at most two of four raters, one of three, none of two: at least two must be left."""
        count = sum(self.random.random() < share for _ in self.raters[2:])
        return set(self.random.choice(self.raters, size=count, replace=False).tolist())

    def _label(self, source: str, checkpoint: int, batches: tuple[int, ...], missing: dict[int, set[str]]) -> None:
        size = int(
            self.random.choice(
                [0, 1, 2, 3, 5, 8, 12, 18, 25, int(self.random.integers(3, 60)), int(self.random.integers(60, 201))]
            )
        )
        judges = {dimension: self._judge() for dimension in DIMENSIONS}
        is_bug = self._judge(2)
        labelled: dict[str, list[Unit]] = {dimension: [] for dimension in ("is_bug", *DIMENSIONS)}
        units = 0
        while units < size:
            item = f"{PREFIXES[source]}-{checkpoint}-{len(labelled['is_bug'])}"
            self.items[item] = checkpoint
            labelled["is_bug"].append(self._list_bugs(item, batches[1], is_bug(self.random)))
            batch = batches[int(self.random.integers(2))]
            bugs = min(int(self.random.integers(1, 4)), size - units)
            units += bugs
            for bug in range(1, bugs + 1):
                self._rate(item, batch, bug, missing[batch], judges, labelled)
        for dimension, rated in labelled.items():
            self.units[source, dimension, checkpoint] = rated

    def _judge(self, most: int = 12):
        """Return a function that draws all raters' codes for a unit: skewed categories, with a random error rate."""
        categories = int(self.random.integers(1, most + 1))
        skew = self.random.dirichlet([self.random.choice([0.1, 0.5, 5.0])] * categories)
        error_rate = self.random.choice([0.0, 0.05, 0.3, 1.0])

        def judge(random: np.random.Generator) -> list[int]:
            truth = random.choice(categories, p=skew)
            return [
                int(random.choice(categories, p=skew) if random.random() < error_rate else truth) for _ in self.raters
            ]

        return judge

    def _list_bugs(self, item: str, batch: int, codes: list[int]) -> Unit:
        """Add rows of the units pass, in which each rater may lack each item; return the labels true and false."""
        missing = self._who_is_missing(0.15)
        for rater, code in zip(self.raters, codes, strict=True):
            if rater not in missing:
                self.rows.append(label_row(item, rater, batch, "units", code))
        return [
            None if rater in missing else str(bool(code)).lower()
            for rater, code in zip(self.raters, codes, strict=True)
        ]

    def _rate(self, item, batch, bug, missing, judges, labelled) -> None:  # noqa: PLR0917
        labels: dict[str, dict[str, str | None]] = {
            dimension: dict(zip(self.raters, (f"{dimension} {code}" for code in judge(self.random)), strict=True))
            for dimension, judge in judges.items()
        }
        for dimension in set(DIMENSIONS) - set(REQUIRED_DIMENSIONS):
            labels[dimension] = {
                rater: None if self.random.random() < 0.3 else label for rater, label in labels[dimension].items()
            }
        submitting = [rater for rater in self.raters if rater not in missing]
        # All list the first bug of an item (without a row the sheet would not be submitted), and somebody the others.
        all_list = bug == 1
        listing = [
            rater for position, rater in enumerate(submitting) if not position or all_list or self.random.random() > 0.1
        ]
        for rater in listing:
            theirs = {dimension: labels[dimension][rater] for dimension in DIMENSIONS}
            self.rows.append(label_row(item, rater, batch, "dimensions", bug, **theirs))
        for dimension in DIMENSIONS:
            given = {rater: labels[dimension][rater] for rater in listing}
            if dimension in REQUIRED_DIMENSIONS or any(given.values()):
                unit = [None if rater in missing else given.get(rater) or NONE for rater in self.raters]
                labelled[dimension].append(unit)


def complete(units: list[Unit]) -> list[list[str]]:
    return [[label for label in unit if label is not None] for unit in units if None not in unit]


@lru_cache(maxsize=16)  # called for kappa and then for its limits
def statsmodels_of(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[Any, np.ndarray]:
    names = sorted({*first, *second})
    table = np.zeros((len(names), len(names)))
    np.add.at(table, ([names.index(a) for a in first], [names.index(b) for b in second]), 1)
    with np.errstate(all="ignore"):
        return cohens_kappa(table), table.astype(int)


def exact_bounds(table: np.ndarray) -> tuple[float, float]:
    """Return limits by Fleiss, Cohen & Everitt (1969), formula 13, in fractions: exact for the smallest variances."""
    size, n = range(len(table)), int(table.sum())
    share = [[Fraction(int(table[i, j]), n) for j in size] for i in size]
    row = [sum(share[i]) for i in size]
    column = [sum(share[i][j] for i in size) for j in size]
    observed, expected = sum(share[i][i] for i in size), sum(row[i] * column[i] for i in size)
    kappa = (observed - expected) / (1 - expected)
    agreeing = sum(share[i][i] * (1 - (row[i] + column[i]) * (1 - kappa)) ** 2 for i in size)
    differing = sum(share[i][j] * (column[i] + row[j]) ** 2 for i in size for j in size if i != j)
    variance = agreeing + (1 - kappa) ** 2 * differing - (kappa - expected * (1 - kappa)) ** 2
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance / (n * (1 - expected) ** 2))
    return float(kappa) - half, float(kappa) + half


def bounds_of(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[float, float]:
    result, table = statsmodels_of(first, second)
    if result.var_kappa > 1e-6:
        return result.kappa_low, result.kappa_upp
    return exact_bounds(table)


def krippendorff_of(rated: list[Unit]) -> float | None:
    paired = [unit for unit in rated if len(unit) - unit.count(None) > 1]
    if len({label for unit in paired for label in unit if label is not None}) < 2:
        return None
    names = sorted({label for unit in rated for label in unit if label is not None})
    data = [[np.nan if label is None else names.index(label) for label in unit] for unit in rated]
    return krippendorff.alpha(np.array(data, dtype=float).T, level_of_measurement="nominal")


@pytest.fixture(scope="module", params=(2, 3, 4), ids=("two raters", "three raters", "four raters"))
def random_study(request, make_study, make_items):
    """Return the random labels and their two tables, with few resamples because the bootstrap is not tested here."""
    raters = RATERS[: request.param]
    random_labels = Study(1969 + request.param, raters)
    labels = pl.DataFrame(random_labels.rows, schema=RATER_LABELS)
    study, items = make_study(raters=raters, checkpoints=CHECKPOINTS), make_items(random_labels.items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 10)
        return random_labels, *measure(labels, items, study)


def tables(random_study):
    """Return (row of kappa_checkpoints, units) for each increment of a source: no label is in two of them."""
    random_labels, kappas, _ = random_study
    rows = kappas.filter(pl.col("scope") == "increment", pl.col("source") != "all").to_dicts()
    return [(row, random_labels.units[row["source"], row["dimension"], row["checkpoint"]]) for row in rows]


def test_the_random_tables_are_many_and_varied(random_study):
    found = tables(random_study)
    assert len(found) >= 334  # for each number of raters: over 1,000 in all
    assert sum(1 for row, _ in found if row["units"] > 60) > 20
    assert sum(1 for row, _ in found if row["undefined_reason"] == "no units") > 0
    assert sum(1 for row, _ in found if (row["undefined_reason"] or "").startswith("only one")) > 20
    assert sum(1 for row, _ in found if row["kappa"] is not None) > 150
    assert len({len({label for unit in rated for label in unit}) for _, rated in found}) > 8


def test_kappa_and_its_interval_equal_those_of_statsmodels(random_study):
    for row, rated in tables(random_study):
        units = complete(rated)
        assert row["units"] == len(units)
        if not units:
            assert (row["kappa"], row["undefined_reason"]) == (None, "no units")
            continue
        pairs = list(combinations(zip(*units, strict=True), 2))
        results = [statsmodels_of(*pair)[0] for pair in pairs]
        if any(math.isnan(result.kappa) for result in results):
            assert row["undefined_reason"].startswith("only one category was used by ")
            assert row["kappa"] is row["kappa_low"] is row["kappa_high"] is None
            continue
        bounds = [bounds_of(*pair) for pair in pairs]
        assert row["undefined_reason"] is None
        assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]), abs=WITHIN)
        assert row["kappa_low"] == pytest.approx(np.mean([low for low, _ in bounds]), abs=WITHIN)
        assert row["kappa_high"] == pytest.approx(np.mean([high for _, high in bounds]), abs=WITHIN)


def test_kappa_and_the_agreements_equal_those_of_scikit_learn(random_study):
    """Expected agreement follows from scikit-learn's kappa: 1 - (1 - observed) / (1 - kappa)."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for row, rated in tables(random_study):
        units = complete(rated)
        if not units:
            assert row["observed_agreement"] is row["expected_agreement"] is None
            continue
        pairs = list(combinations(zip(*units, strict=True), 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kappas = [metrics.cohen_kappa_score(*pair) for pair in pairs]
        observed = [metrics.accuracy_score(*pair) for pair in pairs]
        assert row["observed_agreement"] == pytest.approx(np.mean(observed), abs=WITHIN)
        if any(math.isnan(kappa) for kappa in kappas):
            assert row["kappa"] is None
            continue
        assert row["kappa"] == pytest.approx(np.mean(kappas), abs=WITHIN)
        if all(kappa < 0.999 for kappa in kappas):
            expected = [1 - (1 - share) / (1 - kappa) for share, kappa in zip(observed, kappas, strict=True)]
            assert row["expected_agreement"] == pytest.approx(np.mean(expected), abs=WITHIN)


def test_alpha_equals_that_of_krippendorff(random_study):
    compared = 0
    for row, rated in tables(random_study):
        expected = krippendorff_of(rated)
        compared += expected is not None
        assert row["alpha"] == (None if expected is None else pytest.approx(expected, abs=WITHIN))
    assert compared > 150


def test_all_sources_equal_the_concatenated_tables(random_study):
    random_labels, kappas, _ = random_study
    for row in kappas.filter(pl.col("source") == "all", pl.col("scope") == "cumulative").sample(60, seed=1).to_dicts():
        parts = [
            random_labels.units[s, row["dimension"], c] for s in PREFIXES for c in CHECKPOINTS if c <= row["checkpoint"]
        ]
        rated = [unit for part in parts for unit in part]
        assert row["units"] == len(complete(rated))
        assert row["alpha"] == pytest.approx(krippendorff_of(rated), abs=WITHIN)
        pairs = combinations(zip(*complete(rated), strict=True), 2)
        expected = [statsmodels_of(*pair)[0].kappa for pair in pairs]
        if not any(math.isnan(kappa) for kappa in expected):
            assert row["kappa"] == pytest.approx(np.mean(expected), abs=WITHIN)


def test_category_kappa_equals_that_of_statsmodels(random_study):
    random_labels, _, categories = random_study
    assert len(categories) > 1000
    for row in categories.sample(200, seed=1).to_dicts():
        sources = PREFIXES if row["source"] == "all" else (row["source"],)
        parts = [
            random_labels.units[s, row["dimension"], c] for s in sources for c in CHECKPOINTS if c <= row["checkpoint"]
        ]
        units = [[str(label == row["category"]) for label in unit] for part in parts for unit in complete(part)]
        assert row["units"] == len(units)
        pairs = list(combinations(zip(*units, strict=True), 2))
        results = [statsmodels_of(*pair)[0] for pair in pairs]
        if any(math.isnan(result.kappa) for result in results):
            assert row["kappa"] is row["kappa_low"] is row["kappa_high"] is None
            assert row["undefined_reason"]
            continue
        bounds = [bounds_of(*pair) for pair in pairs]
        assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]), abs=WITHIN)
        assert row["kappa_low"] == pytest.approx(np.mean([low for low, _ in bounds]), abs=WITHIN)
        assert row["kappa_high"] == pytest.approx(np.mean([high for _, high in bounds]), abs=WITHIN)


def test_no_value_is_nan_or_infinite(random_study):
    for table in random_study[1:]:
        numbers = table.select(pl.col(pl.Float64))
        assert numbers.select((pl.all().is_null() | pl.all().is_finite()).all()).row(0) == (True,) * numbers.width


def test_alpha_with_missing_labels_equals_that_of_krippendorff():
    """Compare 1,000 tables in which any label can be missing, up to all of them."""
    random = np.random.default_rng(2011)
    undefined = 0
    for _ in range(1000):
        units, raters, categories = random.integers(0, 201), random.integers(2, 5), random.integers(1, 13)
        skew = random.dirichlet([random.choice([0.1, 0.5, 5.0])] * categories)
        codes = random.choice(categories, p=skew, size=(units, raters))
        same = random.random(units) < random.random()
        codes[same] = codes[same, :1]
        codes[random.random(codes.shape) < random.choice([0, 0.1, 0.5, 0.9, 1])] = -1
        rated = [[None if code < 0 else f"{code:02}" for code in unit] for unit in codes.tolist()]
        expected = krippendorff_of(rated)
        undefined += expected is None
        found = coefficients.krippendorff_alpha(codes)
        assert found == (None if expected is None else pytest.approx(expected, abs=WITHIN))
    assert 100 < undefined < 500


@pytest.fixture(scope="module")
def agree(make_study, make_items):
    """Return the rows of both tables on bug_type for a list of labels per rater (None: not submitted).

    With up to 40 units, each has its own batch and checkpoint, so that a rater can lack any of them.
    """

    def run(*raters):
        units = len(raters[0])
        separate = units <= 40
        study = make_study(raters=RATERS[: len(raters)], checkpoints=(*range(1, units + 1 if separate else 1), 100))
        rows = [
            label_row(f"SO-{unit}", rater, unit + 1 if separate else 100, "dimensions", 1, bug_type=str(label))
            for rater, rated in zip(RATERS, raters, strict=False)
            for unit, label in enumerate(rated)
            if label is not None
        ]
        labels = pl.DataFrame(rows, schema=RATER_LABELS)
        items = make_items({f"SO-{unit}": unit + 1 if separate else 100 for unit in range(units)})
        newest = (pl.col("source") == "all") & (pl.col("dimension") == "bug_type")
        newest &= pl.col("checkpoint") == pl.col("checkpoint").max()
        measured = measure(labels, items, study)
        kappas = measured.kappa_checkpoints.filter(pl.col("scope") == "cumulative").filter(newest)
        categories = measured.category_kappa.filter(newest)
        return kappas.row(0, named=True), dict(categories.select("category", "kappa").rows())

    return run


def unrolled(table):
    """Return the two raters' labels of a contingency table: the category's number, from 1."""
    pairs = [
        (i, j) for i, row in enumerate(table, start=1) for j, count in enumerate(row, start=1) for _ in range(count)
    ]
    return zip(*pairs, strict=True)


def test_example_of_cohen_1960(agree):
    """Cohen (1960), A coefficient of agreement for nominal scales, Educ. Psychol. Meas. 20, table 2 (frequencies)."""
    row, _ = agree(*unrolled([[88, 14, 18], [10, 40, 10], [2, 6, 12]]))
    assert row["units"] == 200
    assert row["observed_agreement"] == pytest.approx(0.70)
    assert row["expected_agreement"] == pytest.approx(0.41)
    assert round(row["kappa"], 3) == 0.492


def test_example_of_fleiss_cohen_and_everitt_1969(agree):
    """Fleiss, Cohen & Everitt (1969), Large sample standard errors of kappa and weighted kappa, Psychol. Bull. 72.

    Their table of 200 subjects, kappa without weights and its estimated variance.
    """
    row, _ = agree(*unrolled([[106, 10, 4], [22, 28, 10], [2, 12, 6]]))
    assert round(row["kappa"], 3) == 0.429
    variance = ((row["kappa_high"] - row["kappa_low"]) / 2 / 1.959964) ** 2
    assert round(variance, 6) == 0.002885


def test_example_of_fleiss_1981(agree):
    """Fleiss (1981), Statistical Methods for Rates and Proportions, 2nd ed., section 13.1: diagnoses of 100 subjects.

    Psychotic, neurotic, organic: kappa of each against the rest, and of all.
    """
    row, categories = agree(*unrolled([[75, 1, 4], [5, 4, 1], [0, 0, 10]]))
    assert round(row["kappa"], 2) == 0.68
    assert {name: round(kappa, 2) for name, kappa in categories.items()} == {"1": 0.69, "2": 0.50, "3": 0.77}


def test_examples_of_krippendorff_2011(agree):
    """Krippendorff (2011), Computing Krippendorff's alpha-reliability, sections A, B and C: nominal data."""
    row, _ = agree([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0])
    assert round(row["alpha"], 3) == 0.095

    row, _ = agree("aabbdcccedda", "babbbccceddd")
    assert round(row["alpha"], 3) == 0.692

    row, _ = agree(
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    )
    assert round(row["alpha"], 3) == 0.743
    assert row["units"] == 8  # kappa needs all four


def test_other_implementations_reproduce_the_examples():
    """A typing error in a table would otherwise pass as an error of ours."""
    for table, kappa, places in (
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.492, 3),
        ([[106, 10, 4], [22, 28, 10], [2, 12, 6]], 0.429, 3),
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.68, 2),
    ):
        result: Any = cohens_kappa(np.array(table))
        assert round(result.kappa, places) == kappa
    result = cohens_kappa(np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]]))
    assert round(result.var_kappa, 6) == 0.002885
    for first, second, alpha in (("0100000010", "1110010000", 0.095), ("aabbdcccedda", "babbbccceddd", 0.692)):
        found = krippendorff_of([list(unit) for unit in zip(first, second, strict=True)])
        assert found is not None
        assert round(found, 3) == alpha


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[7, 0], [0, 2]], (1, 1, 1)),
        ([[0, 1], [0, 408]], (0, 0, 0)),  # one rater never used it, the other once: kappa is 0 without variance
        ([[0, 0], [3, 14]], (0, 0, 0)),
        ([[0, 5], [5, 0]], (-1, -1, -1)),
        ([[4, 0], [0, 0]], None),
    ],
    ids=("full agreement", "only the second", "only the first", "full disagreement", "one category"),
)
def test_kappa_without_variance_has_an_interval_without_width(agree, table, expected):
    row, _ = agree(*unrolled(table))
    found = (row["kappa"], row["kappa_low"], row["kappa_high"])
    assert found == (expected or (None, None, None))
    assert (row["undefined_reason"] is None) == (expected is not None)


def test_alpha_is_defined_before_the_last_rater_submits(agree):
    row, _ = agree("aabb", "aaba", [None] * 4)
    assert (row["units"], row["kappa"], row["undefined_reason"]) == (0, None, "no units")
    assert row["alpha"] == pytest.approx(krippendorff_of([list(unit) for unit in zip("aabb", "aaba", strict=True)]))
