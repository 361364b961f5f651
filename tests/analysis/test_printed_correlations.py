"""Which dimension's correlations printed ones are near to, whatever they are said to be of."""

import polars as pl
import pytest

from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO

CELLS = table_schema("reference.published_cells")
CORRELATIONS = table_schema(
    "analysis.library_correlation", only=("source", "dimension", "library_a", "library_b", "pearson")
)


@pytest.fixture
def compared(study):
    """Return a function that compares printed correlations (library, library_b, value) with computed ones."""

    def make(printed, computed, source=SO):
        small = study("Caffe", "Keras", "Torch")
        cells = [
            {"reference": "fig6", "dimension": "bug_type", "source": SO, "unit": "correlation", "decimals": 2,
             "library": one, "library_b": other, "value": value}
            for one, other, value in printed
        ]  # fmt: skip
        small.put("reference.published_cells", pl.DataFrame(cells, schema=CELLS))
        rows = [(source, *row) for row in computed]
        small.put("analysis.library_correlation", pl.DataFrame(rows, schema=CORRELATIONS, orient="row"))
        return small.run("printed_correlations")

    return make


def test_another_dimension_may_fit_better_than_the_stated_one(compared):
    found = compared(
        [("Caffe", "Keras", 0.9), ("Torch", "Caffe", 0.5)],  # in either order of the libraries
        [
            ("effect", "Caffe", "Keras", 0.904), ("effect", "Caffe", "Torch", 0.52),
            ("bug_type", "Caffe", "Keras", 0.7), ("bug_type", "Caffe", "Torch", 0.5),
            ("bug_type", "Keras", "Torch", 0.1),
        ],
    )  # fmt: skip
    assert found.rows() == [
        ("fig6", SO, "bug_type", True, 2, 1, pytest.approx(0.1), pytest.approx(0.2), False),
        ("fig6", SO, "effect", False, 2, 1, pytest.approx(0.012), pytest.approx(0.02), True),
    ]


def test_a_dimension_of_which_a_correlation_is_undefined_fits_nothing(compared):
    found = compared(
        [("Caffe", "Keras", 0.9), ("Caffe", "Torch", 0.5)],
        [("effect", "Caffe", "Keras", 0.9), ("effect", "Caffe", "Torch", None)],
    )
    assert found.select("same_when_rounded", "mean_difference", "fits_best").rows() == [(1, None, False)]


def test_correlations_of_another_source_are_not_compared(compared):
    assert compared([("Caffe", "Keras", 0.9)], [("effect", "Caffe", "Keras", 0.9)], source=GH).is_empty()


def test_without_printed_correlations_the_table_is_empty(compared):
    assert compared([], [("effect", "Caffe", "Keras", 0.9)]).is_empty()
