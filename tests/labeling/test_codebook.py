"""The codebook defines each category that raters of islam2019's dimensions choose from, in a few words."""

import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy

STUDY = load_study("islam2019")
CATEGORIES = [category for name in STUDY.asked_names for category in load_taxonomy(STUDY).of(name)]


def test_definitions_and_examples_are_unique():
    assert len({category.definition for category in CATEGORIES}) == len(CATEGORIES)
    assert len({category.example for category in CATEGORIES}) == len(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_texts_are_short_and_safe_to_open_in_a_spreadsheet(category):
    assert 20 <= len(category.definition) <= 300
    assert 10 <= len(category.example) <= 200
    for cell in (category.name, category.definition, category.example):
        assert not cell.startswith(("=", "+", "-", "@", "\t"))
