"""Each kind of claim on shares written by hand: when it holds, ties, and shares that are not defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.protocol.claims import ShareClaim

NAN = float("nan")


def _share(**bounds):
    return ShareClaim(finding=1, text="x", kind="share", dimension="effect", category="Crash", **bounds)


def _held(held):
    return held.strictly.tolist(), held.with_ties.tolist()


@pytest.mark.parametrize(
    ("bounds", "strictly", "with_ties"),
    [
        ({"above": 50.0}, [False, False, True, False], [False, True, True, False]),
        ({"at_least": 50.0}, [False, True, True, False], [False, True, True, False]),
        ({"below": 50.0}, [True, False, False, False], [True, True, False, False]),
        ({"between": (49.0, 50.0)}, [False, True, False, False], [False, True, False, False]),
        ({"close_to": 46.0}, [False, True, False, False], [False, True, False, False]),
    ],
)
def test_a_share_is_within_its_bounds(bounds, strictly, with_ties):
    assert _held(kinds.share(np.array([40, 50, 60, NAN]), _share(**bounds))) == (strictly, with_ties)


def test_a_claim_over_groups_holds_in_each_or_in_more_than_half_of_them():
    held = Held(*[np.array([[True, True], [True, False], [False, False]])] * 2)
    three = Held(*[np.array([[True, True, False]])] * 2)

    assert held.over("each").strictly.tolist() == [True, False, False]
    assert held.over("most").strictly.tolist() == [True, False, False]
    assert three.over("most").strictly.tolist() == [True]


def test_a_leader_exceeds_every_rival_and_ties_with_none():
    own = np.array([[30], [30], [30], [NAN], [30]])
    rivals = np.array([[[20, 29]], [[30, 20]], [[31, 0]], [[1, 1]], [[NAN, 1]]])

    assert _held(kinds.more(own, rivals).over("pooled")) == (
        [True, False, False, False, False],
        [True, True, False, False, False],
    )


def test_equal_shares_have_the_same_rank():
    own = np.array([[20.0]] * 4)
    rivals = np.array([[[30, 10]], [[30, 20]], [[30, 25]], [[NAN, 1]]])

    assert _held(kinds.rank(own, rivals, at_most=2).over("pooled")) == ([True, True, False, False],) * 2
    assert _held(kinds.rank(own, rivals, exactly=2).over("pooled")) == (
        [True, False, False, False],
        [True, True, False, False],
    )


def test_distributions_are_alike_if_no_category_differs_by_the_margin():
    pairs = np.array([[[10, 90], [19, 81]], [[10, 90], [20, 80]], [[10, 90], [30, 70]]])

    assert kinds.alike(pairs, 10).strictly.tolist() == [True, False, False]
    assert kinds.differ(pairs, 10).strictly.tolist() == [False, True, True]


def test_of_three_distributions_every_two_have_to_be_alike():
    three = np.array([[[10, 90], [16, 84], [22, 78]]])

    assert kinds.alike(three, 10).strictly.tolist() == [False]


def test_distributions_are_closer_to_each_other_than_to_the_others():
    own = np.array([[[50, 50, 0], [50, 40, 10]], [[50, 50, 0], [0, 0, 100]]])
    other = np.array([[[0, 0, 100]], [[0, 0, 100]]])

    assert kinds.closer(own, other).strictly.tolist() == [True, False]


def test_correlations_are_strong_among_some_and_weak_with_the_rest():
    shares = np.array([[[50, 30, 20], [60, 30, 10]]])
    rest = np.array([[[10, 30, 60]]])

    assert kinds.correlated(shares, rest, at_least=0.6, below=0.2).strictly.tolist() == [True]
    assert kinds.correlated(shares, shares[:, :1], at_least=0.6, below=0.2).strictly.tolist() == [False]
    assert kinds.correlated(shares, rest[:, :0], at_least=0.6, below=None).strictly.tolist() == [True]
    assert kinds.correlated(
        np.array([[[50, 30, 20], [40, 40, 40]]]), rest, at_least=-1, below=None
    ).strictly.tolist() == [False]


YEARS = np.array([2015, 2016, 2018], dtype=float)


@pytest.mark.parametrize(
    ("bugs", "rising", "falling", "steady"),
    [
        ([1, 2, 4], True, False, False),
        ([4, 2, 1], False, True, False),
        ([4, 4, 4], False, False, True),
        ([0, 0, 0], False, False, True),
    ],
)
def test_a_trend_is_the_slope_of_the_share(bugs, rising, falling, steady):
    totals = np.array([[[10, 10, 10]]])
    held = [
        bool(kinds.trend(np.array([[bugs]]), totals, YEARS, direction).over("each").strictly[0])
        for direction in ("rising", "falling", "steady")
    ]

    assert held == [rising, falling, steady]


def test_years_without_bugs_do_not_count():
    bugs, totals = np.array([[[1, 0, 4]]]), np.array([[[10, 0, 10]]])

    assert kinds.trend(bugs, totals, YEARS, "rising").strictly.tolist() == [[True]]
    assert kinds.trend(bugs * 0, totals * 0, YEARS, "rising").strictly.tolist() == [[False]]


@given(
    st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=3, max_size=3),
    st.permutations(range(3)),
    st.permutations(range(1, 4)),
)
def test_the_order_of_libraries_and_rivals_does_not_matter(bugs, libraries, rivals):
    shares = 100 * np.array(bugs, dtype=float)[None] / 37
    moved = shares[:, libraries][:, :, [0, *rivals]]

    for judge in (
        lambda one: kinds.more(one[:, :, 0], one[:, :, 1:]).over("each"),
        lambda one: kinds.more(one[:, :, 0], one[:, :, 1:]).over("most"),
        lambda one: kinds.rank(one[:, :, 0], one[:, :, 1:], at_most=2).over("each"),
        lambda one: kinds.rank(one[:, :, 0], one[:, :, 1:], exactly=2).over("most"),
        lambda one: kinds.share(one[:, :, 0], _share(above=20.0)).over("each"),
        lambda one: kinds.alike(one, 10),
        lambda one: kinds.differ(one, 10),
        lambda one: kinds.correlated(one, one[:, :0], at_least=0.5, below=None),
    ):
        assert _held(judge(shares)) == _held(judge(moved))
