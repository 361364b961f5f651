"""The codebook tells raters what each category means: all of them, each once, in few words."""

import csv

import pytest

from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.taxonomy import DIMENSIONS, load_taxonomy

with (SEEDS / "codebook.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))


def test_every_category_is_explained_once_and_in_the_order_of_the_taxonomy():
    taxonomy = load_taxonomy()
    expected = [(dimension, name) for dimension in DIMENSIONS for name in taxonomy.names(dimension)]
    assert [(row["dimension"], row["category"]) for row in ROWS] == expected


def test_no_two_are_explained_alike():
    for column in ("definition", "example"):
        assert len({row[column] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["category"])
def test_it_is_short_and_no_spreadsheet_would_run_it(row):
    assert 20 <= len(row["definition"]) <= 300
    assert 10 <= len(row["example"]) <= 200
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row.values())
