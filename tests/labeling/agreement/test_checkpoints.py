import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from dlbug_assets.labeling.agreement import checkpoints
from dlbug_assets.labeling.agreement.checkpoints import CATEGORY_KAPPA, KAPPA_CHECKPOINTS
from dlbug_assets.labeling.units import UNITS

BUG_TYPES = ("API Bug", "Coding Bug", "Data Bug")
RATERS = ("ann", "bob", "cid", "dan", "eli", "fay")


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def statsmodels_kappa(table: np.ndarray) -> Any:
    """Return statsmodels' result, whose attributes its class does not declare."""
    return cohens_kappa(table)


def measure(labels, items, study):
    """Measure the agreement about the bugs that somebody rated, each frozen in the first batch of these."""
    rated = labels.filter(pl.col("pass") == "dimensions")
    bugs = rated.group_by("item_id", "bug_index").agg(frozen_in=pl.col("batch").min())
    units = pl.DataFrame(bugs.to_dicts(), schema=UNITS)
    return checkpoints.measure(labels, units, items, study)


def one(table, **key):
    key = {"source": "all", "scope": "cumulative"} | key
    key = {name: value for name, value in key.items() if name in table.columns}
    return table.row(by_predicate=pl.all_horizontal(pl.col(k) == v for k, v in key.items()), named=True)


@pytest.fixture(scope="session")
def rated(rater_row):
    """Return rows of the dimensions pass: each rater's bug type of the single bug of SO-0, SO-1 .."""

    def rows(batch=100, **bug_types):
        return [
            rater_row(f"SO-{n}", rater, batch, bug_type=kind)
            for rater, kinds in bug_types.items()
            for n, kind in enumerate(kinds)
            if kind
        ]

    return rows


@pytest.fixture(scope="session")
def posts(make_items):
    def items(n, checkpoint=100):
        return make_items({f"SO-{i}": checkpoint for i in range(n)})

    return items


def test_kappa_of_a_two_by_two_table_computed_by_hand(rater_row, posts, study, validated):
    # 20 both yes, 5 only ann, 10 only bob, 15 both no: observed .7, expected .5 * .6 + .5 * .4 = .5, kappa .4
    answers = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    items = posts(50)
    rows = [
        rater_row(f"SO-{n}", rater, bug_index=index)
        for n, pair in enumerate(answers)
        for rater, index in zip(("ann", "bob"), pair, strict=True)
    ]
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints
    assert table.schema == KAPPA_CHECKPOINTS
    row = one(table, dimension="is_bug", checkpoint=100)
    assert (row["units"], row["undefined_reason"], row["reached_target"]) == (50, None, False)
    assert row["observed_agreement"] == pytest.approx(0.7)
    assert row["expected_agreement"] == pytest.approx(0.5)
    assert row["kappa"] == pytest.approx(0.4)
    # Fleiss, Cohen & Everitt 1969, formula 13: the variance from cell shares p, marginals and kappa
    variance = (
        0.4 * (1 - (0.5 + 0.6) * 0.6) ** 2
        + 0.3 * (1 - (0.5 + 0.4) * 0.6) ** 2
        + 0.6**2 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
        - (0.4 - 0.5 * 0.6) ** 2
    ) / (0.5**2 * 50)
    half = 1.959964 * variance**0.5
    assert (row["kappa_low"], row["kappa_high"]) == pytest.approx((0.4 - half, 0.4 + half), abs=1e-6)
    # alpha by hand: 45 yes and 55 no among 100; disagreement 15/50 over 2*45*55/(100*99)
    assert row["alpha"] == pytest.approx(1 - 0.3 / (2 * 45 * 55 / (100 * 99)))
    assert row["kappa_boot_low"] == pytest.approx(row["kappa_low"], abs=0.05)
    assert row["kappa_boot_high"] == pytest.approx(row["kappa_high"], abs=0.05)


