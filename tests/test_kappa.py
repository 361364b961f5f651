"""Cohen's kappa as a ratio of whole numbers."""

import pytest
from sklearn.metrics import cohen_kappa_score

from dlbug_assets.kappa import kappa_ratio


def test_kappa_is_the_agreement_beyond_chance_times_n_squared():
    # 35 of 50 agreed, by chance 25: (0.7 - 0.5) / (1 - 0.5) = 0.4.
    assert kappa_ratio(35, [25, 25], [30, 20]) == (500, 1250)


def test_kappa_equals_scikit_learns():
    first, second = "aaabbcabca", "aabbbcacca"
    agreed = sum(map(str.__eq__, first, second))
    numerator, denominator = kappa_ratio(agreed, [*map(first.count, "abc")], [*map(second.count, "abc")])
    assert numerator / denominator == pytest.approx(cohen_kappa_score(list(first), list(second)), abs=1e-15)


@pytest.mark.parametrize(("agreed", "counts"), [(7, [7]), (7, [7, 0]), (0, [0, 0]), (0, [])])
def test_kappa_is_undefined_for_a_single_category_and_without_items(agreed, counts):
    assert kappa_ratio(agreed, counts, counts) == (0, 0)


def test_raters_who_use_two_single_categories_have_kappa_zero():
    assert kappa_ratio(0, [7, 0], [0, 7]) == (0, 49)


def test_raters_with_different_categories_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        kappa_ratio(1, [1, 2], [3])
