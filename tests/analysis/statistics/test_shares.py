import pytest

from dlbug_assets.analysis.statistics.shares import Share, leads, rank, whole_percent


@pytest.mark.parametrize(
    ("bugs", "total", "percent"), [(1, 200, 1), (29, 200, 15), (1, 201, 0), (3, 3, 100), (0, 7, 0)]
)
def test_halves_round_away_from_zero(bugs, total, percent):
    assert whole_percent(bugs, total) == percent


def test_a_tie_is_not_a_lead():
    shares = {"A": Share(1, 3), "B": Share(2, 6), "C": Share(1, 10)}

    assert leads(shares, "A") == (False, "A (1 of 3) ties with B (2 of 6)")
    assert (rank(shares, "A"), rank(shares, "B"), rank(shares, "C")) == (1, 1, 3)
