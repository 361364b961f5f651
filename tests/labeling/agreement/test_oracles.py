"""Compare agreement with other implementations on random tables, and with worked examples from the literature.

scikit-learn is not needed to run dlbug: without it, its comparisons are skipped.
"""

import math
import warnings
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import krippendorff
import numpy as np
import polars as pl
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from dlbug_assets.labeling.agreement import bootstrap, coefficients
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.agreement.subsets import ALL_WAIT
from dlbug_assets.labeling.units import UNITS
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.warehouse.rows import table_schema
from support.filled_sheets import labelling_study

pytestmark = pytest.mark.slow

WITHIN = 1e-10
_STUDY = labelling_study()
DIMENSIONS, REQUIRED_DIMENSIONS = _STUDY.asked_names, _STUDY.required_names
RATER_LABELS = table_schema("labeling.rater_labels", _STUDY)
RATERS = ("ann", "bob", "cid", "dan", "eli", "fay")
PREFIXES = {"Stack Overflow": "SO", "GitHub": "GH"}
#: 17 checkpoints, 2 sources, 6 dimensions, 5 designs: over 800 tables that share no label, and their sums.
CHECKPOINTS = (*range(6, 100, 6), 100)
#: In place of the label of a rater who is not asked about a unit.
UNASKED = ""

Cell = tuple[str, str, int]  # source, dimension, checkpoint
Unit = list[str | None]  # the label of each rater, UNASKED, or None: the unit waits for this rater


def label_row(item: str, rater: str, batch: int, which: str, bug_index: int, **labels: str | None) -> dict:
    key = {"item_id": item, "rater": rater, "batch": batch, "pass": which, "revision": 1, "bug_index": bug_index}
    key |= {"is_bug": bug_index > 0, "superseded": False, "withdrawn": False, "round": 1}
    return dict.fromkeys(RATER_LABELS.names()) | key | labels


