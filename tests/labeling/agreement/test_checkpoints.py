import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from dlbug_assets.labeling.agreement.checkpoints import CATEGORY_KAPPA, KAPPA_CHECKPOINTS, measure

BUG_TYPES = ("API Bug", "Coding Bug", "Data Bug")


@pytest.fixture(autouse=True)
def _no_warning_leaks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def one(table, **key):
    key = {"source": "all", "scope": "cumulative"} | key
    key = {name: value for name, value in key.items() if name in table.columns}
    return table.row(by_predicate=pl.all_horizontal(pl.col(k) == v for k, v in key.items()), named=True)


@pytest.fixture(scope="session")
def said(hand_in):
    """Rows of the dimensions pass: what each rater calls the single bug of SO-0, SO-1 .."""

    def rows(batch=100, **bug_types):
        return [
            hand_in(f"SO-{n}", rater, batch, bug_type=kind)
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


def test_kappa_of_a_two_by_two_table_computed_by_hand(hand_in, posts, study, taken):
    # 20 both yes, 5 only ann, 10 only bob, 15 both no: observed .7, expected .5 * .6 + .5 * .4 = .5, kappa .4
    answers = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    items = posts(50)
    rows = [
        hand_in(f"SO-{n}", rater, bug_index=index)
        for n, pair in enumerate(answers)
        for rater, index in zip(("ann", "bob"), pair, strict=True)
    ]
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints
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


answers = st.lists(st.tuples(st.sampled_from(BUG_TYPES), st.sampled_from(BUG_TYPES)), min_size=1, max_size=25)


@pytest.mark.slow
@settings(max_examples=25)
@given(answers)
def test_kappa_is_that_of_statsmodels(said, posts, study, taken, pairs):
    items = posts(len(pairs))
    first, second = zip(*pairs, strict=True)
    row = one(
        measure(taken(said(ann=first, bob=second), items, study), items, study).kappa_checkpoints,
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
        expected = cohens_kappa(table)
    assert row["kappa"] == pytest.approx(expected.kappa)
    assert row["undefined_reason"] is None
    assert row["alpha"] is not None
    if expected.var_kappa > 1e-12:
        assert row["kappa_low"] == pytest.approx(expected.kappa_low)
        assert row["kappa_high"] == pytest.approx(expected.kappa_upp)
    if first == second:
        assert row["kappa"] == row["kappa_low"] == row["kappa_high"] == 1
        assert row["kappa_boot_low"] == row["kappa_boot_high"] == row["alpha"] == 1
        assert row["reached_target"]


def test_low_agreement_at_5_percent_stays_low_after_relabelling(said, make_items, study, taken):
    items = make_items({"SO-0": 5, "SO-1": 5, "SO-2": 10, "SO-3": 10})
    a, c = "API Bug", "Coding Bug"
    rows = said(5, ann=[a, c], bob=[c, a])
    rows += said(10, ann=[a, c, a, c], bob=[a, c, a, c])
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints
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


def test_each_round_of_the_queue_has_checkpoints_of_its_own(hand_in, make_items, study, taken):
    items = make_items({"SO-0": 5, "SO-1": 5, "r2-SO-0": 5, "r2-SO-1": 5})
    kinds = {"SO-0": ("API Bug", "API Bug"), "SO-1": ("Coding Bug", "Coding Bug")}
    kinds |= {"r2-SO-0": ("API Bug", "Coding Bug"), "r2-SO-1": ("Coding Bug", "API Bug")}

    def course(*names):
        rows = [
            hand_in(name, rater, 5, bug_type=kind)
            for name in names
            for rater, kind in zip(("ann", "bob"), kinds[name], strict=True)
            if (name, rater) not in missing
        ]
        table = measure(taken(rows, items, study), items, study).kappa_checkpoints
        of_types = table.filter(pl.col("source") == "all", dimension="bug_type", scope="cumulative")
        return of_types.select("round", "checkpoint", "units", "kappa").rows()

    missing = set()
    assert course(*kinds) == [(1, 5, 2, 1.0), (2, 5, 2, -1.0)]
    # That bob handed in his sheet for 5% of round 1 says nothing of his sheet for 5% of round 2.
    missing = {("r2-SO-0", "bob"), ("r2-SO-1", "bob")}
    assert course(*kinds) == [(1, 5, 2, 1.0), (2, 5, 0, None)]


def test_a_batch_counts_from_its_own_checkpoint_on(said, make_items, study, taken):
    """An item of the first 5%, labelled late, does not appear at 5%."""
    items = make_items({"SO-0": 5, "SO-1": 5})
    rows = said(5, ann=["API Bug"], bob=["API Bug"]) + said(100, ann=[None, "Data Bug"], bob=[None, "Data Bug"])
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints.filter(
        pl.col("dimension") == "bug_type", pl.col("source") == "all", pl.col("scope") == "cumulative"
    )
    assert table.select("checkpoint", "units").rows() == [(5, 1), (10, 1), (100, 2)]


def test_a_bug_that_a_rater_does_not_list_is_none(hand_in, posts, study, taken):
    items = posts(2)
    rows = [hand_in(f"SO-{n}", rater, bug_type="API Bug") for n in range(2) for rater in ("ann", "bob")]
    rows.append(hand_in("SO-0", "ann", bug_index=2, bug_type="Data Bug"))
    labels = taken(rows, items, study)
    row = one(measure(labels, items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert row["units"] == 3
    assert row["observed_agreement"] == pytest.approx(2 / 3)
    categories = measure(labels, items, study).category_kappa.filter(
        pl.col("dimension") == "bug_type", pl.col("source") == "all"
    )
    assert categories["category"].to_list() == ["API Bug", "Data Bug", "none"]


def test_an_item_waits_for_the_other_rater(hand_in, said, posts, study, taken):
    items = posts(2)
    rows = said(ann=["API Bug", "Data Bug"])
    rows += [hand_in("SO-0", "ann"), hand_in("SO-0", "bob"), hand_in("SO-1", "ann")]
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints
    assert one(table, dimension="is_bug", checkpoint=100)["units"] == 1
    row = one(table, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["kappa"], row["undefined_reason"]) == (0, None, "no units")
    assert row["observed_agreement"] is None


def test_blank_stages_count_only_against_a_stage(hand_in, posts, study, taken):
    items = posts(3)
    rows = [
        hand_in("SO-0", "ann", bug_type="API Bug", stage="Training"),
        hand_in("SO-0", "bob", bug_type="API Bug"),
        hand_in("SO-1", "ann", bug_type="API Bug", stage="Training"),
        hand_in("SO-1", "bob", bug_type="API Bug", stage="Training"),
        hand_in("SO-2", "ann", bug_type="API Bug"),
        hand_in("SO-2", "bob", bug_type="API Bug"),
    ]
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints
    row = one(table, dimension="stage", checkpoint=100)
    assert (row["units"], row["observed_agreement"]) == (2, 0.5)
    assert one(table, dimension="antipattern", checkpoint=100)["undefined_reason"] == "no units"


def test_the_adjudicator_and_superseded_rows_do_not_count(hand_in, said, posts, study, taken):
    items = posts(2)
    rows = said(ann=["API Bug", "Data Bug"], bob=["Data Bug", "Data Bug"], eve=["Coding Bug", "Coding Bug"])
    rows.append(hand_in("SO-0", "bob", bug_type="API Bug", file="corrected.csv"))
    row = one(measure(taken(rows, items, study), items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["units"], row["kappa"]) == (2, 1)


def test_with_three_raters_kappa_is_the_mean_of_the_pairs(said, posts, make_study, taken):
    three = make_study(raters=("ann", "bob", "cid"))
    a, c = BUG_TYPES[:2]
    says = {"ann": [a, a, c, c, a], "bob": [a, c, c, c, a], "cid": [a, a, c, a, c]}
    items = posts(5)
    table = measure(taken(said(**says), items, three), items, three).kappa_checkpoints
    row = one(table, dimension="bug_type", checkpoint=100)
    results = []
    for x, y in (("ann", "bob"), ("ann", "cid"), ("bob", "cid")):
        table = np.zeros((2, 2))
        for p, q in zip(says[x], says[y], strict=True):
            table[BUG_TYPES.index(p), BUG_TYPES.index(q)] += 1
        results.append(cohens_kappa(table))
    assert row["kappa"] == pytest.approx(np.mean([result.kappa for result in results]))
    assert row["kappa_low"] == pytest.approx(np.mean([result.kappa_low for result in results]))
    assert row["kappa_boot_low"] <= row["kappa"] <= row["kappa_boot_high"]


def test_one_category_among_a_pair_leaves_the_mean_undefined(said, posts, make_study, taken):
    three = make_study(raters=("ann", "bob", "cid"))
    a, c = BUG_TYPES[:2]
    items = posts(2)
    labels = taken(said(ann=[a, a], bob=[a, a], cid=[a, c]), items, three)
    row = one(measure(labels, items, three).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert (row["kappa"], row["undefined_reason"]) == (None, "only one category was used by ann and bob")
    assert row["alpha"] is not None
    reasons = measure(labels, items, three).category_kappa.filter(pl.col("kappa").is_null())["undefined_reason"]
    assert set(reasons) <= {"only one category was used by ann and bob", *(
        f"only one category was used by {x} and {y}" for x, y in (("ann", "cid"), ("bob", "cid")))}  # fmt: skip


def test_all_is_the_union_of_the_sources(hand_in, make_items, study, taken):
    items = make_items({"SO-0": 5, "GH-0": 5, "SO-1": 10})
    rows = [
        hand_in(item, r, 5, bug_type=t)
        for item, t in (("SO-0", "API Bug"), ("GH-0", "Data Bug"))
        for r in ("ann", "bob")
    ]
    rows += [hand_in("SO-1", rater, 10, bug_type="API Bug") for rater in ("ann", "bob")]
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints.filter(pl.col("dimension") == "bug_type")
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


def test_category_kappa_is_one_against_the_rest(said, posts, study, taken):
    a, c, d = BUG_TYPES
    items = posts(6)
    labels = taken(said(ann=[a, a, c, c, d, d], bob=[a, c, c, c, d, a]), items, study)
    table = measure(labels, items, study).category_kappa
    assert table.schema == CATEGORY_KAPPA
    expected = cohens_kappa(np.array([[1, 1], [1, 3]]))
    row = one(table, dimension="bug_type", checkpoint=100, category=a)
    assert (row["units"], row["undefined_reason"]) == (6, None)
    assert row["kappa"] == pytest.approx(expected.kappa)
    assert (row["kappa_low"], row["kappa_high"]) == pytest.approx((expected.kappa_low, expected.kappa_upp))
    checkpoints = measure(labels, items, study).kappa_checkpoints
    kappa_of = dict(table.filter(dimension="bug_type", source="all").select("category", "kappa").iter_rows())
    assert kappa_of == {a: pytest.approx(0.25), c: pytest.approx(2 / 3), d: pytest.approx(4 / 7)}
    worst = one(checkpoints, dimension="bug_type", checkpoint=100)["disagree_most"]
    assert worst == f"{a} (0.250), {d} (0.571), {c} (0.667)"
    assert one(checkpoints, dimension="effect", checkpoint=100)["disagree_most"] is None
    effects = table.filter(pl.col("dimension") == "effect", pl.col("source") == "all")
    assert effects.select("category", "kappa", "undefined_reason").rows() == [
        ("Crash", None, "only one category was used by ann and bob")
    ]


def test_without_rater_labels_the_tables_are_empty(posts, study, taken):
    items = posts(3)
    labels = taken([], items, study)
    measured = measure(labels, items, study)
    assert measured.kappa_checkpoints.rows() == []
    assert measured.category_kappa.schema == CATEGORY_KAPPA


several = st.lists(
    st.lists(st.tuples(*[st.sampled_from(BUG_TYPES)] * 2), min_size=1, max_size=3), min_size=1, max_size=8
)


@pytest.mark.slow
@settings(max_examples=15)
@given(several, st.randoms(use_true_random=False))
def test_the_table_depends_on_no_order_and_holds_no_nan(  # noqa: PLR0917 (fixtures)
    hand_in, posts, study, taken, bugs, random
):
    items = posts(len(bugs))
    rows = [
        hand_in(f"SO-{n}", rater, bug_index=index, bug_type=kind)
        for n, of_item in enumerate(bugs)
        for index, pair in enumerate(of_item, start=1)
        for rater, kind in zip(("ann", "bob"), pair, strict=True)
    ]
    table = measure(taken(rows, items, study), items, study).kappa_checkpoints
    random.shuffle(rows)
    assert measure(taken(rows, items, study), items.reverse(), study).kappa_checkpoints.equals(table)
    numbers = table.select(pl.col(pl.Float64))
    assert not numbers.select(pl.all().is_nan().any()).to_numpy().any()
    assert table.filter(pl.col("kappa").is_null() != pl.col("undefined_reason").is_not_null()).is_empty()
    assert table.filter(pl.col("kappa_boot_low") > pl.col("kappa_boot_high")).is_empty()


def test_the_bootstrap_draws_items_not_bugs(hand_in, posts, study, taken):
    """Ten items of the same five bugs vary less than fifty independent bugs would, and their kappa not at all."""
    items = posts(10)
    pairs = [("API Bug", "API Bug"), ("API Bug", "Data Bug"), ("Data Bug", "Data Bug")]
    rows = [
        hand_in(f"SO-{n}", rater, bug_index=index, bug_type=kind)
        for n in range(10)
        for index, pair in enumerate(pairs, start=1)
        for rater, kind in zip(("ann", "bob"), pair, strict=True)
    ]
    row = one(measure(taken(rows, items, study), items, study).kappa_checkpoints, dimension="bug_type", checkpoint=100)
    assert row["kappa_boot_low"] == pytest.approx(row["kappa"])
    assert row["kappa_boot_high"] == pytest.approx(row["kappa"])
    assert row["kappa_low"] < row["kappa"] - 0.1
