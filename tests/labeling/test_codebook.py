"""The codebook defines each category of the taxonomy once, in a few words."""

import csv

import pytest

from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.taxonomy import DIMENSIONS, load_taxonomy

with (SEEDS / "codebook.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))


def test_each_category_has_one_row_in_taxonomy_order():
    taxonomy = load_taxonomy()
    expected = [(dimension, name) for dimension in DIMENSIONS for name in taxonomy.names(dimension)]
    assert [(row["dimension"], row["category"]) for row in ROWS] == expected


def test_definitions_and_examples_are_unique():
    for column in ("definition", "example"):
        assert len({row[column] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["category"])
def test_texts_are_short_and_safe_to_open_in_a_spreadsheet(row):
    assert 20 <= len(row["definition"]) <= 300
    assert 10 <= len(row["example"]) <= 200
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row.values())