class Study:
    """Random labels, as rows of rater_labels and as lists of units x raters.

    ``raters_of`` are the raters who are asked about an item, ``bugs`` the batch in which each bug was frozen.
    """

    def __init__(self, seed: int, raters: tuple[str, ...], raters_per_item: int | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.raters = raters
        self.per_item = raters_per_item or len(raters)
        self.rows: list[dict] = []
        self.items: dict[str, int] = {}
        self.raters_of: dict[str, list[str]] = {}
        self.bugs: dict[tuple[str, int], int] = {}
        self.units: dict[Cell, list[Unit]] = {}
        for previous, checkpoint in pairwise((0, *CHECKPOINTS)):
            for source in PREFIXES:
                self._label(source, checkpoint, (previous + 1, checkpoint))

    def frames(self, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return rater_labels, units and items, with who is asked unless all raters are."""
        units = [
            {"item_id": item, "bug_index": bug, "frozen_by": "agreement", "frozen_in": batch}
            for (item, bug), batch in self.bugs.items()
        ]
        if self.per_item < len(self.raters):
            raters = pl.Series([self.raters_of[item] for item in items["item_id"]], dtype=pl.List(pl.String))
            items = items.with_columns(raters=raters)
        return pl.DataFrame(self.rows, schema=RATER_LABELS), pl.DataFrame(units, schema=UNITS), items

    def units_of(self, row: dict) -> list[Unit]:
        """Return the units of a row of kappa_checkpoints or category_kappa."""
        is_increment = row.get("scope") == "increment"
        return [
            unit
            for source in (PREFIXES if row["source"] == "all" else (row["source"],))
            for checkpoint in CHECKPOINTS
            if checkpoint == row["checkpoint"] or (checkpoint < row["checkpoint"] and not is_increment)
            for unit in self.units[source, row["dimension"], checkpoint]
        ]

    def _label(self, source: str, checkpoint: int, batches: tuple[int, int]) -> None:
        size = int(
            self.random.choice(
                [0, 1, 2, 3, 5, 8, 12, 18, 25, int(self.random.integers(3, 60)), int(self.random.integers(60, 201))]
            )
        )
        judges = {dimension: self._judge() for dimension in DIMENSIONS}
        is_bug = self._judge(2)
        labelled: dict[str, list[Unit]] = {dimension: [] for dimension in ("is_bug", *DIMENSIONS)}
        missing = float(self.random.choice([0, 0, 0.02, 0.1, 0.4, 0.9]))
        units = 0
        while units < size:
            item = f"{PREFIXES[source]}-{checkpoint}-{len(labelled['is_bug'])}"
            self.items[item] = checkpoint
            self.raters_of[item] = sorted(self.random.choice(self.raters, self.per_item, replace=False).tolist())
            labelled["is_bug"].append(self._list_bugs(item, batches[0], missing, is_bug(self.random)))
            bugs = min(int(self.random.integers(1, 4)), size - units)
            units += bugs
            for bug in range(1, bugs + 1):
                self.bugs[item, bug] = batches[0]
                batch = batches[int(self.random.integers(2))]
                self._rate(item, batch, bug, missing, judges, labelled)
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

    def _unit(self, item: str, missing: float, codes: list[str]) -> Unit:
        """Return the label of each rater who is asked, some of whom have yet to answer."""
        return [
            UNASKED if rater not in self.raters_of[item] else None if self.random.random() < missing else code
            for rater, code in zip(self.raters, codes, strict=True)
        ]

    def _list_bugs(self, item: str, batch: int, missing: float, codes: list[int]) -> Unit:
        """Add rows of the units pass; return the labels true and false."""
        unit = self._unit(item, missing, [str(bool(code)).lower() for code in codes])
        for rater, label in zip(self.raters, unit, strict=True):
            if label:
                self.rows.append(label_row(item, rater, batch, "units", int(label == "true")))
        return unit

    def _rate(self, item, batch, bug, missing, judges, labelled) -> None:  # noqa: PLR0917
        """Add rows of the dimensions pass; a rater who is not asked may have answered as well."""
        whole = self._unit(item, missing, [*self.raters])
        of_raters: dict[str, dict[str, str | None]] = {rater: {} for rater in self.raters}
        for dimension, judge in judges.items():
            codes = [f"{dimension} {code}" for code in judge(self.random)]
            is_required = dimension in REQUIRED_DIMENSIONS
            if not is_required:
                codes = [NONE if self.random.random() < 0.3 else code for code in codes]
            unit = self._unit(item, 0 if is_required else missing / 2, codes)
            unit = [label if submitted else submitted for label, submitted in zip(unit, whole, strict=True)]
            for rater, label, code in zip(self.raters, unit, codes, strict=True):
                of_raters[rater][dimension] = code if label == UNASKED else label
            if is_required or None in unit or set(unit) - {NONE, UNASKED}:
                labelled[dimension].append(unit)
        for rater, label in zip(self.raters, whole, strict=True):
            if label or (label == UNASKED and self.random.random() < 0.1):
                self.rows.append(label_row(item, rater, batch, "dimensions", bug, **of_raters[rater]))


def complete(units: list[Unit]) -> list[list[str]]:
    """Return the units that do not wait."""
    return [[label for label in unit if label is not None] for unit in units if None not in unit]


class Pair(NamedTuple):
    """The labels of two raters in the units that both have."""

    first: tuple[str, ...]
    second: tuple[str, ...]


def pairs_of(units: list[Unit]) -> list[Pair]:
    """Return the pairs of raters who share units that do not wait."""
    pairs = []
    for columns in combinations(zip(*complete(units), strict=True), 2):
        shared = [labels for labels in zip(*columns, strict=True) if UNASKED not in labels]
        if shared:
            pairs.append(Pair(*zip(*shared, strict=True)))
    return pairs


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


def bounds_of(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[float, float] | None:
    """Return the limits within -1..1, None with too few units for them."""
    result, table = statsmodels_of(first, second)
    if len(first) < 20:
        return None
    low, high = (result.kappa_low, result.kappa_upp) if result.var_kappa > 1e-6 else exact_bounds(table)
    return max(low, -1), min(high, 1)


def krippendorff_of(rated: list[Unit]) -> float | None:
    """Return alpha over all labels, whether or not the unit waits; ``none`` alone is no label."""
    given = [[label or None for label in unit] for unit in rated]
    given = [unit for unit in given if len(unit) - unit.count(None) > 1 and set(unit) - {NONE, None}]
    names = sorted({label for unit in given for label in unit if label is not None})
    if len(names) < 2:
        return None
    data = [[np.nan if label is None else names.index(label) for label in unit] for unit in given]
    return krippendorff.alpha(np.array(data, dtype=float).T, level_of_measurement="nominal")


DESIGNS = {
    "two raters": (2, None),
    "three raters": (3, None),
    "four raters": (4, None),
    "two of three raters": (3, 2),
    "two of six raters": (6, 2),
}


@pytest.fixture(scope="module", params=DESIGNS.values(), ids=list(DESIGNS))
def random_study(request, make_study, make_items):
    """Return the random labels and their two tables, with few resamples because the bootstrap is not tested here."""
    number, per_item = request.param
    random_labels = Study(1969 + number + 10 * (per_item or 0), RATERS[:number], per_item)
    study = make_study(raters=random_labels.raters, raters_per_item=per_item, checkpoints=CHECKPOINTS)
    study = study.model_copy(update={"dimensions": tuple(asked_of_all(each) for each in study.dimensions)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 10)
        return random_labels, *measure(*random_labels.frames(make_items(random_labels.items)), study)


def asked_of_all(dimension: Dimension) -> Dimension:
    return dimension.model_copy(update={"asked_of": "all"})


def tables(random_study):
    """Return (row of kappa_checkpoints, its units) for every row."""
    random_labels, kappas, _ = random_study
    return [(row, random_labels.units_of(row)) for row in kappas.to_dicts()]


def test_the_random_tables_are_many_and_varied(random_study):
    separate = [(row, rated) for row, rated in tables(random_study) if row["scope"] == "increment"]
    separate = [(row, rated) for row, rated in separate if row["source"] != "all"]
    assert len(separate) >= 160  # for each design: over 800 in all, of which no two share a label
    assert sum(1 for row, _ in separate if row["units"] > 20) > 10
    assert sum(1 for row, _ in separate if row["waiting"]) > 50
    assert sum(1 for row, _ in separate if not row["units"]) > 5
    assert sum(1 for row, _ in separate if (row["undefined_reason"] or "").startswith("only one")) > 10
    assert sum(1 for row, _ in separate if row["kappa"] is not None) > 25
    assert len({len({label for unit in rated for label in unit}) for _, rated in separate}) > 8


def test_there_is_a_row_for_each_checkpoint_that_has_units_and_a_submission(random_study):
    random_labels, kappas, _ = random_study
    found = kappas.filter(pl.col("scope") == "increment", pl.col("source") != "all")
    batches: dict[tuple[str, int], int] = {}  # by prefix and checkpoint of items: the last batch
    for row in random_labels.rows:
        key = row["item_id"][:2], random_labels.items[row["item_id"]]
        batches[key] = max(batches.get(key, 0), row["batch"])
    last = {source: max(batches[key] for key in batches if key[0] == prefix) for source, prefix in PREFIXES.items()}
    expected = {
        (source, dimension, checkpoint)
        for (source, dimension, checkpoint), units in random_labels.units.items()
        if units and (PREFIXES[source], checkpoint) in batches and checkpoint <= last[source]
    }
    assert set(found.select("source", "dimension", "checkpoint").rows()) == expected


def test_kappa_and_its_interval_equal_those_of_statsmodels(random_study):
    for row, rated in tables(random_study):
        assert row["units"] == len(complete(rated))
        assert row["waiting"] == len(rated) - row["units"]
        if not row["units"]:
            assert (row["kappa"], row["undefined_reason"]) == (None, ALL_WAIT)
            continue
        pairs = pairs_of(rated)
        results = [statsmodels_of(*pair)[0] for pair in pairs]
        if any(math.isnan(result.kappa) for result in results):
            assert row["undefined_reason"].startswith("only one category was used by ")
            assert row["kappa"] is row["kappa_low"] is row["kappa_high"] is None
            continue
        bounds = [bounds_of(*pair) for pair in pairs]
        assert row["undefined_reason"] is None
        assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]), abs=WITHIN)
        assert_limits(row, bounds)


def assert_limits(row, bounds):
    """Assert that the limits of kappa are the means of those of the pairs, unless a pair has too few units."""
    if None in bounds:
        assert row["kappa_low"] is row["kappa_high"] is None
        assert row["interval_undefined_reason"] == "fewer than 20 units"
        return
    assert row["interval_undefined_reason"] is None
    assert (row["kappa_low"], row["kappa_high"]) == pytest.approx(np.mean(bounds, axis=0), abs=WITHIN)
    assert -1 <= row["kappa_low"] <= row["kappa"] + WITHIN
    assert row["kappa"] - WITHIN <= row["kappa_high"] <= 1


def test_kappa_and_the_agreements_equal_those_of_scikit_learn(random_study):
    """Expected agreement follows from scikit-learn's kappa: 1 - (1 - observed) / (1 - kappa)."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for row, rated in tables(random_study):
        if not row["units"]:
            assert row["observed_agreement"] is row["expected_agreement"] is None
            continue
        pairs = pairs_of(rated)
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
    assert compared > 200


def test_category_kappa_equals_that_of_statsmodels(random_study):
    random_labels, _, categories = random_study
    assert len(categories) > 500
    for row in categories.sample(200, seed=1).to_dicts():
        units = [
            [label if label in {None, UNASKED} else str(label == row["category"]) for label in unit]
            for unit in random_labels.units_of(row)
        ]
        assert row["units"] == len(complete(units))
        pairs = pairs_of(units)
        results = [statsmodels_of(*pair)[0] for pair in pairs]
        if any(math.isnan(result.kappa) for result in results):
            assert row["kappa"] is row["kappa_low"] is row["kappa_high"] is None
            assert row["undefined_reason"]
            continue
        bounds = [bounds_of(*pair) for pair in pairs]
        assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]), abs=WITHIN)
        assert_limits(row, bounds)


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
        bugs = [{"item_id": item, "bug_index": 1} for item in items["item_id"]]
        newest = (pl.col("source") == "all") & (pl.col("dimension") == "bug_type")
        newest &= pl.col("checkpoint") == pl.col("checkpoint").max()
        measured = measure(labels, pl.DataFrame(bugs, schema=UNITS), items, study)
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
        ([[17, 0], [0, 3]], (1, 1, 1)),
        ([[0, 1], [0, 408]], (0, 0, 0)),  # one rater never used it, the other once: kappa is 0 without variance
        ([[0, 0], [3, 17]], (0, 0, 0)),
        ([[0, 10], [10, 0]], (-1, -1, -1)),
        ([[17, 0], [0, 2]], (1, None, None)),
        ([[4, 0], [0, 0]], None),
    ],
    ids=("full agreement", "only the second", "only the first", "full disagreement", "too few", "one category"),
)
def test_kappa_without_variance_has_an_interval_without_width(agree, table, expected):
    row, _ = agree(*unrolled(table))
    found = (row["kappa"], row["kappa_low"], row["kappa_high"])
    assert found == (expected or (None, None, None))
    assert (row["undefined_reason"] is None) == (expected is not None)


def test_alpha_is_defined_before_the_last_rater_submits(agree):
    row, _ = agree("aabb", "aaba", [None] * 4)
    assert (row["units"], row["waiting"], row["kappa"], row["undefined_reason"]) == (0, 4, None, ALL_WAIT)
    assert row["alpha"] == pytest.approx(krippendorff_of([list(unit) for unit in zip("aabb", "aaba", strict=True)]))