answers = st.lists(st.tuples(st.sampled_from(BUG_TYPES), st.sampled_from(BUG_TYPES)), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=25)
@given(answers)
def test_kappa_equals_that_of_statsmodels(rated, posts, study, validated, pairs):
    items = posts(len(pairs))
    first, second = zip(*pairs, strict=True)
    row = one(
        measure(validated(rated(ann=first, bob=second), items, study), items, study).kappa_checkpoints,
        dimension="bug_type",
        checkpoint=100,
    )
    table = np.zeros((3, 3))
    for a, b in pairs:
        table[BUG_TYPES.index(a), BUG_TYPES.index(b)] += 1
    assert row["units"] == len(pairs)
    if len(set(first + second)) == 1:
        assert (row["kappa"], row["undefined_reason"]) == (None, "only one category was used by ann and bob")
        assert row["kappa_low"] is row["kappa_boot_low"] is row["alpha"] is row["reached_target"] is None
        assert row["observed_agreement"] == row["expected_agreement"] == 1
        return
    with np.errstate(all="ignore"):
        expected = statsmodels_kappa(table)
    assert row["kappa"] == pytest.approx(expected.kappa)
    assert row["undefined_reason"] is None
    assert row["alpha"] is not None
    if len(pairs) < 20:
        assert row["kappa_low"] is row["kappa_high"] is None
        assert row["interval_undefined_reason"] == "fewer than 20 units"
    else:
        assert -1 <= row["kappa_low"] <= row["kappa"] <= row["kappa_high"] <= 1
        assert row["interval_undefined_reason"] is None
        if expected.var_kappa > 1e-12:
            assert row["kappa_low"] == pytest.approx(max(expected.kappa_low, -1))
            assert row["kappa_high"] == pytest.approx(min(expected.kappa_upp, 1))
    if first == second:
        assert row["kappa"] == (row["kappa_low"] or 1) == (row["kappa_high"] or 1) == 1
        assert row["kappa_boot_low"] == row["kappa_boot_high"] == row["alpha"] == 1
        assert row["reached_target"]


def test_relabelling_does_not_change_earlier_checkpoints(rated, make_items, study, validated):
    items = make_items({"SO-0": 5, "SO-1": 5, "SO-2": 10, "SO-3": 10})
    a, c = "API Bug", "Coding Bug"
    rows = rated(5, ann=[a, c], bob=[c, a])
    rows += rated(10, ann=[a, c, a, c], bob=[a, c, a, c])
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints
    kappas = {
        (row["checkpoint"], row["scope"]): (row["units"], row["kappa"])
        for row in table.filter(pl.col("dimension") == "bug_type", pl.col("source") == "Stack Overflow").to_dicts()
    }
    assert kappas == {
        (5, "cumulative"): (2, -1),
        (5, "increment"): (2, -1),
        (10, "cumulative"): (4, 1),
        (10, "increment"): (2, 1),
    }


def test_after_a_training_bugs_wait_until_they_are_rated_again(rater_row, rated, make_items, study, validated):
    """The raters list the bugs of 5% again for 10%; until a rater has rated them again, they wait there, not at 5%."""
    items = make_items({"SO-0": 5, "SO-1": 5})
    a, c = "API Bug", "Coding Bug"
    listed = [rater_row(name, rater, batch) for batch in (5, 10) for name in items["item_id"] for rater in RATERS[:2]]

    def kappas(*again):
        labels = validated([*listed, *rated(5, ann=[a, c], bob=[c, a]), *again], items, study)
        table = measure(labels, items, study).kappa_checkpoints
        rows = table.filter(source="all", dimension="bug_type", scope="cumulative")
        return rows.select("checkpoint", "units", "waiting", "kappa").rows()

    assert kappas() == [(5, 2, 0, -1), (10, 0, 2, None)]
    assert kappas(*rated(10, ann=[a, c], bob=[a])) == [(5, 2, 0, -1), (10, 1, 1, None)]
    assert kappas(*rated(10, ann=[a, c], bob=[a, c])) == [(5, 2, 0, -1), (10, 2, 0, 1)]


