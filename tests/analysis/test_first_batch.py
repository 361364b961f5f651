"""Printed numbers beside those of the bugs that a further sheet of the release has labels of."""

import polars as pl
import pytest

from dlbug_assets.analysis.first_batch import first_batch
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO

_CELLS = table_schema("analysis.replication_cells")
_DEFAULTS = {"reference": "figure", "dimension": "effect", "library": "Keras", "source": SO, "unit": "percent",
             "reading": "printed", "decimals": 0, "denominator": "labelled", "halves": "away"}  # fmt: skip


def cells(*numbers: dict[str, object]) -> pl.DataFrame:
    rows = [_DEFAULTS | {"position": place} | number for place, number in enumerate(numbers, start=1)]
    return pl.DataFrame(rows, schema=_CELLS)


def compared(numbers: pl.DataFrame, batch: list[str] | None = None) -> pl.DataFrame:
    """Return the numbers beside those of a batch (bugs 1 to 4): three bugs of Keras, one of Torch, all of posts.

    Bug 5 of Keras is not in the batch, bug 6 is a commit's.
    """
    places = [(SO, "Keras")] * 3 + [(SO, "Torch"), (SO, "Keras"), (GH, "Keras")]
    effects = ["Crash", "Crash", "Hang", "Hang", "Crash", "Crash"]
    causes = ["Misuse", "Change", "Misuse", None, "Misuse", "Misuse"]
    labels = pl.DataFrame(
        [{"bug_id": str(n), "source": source, "library": library} for n, (source, library) in enumerate(places, 1)]
    )
    long = [(str(n), "effect", effect) for n, effect in enumerate(effects, 1)]
    long += [(str(n), "cause", cause) for n, cause in enumerate(causes, 1) if cause]
    bug_labels = pl.DataFrame(long, schema=["bug_id", "dimension", "category"], orient="row")
    aligned = ["1", "2", "3", "4", None, "1"] if batch is None else batch
    leftovers = pl.DataFrame({"bug_id": aligned}, schema={"bug_id": pl.String})
    return first_batch(numbers, labels, bug_labels, leftovers)


def test_shares_of_the_batch_stand_beside_those_of_all_bugs():
    released = {"computed": 75.0, "bugs": 3, "total": 4}
    found = compared(cells({"category": "Crash", "published": 67.0, **released}))
    assert found.row(0, named=True) == {
        "reference": "figure", "dimension": "effect", "category": "Crash", "library": "Keras", "source": SO,
        "within_dimension": None, "within_category": None, "unit": "percent", "reading": "printed", "published": 67.0,
        "released": 75.0, "released_fits": False, "computed": pytest.approx(200 / 3),
        "difference": pytest.approx(-1 / 3), "fits": True, "bugs": 2, "total": 3, "position": 1,
    }  # fmt: skip


def test_shares_within_another_category_and_of_all_libraries_are_counted():
    found = compared(
        cells(
            {"category": "Crash", "published": 50, "within_dimension": "cause", "within_category": "Misuse"},
            {"category": "Hang", "published": 50, "library": "All"},
            {"category": "Misuse", "dimension": "cause", "published": 50, "library": "All", "denominator": "all"},
            {"category": "Hang", "published": 2, "library": "All", "unit": "bugs"},
            {"category": "Bad", "published": 0},
        )
    )
    assert found.select("bugs", "total", "computed", "fits").rows() == [
        (1, 2, 50, True), (2, 4, 50, True), (2, 4, 50, True), (2, 4, 2, True), (0, 3, 0, True)
    ]  # fmt: skip
    assert found["released_fits"].to_list() == [None] * 5


def test_a_number_that_was_measured_fits_within_one_unit_of_its_last_decimal():
    read = {"category": "Crash", "reading": "approximate", "decimals": 1}
    found = compared(cells({**read, "published": 66.6}, {**read, "published": 66.5}))
    assert found["fits"].to_list() == [True, False]


def test_what_the_batch_does_not_cover_is_left_out():
    numbers = cells(
        {"category": "Crash", "published": 50, "source": GH},
        {"category": "Crash", "published": 50, "source": "both"},
        {"category": "Crash", "published": 50, "library": "Caffe"},
        {"category": "Crash", "published": 50, "year": 2017},
        {"category": "Crash", "published": 0.05, "unit": "p"},
        {"category": None, "published": 4, "unit": "bugs"},
    )
    assert compared(numbers).is_empty()
    assert compared(cells({"category": "Crash", "published": 50, "library": "All"}), ["1"]).is_empty()


def test_numbers_of_a_dimension_without_labels_are_not_computed():
    found = compared(cells({"category": "Training", "dimension": "stage", "published": 50}))
    assert found.select("computed", "difference", "fits", "bugs", "total").row(0) == (None, None, None, 0, 0)


@pytest.mark.parametrize("batch", [[], [None]])
def test_without_a_batch_the_table_is_empty(batch):
    assert compared(cells({"category": "Crash", "published": 50}), batch).is_empty()
    assert compared(cells(), batch).schema == table_schema("analysis.first_batch")