def test_a_withdrawn_answer_is_waited_for(rated, posts, study, validated):
    items = posts(4)
    a, c = BUG_TYPES[:2]
    labels = validated(rated(ann=[a, a, c, c], bob=[a, a, c, a]), items, study)
    row = one(measure(labels, items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"]) == (4, 0, pytest.approx(0.5))
    is_withdrawn = (pl.col("rater") == "bob") & (pl.col("item_id") == "SO-3")
    labels = labels.with_columns(superseded=is_withdrawn, withdrawn=is_withdrawn)
    row = one(measure(labels, items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"]) == (3, 1, 1)


def test_with_three_raters_a_unit_waits_for_the_third(rated, posts, make_study, validated):
    three = make_study(raters=RATERS[:3])
    a, c = BUG_TYPES[:2]
    items = posts(3)
    labels = validated(rated(ann=[a, c, a], bob=[a, c, c], cid=[a, c, None]), items, three)
    row = one(measure(labels, items, three).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"]) == (2, 1, 1)
    # alpha has all eight labels: 4 and 4, of which one pair differs; by hand 1 - 7 * 2 / (64 - 32).
    assert row["alpha"] == pytest.approx(1 - 7 * 2 / 32)


def test_with_two_of_six_raters_per_item_pairs_are_compared_on_what_they_share(rated, posts, make_study, validated):
    six = make_study(raters=RATERS, raters_per_item=2)
    a, c = BUG_TYPES[:2]
    asked = [["ann", "bob"]] * 2 + [["cid", "dan"]] * 2 + [["eli", "fay"]]
    items = posts(5).with_columns(raters=pl.Series(asked, dtype=pl.List(pl.String)))
    answers = {
        "ann": [a, c, None, None, None],
        "bob": [a, c, None, None, None],
        "cid": [None, None, a, c, None],
        "dan": [None, None, c, a, None],
        "eli": [None, None, None, None, a],
    }
    table = measure(validated(rated(**answers), items, six), items, six).kappa_checkpoints
    row = one(table, dimension="bug_type", checkpoint=100)
    # Of three pairs one has kappa 1 and one -1; the third waits for fay and has none.
    assert (row["units"], row["waiting"], row["kappa"]) == (4, 1, 0)
    assert (row["observed_agreement"], row["expected_agreement"]) == (0.5, 0.5)
    assert row["alpha"] == pytest.approx(1 - 7 * 4 / 32)
    answers["fay"] = [None, None, None, None, a]
    table = measure(validated(rated(**answers), items, six), items, six).kappa_checkpoints
    row = one(table, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"]) == (5, 0, None)
    assert row["undefined_reason"] == "only one category was used by eli and fay"


def test_each_round_has_its_own_checkpoints(rater_row, make_items, study, validated):
    items = make_items({"SO-0": 5, "SO-1": 5, "r2-SO-0": 5, "r2-SO-1": 5})
    kinds = {"SO-0": ("API Bug", "API Bug"), "SO-1": ("Coding Bug", "Coding Bug")}
    kinds |= {"r2-SO-0": ("API Bug", "Coding Bug"), "r2-SO-1": ("Coding Bug", "API Bug")}

    def kappas(*names):
        rows = [
            rater_row(name, rater, 5, bug_type=kind)
            for name in names
            for rater, kind in zip(("ann", "bob"), kinds[name], strict=True)
            if (name, rater) not in missing
        ]
        table = measure(validated(rows, items, study), items, study).kappa_checkpoints
        of_types = table.filter(pl.col("source") == "all", dimension="bug_type", scope="cumulative")
        return of_types.select("round", "checkpoint", "units", "kappa").rows()

    missing = set()
    assert kappas(*kinds) == [(1, 5, 2, 1.0), (2, 5, 2, -1.0)]
    # Bob's sheet for 5% of round 1 does not count as his sheet for 5% of round 2.
    missing = {("r2-SO-0", "bob"), ("r2-SO-1", "bob")}
    assert kappas(*kinds) == [(1, 5, 2, 1.0), (2, 5, 0, None)]


def test_a_batch_counts_from_its_checkpoint(rated, make_items, study, validated):
    """An item of the first 5%, labelled late, does not appear at 5%."""
    items = make_items({"SO-0": 5, "SO-1": 5})
    rows = rated(5, ann=["API Bug"], bob=["API Bug"]) + rated(100, ann=[None, "Data Bug"], bob=[None, "Data Bug"])
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints.filter(
        pl.col("dimension") == "bug_type", pl.col("source") == "all", pl.col("scope") == "cumulative"
    )
    assert table.select("checkpoint", "units").rows() == [(5, 1), (10, 1), (100, 2)]


def test_none_is_a_label_of_optional_dimensions_only(rater_row, posts, study, validated):
    items = posts(3)
    stages = {"SO-0": ("Training", "none"), "SO-1": ("Training", "Training"), "SO-2": ("none", "none")}
    rows = [
        rater_row(name, rater, bug_type="API Bug", stage=stage)
        for name, given in stages.items()
        for rater, stage in zip(("ann", "bob"), given, strict=True)
    ]
    measured = measure(validated(rows, items, study), items, study)
    row = one(measured.kappa_checkpoints, dimension="stage", checkpoint=100)
    # A bug without any stage says nothing about how raters tell stages apart.
    assert (row["units"], row["waiting"], row["observed_agreement"]) == (2, 0, 0.5)
    assert measured.kappa_checkpoints.filter(dimension="antipattern").is_empty()
    stages = measured.category_kappa.filter(dimension="stage", source="all")
    assert stages.select("category", "units").rows() == [("Training", 2), ("none", 2)]


def test_a_bug_waits_until_each_rater_has_rated_it(rater_row, posts, study, validated):
    """Ann has listed and rated a second bug of SO-0, which bob has yet to rate: that is no answer of his."""
    items = posts(4)
    kinds = ["API Bug", "API Bug", "Data Bug", "Data Bug"]
    rows = [rater_row(f"SO-{n}", rater, bug_type=kind) for n, kind in enumerate(kinds) for rater in ("ann", "bob")]
    rows.append(rater_row("SO-0", "ann", bug_index=2, bug_type="Data Bug"))
    measured = measure(validated(rows, items, study), items, study)
    row = one(measured.kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"], row["observed_agreement"]) == (4, 1, 1, 1)
    categories = measured.category_kappa.filter(dimension="bug_type", source="all")
    assert categories.select("category", "units").rows() == [("API Bug", 4), ("Data Bug", 4)]
    rows.append(rater_row("SO-0", "bob", bug_index=2, bug_type="API Bug"))
    row = one(
        measure(validated(rows, items, study), items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100
    )
    # Ann 2 and 3, bob 3 and 2 of the two types: by chance (2 * 3 + 3 * 2) / 25.
    assert (row["units"], row["waiting"], row["observed_agreement"]) == (5, 0, pytest.approx(4 / 5))
    assert row["kappa"] == pytest.approx((4 / 5 - 12 / 25) / (1 - 12 / 25))


def test_a_blank_in_an_optional_dimension_waits(rater_row, posts, study, validated):
    items = posts(2)
    rows = [
        rater_row("SO-0", "ann", bug_type="API Bug", stage="Training"),
        rater_row("SO-0", "bob", bug_type="API Bug", stage="Training"),
        rater_row("SO-1", "ann", bug_type="API Bug", stage="none"),
        rater_row("SO-1", "bob", bug_type="API Bug", stage="Training"),
    ]
    labels = validated(rows, items, study)
    is_blank = (pl.col("rater") == "bob") & (pl.col("item_id") == "SO-1")
    labels = labels.with_columns(stage=pl.when(~is_blank).then("stage"))
    table = measure(labels, items, study).kappa_checkpoints
    row = one(table, dimension="stage", checkpoint=100)
    assert (row["units"], row["waiting"], row["observed_agreement"]) == (1, 1, 1)
    assert one(table, dimension="bug_type", checkpoint=100)["waiting"] == 0


def test_an_item_counts_once_both_raters_submitted_it(rater_row, rated, posts, study, validated):
    items = posts(2)
    rows = rated(ann=["API Bug", "Data Bug"])
    rows += [rater_row("SO-0", "ann"), rater_row("SO-0", "bob"), rater_row("SO-1", "ann")]
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints
    row = one(table, dimension="is_bug", checkpoint=100)
    assert (row["units"], row["waiting"]) == (1, 1)
    row = one(table, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["waiting"], row["kappa"]) == (0, 2, None)
    assert row["undefined_reason"] == "no unit has the answers of all its raters yet"
    assert row["observed_agreement"] is None


def test_the_adjudicator_and_superseded_rows_do_not_count(rater_row, rated, posts, study, validated):
    items = posts(2)
    rows = rated(ann=["API Bug", "Data Bug"], bob=["Data Bug", "Data Bug"], eve=["Coding Bug", "Coding Bug"])
    rows.append(rater_row("SO-0", "bob", bug_type="API Bug", file="corrected.csv"))
    row = one(
        measure(validated(rows, items, study), items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100
    )
    assert (row["units"], row["kappa"]) == (2, 1)


def test_with_three_raters_kappa_is_the_mean_of_the_pairs(rated, posts, make_study, validated):
    three = make_study(raters=("ann", "bob", "cid"))
    a, c = BUG_TYPES[:2]
    kinds = {"ann": [a, a, c, c, a] * 4, "bob": [a, c, c, c, a] * 4, "cid": [a, a, c, a, c] * 4}
    items = posts(20)
    table = measure(validated(rated(**kinds), items, three), items, three).kappa_checkpoints
    row = one(table, dimension="bug_type", checkpoint=100)
    results = []
    for x, y in (("ann", "bob"), ("ann", "cid"), ("bob", "cid")):
        table = np.zeros((2, 2))
        for p, q in zip(kinds[x], kinds[y], strict=True):
            table[BUG_TYPES.index(p), BUG_TYPES.index(q)] += 1
        results.append(statsmodels_kappa(table))
    assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]))
    assert row["kappa_low"] == pytest.approx(np.mean([result.kappa_low for result in results]))
    assert row["kappa_boot_low"] <= row["kappa"] <= row["kappa_boot_high"]


def test_a_pair_with_one_category_makes_the_mean_undefined(rated, posts, make_study, validated):
    three = make_study(raters=("ann", "bob", "cid"))
    a, c = BUG_TYPES[:2]
    items = posts(2)
    labels = validated(rated(ann=[a, a], bob=[a, a], cid=[a, c]), items, three)
    row = one(measure(labels, items, three).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["kappa"], row["undefined_reason"]) == (None, "only one category was used by ann and bob")
    assert row["alpha"] is not None
    reasons = measure(labels, items, three).category_kappa.filter(pl.col("kappa").is_null())["undefined_reason"]
    assert set(reasons) <= {"only one category was used by ann and bob", *(
        f"only one category was used by {x} and {y}" for x, y in (("ann", "cid"), ("bob", "cid")))}  # fmt: skip


def test_all_is_the_union_of_the_sources(rater_row, make_items, study, validated):
    items = make_items({"SO-0": 5, "GH-0": 5, "SO-1": 10})
    rows = [
        rater_row(item, r, 5, bug_type=t)
        for item, t in (("SO-0", "API Bug"), ("GH-0", "Data Bug"))
        for r in ("ann", "bob")
    ]
    rows += [rater_row("SO-1", rater, 10, bug_type="API Bug") for rater in ("ann", "bob")]
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints.filter(
        pl.col("dimension") == "bug_type"
    )
    assert table.select("source", "checkpoint", "scope", "units").rows() == [
        ("Stack Overflow", 5, "cumulative", 1),
        ("Stack Overflow", 5, "increment", 1),
        ("Stack Overflow", 10, "cumulative", 2),
        ("Stack Overflow", 10, "increment", 1),
        ("GitHub", 5, "cumulative", 1),
        ("GitHub", 5, "increment", 1),
        ("all", 5, "cumulative", 2),
        ("all", 5, "increment", 2),
        ("all", 10, "cumulative", 3),
        ("all", 10, "increment", 1),
    ]


def test_category_kappa_compares_one_category_with_the_rest(rated, posts, study, validated):
    a, c, d = BUG_TYPES
    items = posts(24)
    labels = validated(rated(ann=[a, a, c, c, d, d] * 4, bob=[a, c, c, c, d, a] * 4), items, study)
    table = measure(labels, items, study).category_kappa
    assert table.schema == CATEGORY_KAPPA
    expected = statsmodels_kappa(np.array([[4, 4], [4, 12]]))
    row = one(table, dimension="bug_type", checkpoint=100, category=a)
    assert (row["units"], row["undefined_reason"], row["interval_undefined_reason"]) == (24, None, None)
    assert row["kappa"] == pytest.approx(expected.kappa)
    assert (row["kappa_low"], row["kappa_high"]) == pytest.approx((expected.kappa_low, expected.kappa_upp))
    checkpoints = measure(labels, items, study).kappa_checkpoints
    kappa_of = dict(table.filter(dimension="bug_type", source="all").select("category", "kappa").iter_rows())
    assert kappa_of == {a: pytest.approx(0.25), c: pytest.approx(2 / 3), d: pytest.approx(4 / 7)}
    lowest = one(checkpoints, dimension="bug_type", checkpoint=100)["disagree_most"]
    assert lowest == f"{a} (0.250), {d} (0.571), {c} (0.667)"
    assert one(checkpoints, dimension="effect", checkpoint=100)["disagree_most"] is None
    effects = table.filter(pl.col("dimension") == "effect", pl.col("source") == "all")
    assert effects.select("category", "kappa", "undefined_reason").rows() == [
        ("Crash", None, "only one category was used by ann and bob")
    ]


def test_without_rater_labels_the_tables_are_empty(posts, study, validated):
    items = posts(3)
    labels = validated([], items, study)
    measured = measure(labels, items, study)
    assert measured.kappa_checkpoints.rows() == []
    assert measured.category_kappa.schema == CATEGORY_KAPPA


several = st.lists(
    st.lists(st.tuples(*[st.sampled_from(BUG_TYPES)] * 2), min_size=1, max_size=3), min_size=1, max_size=8
)


@pytest.mark.slow
@settings(max_examples=15)
@given(several, st.randoms(use_true_random=False))
def test_the_table_does_not_depend_on_row_order_and_has_no_nan(  # noqa: PLR0917 (fixtures)
    rater_row, posts, study, validated, bugs, random
):
    items = posts(len(bugs))
    rows = [
        rater_row(f"SO-{n}", rater, bug_index=index, bug_type=kind)
        for n, of_item in enumerate(bugs)
        for index, pair in enumerate(of_item, start=1)
        for rater, kind in zip(("ann", "bob"), pair, strict=True)
    ]
    table = measure(validated(rows, items, study), items, study).kappa_checkpoints
    random.shuffle(rows)
    assert measure(validated(rows, items, study), items.reverse(), study).kappa_checkpoints.equals(table)
    numbers = table.select(pl.col(pl.Float64))
    assert not numbers.select(pl.all().is_nan().any()).to_numpy().any()
    assert table.filter(pl.col("kappa").is_null() != pl.col("undefined_reason").is_not_null()).is_empty()
    assert table.filter(pl.col("kappa_boot_low") > pl.col("kappa_boot_high")).is_empty()


def test_the_bootstrap_resamples_items_not_bugs(rater_row, posts, study, validated):
    """Ten items of the same five bugs vary less than fifty independent bugs would, and their kappa not at all."""
    items = posts(10)
    pairs = [("API Bug", "API Bug"), ("API Bug", "Data Bug"), ("Data Bug", "Data Bug")]
    rows = [
        rater_row(f"SO-{n}", rater, bug_index=index, bug_type=kind)
        for n in range(10)
        for index, pair in enumerate(pairs, start=1)
        for rater, kind in zip(("ann", "bob"), pair, strict=True)
    ]
    row = one(
        measure(validated(rows, items, study), items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100
    )
    assert row["kappa_boot_low"] == pytest.approx(row["kappa"])
    assert row["kappa_boot_high"] == pytest.approx(row["kappa"])
    assert row["kappa_low"] < row["kappa"] - 0.1
