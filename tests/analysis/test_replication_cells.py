"""Printed numbers of a study with its own dimensions, groups and sources, beside what it counts."""

import polars as pl
import pytest

from dlbug_assets.analysis.replication_cells import replication_cells
from dlbug_assets.warehouse.rows import table_schema

#: Bugs as (library, source, year, fault, harm); the last one has no harm.
BUGS = [
    ("Ebb", "Ships", 2020, "Moon", "Wet"),
    ("Ebb", "Ships", 2020, "Moon", "Dry"),
    ("Ebb", "Ships", 2021, "Sun", "Wet"),
    ("Ebb", "Ports", 2021, "Sun", "Dry"),
    ("Flow", "Ships", 2021, "Moon", "Wet"),
    ("Flow", "Ports", 2020, "Sun", None),
]
FAULTS, HARMS = ("Moon", "Sun", "Star"), ("Wet", "Dry")
_PLACE = {"library": "All", "source": "both", "decimals": 0, "halves": "away", "denominator": "labelled",
          "reading": "printed", "reference": "table1"}  # fmt: skip


def _matching(library, source):
    return [bug for bug in BUGS if library in (bug[0], "All") and source in (bug[1], "both")]


def _frame(rows, table, *, without=()):
    return pl.DataFrame(rows, schema=table_schema(table, without=without))


def _tables():
    places = [(library, source) for source in ("Ships", "Ports", "both") for library in ("Ebb", "Flow", "All")]
    sizes, counts, crosstab, yearly = [], [], [], []
    for library, source in places:
        key, bugs = {"library": library, "source": source}, _matching(library, source)
        sizes.append({**key, "items": 10 * len(bugs), "items_with_bugs": len(bugs), "bugs": len(bugs)})
        for place, dimension, categories in ((3, "fault", FAULTS), (4, "harm", HARMS)):
            labels = [bug[place] for bug in bugs if bug[place]]
            counts += [{**key, "dimension": dimension, "category": category, "bugs": labels.count(category),
                        "total": len(labels)} for category in categories]  # fmt: skip
            for year in (2020, 2021):
                of_year = [bug[place] for bug in bugs if bug[2] == year and bug[place]]
                yearly += [{**key, "year": year, "dimension": dimension, "category": category,
                            "bugs": of_year.count(category), "total": len(of_year)}
                           for category in categories if of_year]  # fmt: skip
        for harm in HARMS:  # only pairs that occur
            faults = [bug[3] for bug in bugs if bug[4] == harm]
            crosstab += [{**key, "dimension_a": "harm", "category_a": harm, "dimension_b": "fault",
                          "category_b": fault, "bugs": faults.count(fault), "total": len(faults)}
                         for fault in dict.fromkeys(faults)]  # fmt: skip
    correlation = [{"dimension": "fault", "source": "both", "library_a": "Ebb", "library_b": "Flow", "pearson": 0.347}]
    return {
        "sizes": _frame(sizes, "analysis.dataset_sizes"),
        "counts": _frame(counts, "analysis.label_counts"),
        "crosstab": _frame(crosstab, "analysis.crosstab"),
        "yearly": _frame(yearly, "analysis.yearly_counts"),
        "correlation": _frame(correlation, "analysis.library_correlation"),
    }


def _cells(*rows, comparison=None):
    numbered = [{"position": position, **_PLACE, **row} for position, row in enumerate(rows, start=1)]
    published = _frame(numbered, "reference.published_cells")
    return replication_cells(published, **_tables(), comparison=comparison)


def _shown(*rows, **options):
    return _cells(*rows, **options).select("computed", "same_when_rounded", "bugs", "total").rows()


def _percent(value, **place):
    return {"unit": "percent", "dimension": "fault", "category": "Moon", "value": value, **place}


def test_percents_are_of_the_bugs_that_are_labelled():
    rows = _shown(
        _percent(50.0),
        _percent(67.0, library="Ebb", source="Ships"),
        _percent(66.0, library="Ebb", source="Ships"),
        _percent(60.0, dimension="harm", category="Wet"),
        _percent(0.0, category="Star"),
    )

    assert rows == [
        (50.0, True, 3, 6), (pytest.approx(66.666666), True, 2, 3), (pytest.approx(66.666666), False, 2, 3),
        (60.0, True, 3, 5), (0.0, True, 0, 6),
    ]  # fmt: skip


def test_percents_may_be_of_all_bugs():
    assert _shown(_percent(50.0, dimension="harm", category="Wet", denominator="all")) == [(50.0, True, 3, 6)]


def test_percents_inside_another_category_are_of_its_bugs_or_of_all():
    wet = {"within_dimension": "harm", "within_category": "Wet"}
    rows = _shown(
        _percent(67.0, **wet),
        _percent(33.0, denominator="all", **wet),
        _percent(0.0, category="Star", **wet),  # no such pair
        _percent(0.0, library="Flow", source="Ports", **wet),  # no wet bug at all
        _percent(0.0, library="Flow", source="Ports", denominator="all", **wet),
        _percent(5.0, within_dimension="harm", within_category="Burnt"),
        _percent(5.0, category="Comet", **wet),
        _percent(5.0, library="Spring", **wet),
    )

    assert rows == [
        (pytest.approx(66.666666), True, 2, 3), (pytest.approx(33.333333), True, 2, 6), (0.0, True, 0, 3),
        (None, None, 0, 0), (0.0, True, 0, 1), (None, None, None, None), (None, None, None, None),
        (None, None, None, None),
    ]  # fmt: skip


def test_percents_of_a_year_are_of_its_bugs():
    assert _shown(_percent(67.0, year=2020), _percent(33.0, year=2021), _percent(1.0, year=2022)) == [
        (pytest.approx(66.666666), True, 2, 3), (pytest.approx(33.333333), True, 1, 3), (None, None, None, None)
    ]  # fmt: skip


def test_numbers_of_bugs_and_items_are_compared():
    moons = {"unit": "bugs", "dimension": "fault", "category": "Moon"}
    rows = _shown(
        {**moons, "value": 3.0},
        {**moons, "value": 2.0, "library": "Ebb"},
        {**moons, "value": 2.0, "within_dimension": "harm", "within_category": "Wet"},
        {"unit": "bugs", "value": 5.0, "library": "Ebb"},
        {"unit": "items", "value": 20.0, "library": "Flow"},
    )

    assert rows == [
        (3.0, True, 3, 6), (2.0, True, 2, 4), (2.0, True, 2, 3), (4.0, False, 4, 4), (20.0, True, None, None)
    ]  # fmt: skip


def test_bugs_printed_beside_a_percent_must_agree_too():
    rows = _cells(_percent(50.0, bugs=3), _percent(50.0, bugs=4))

    assert rows.select("published_bugs", "bugs", "same_when_rounded").rows() == [(3, 3, True), (4, 3, False)]


@pytest.mark.parametrize(
    ("halves", "printed", "same"),
    [("away", 38.0, True), ("away", 37.0, False), ("even", 38.0, True), ("even", 37.0, False),
     ("away", 63.0, True), ("away", 62.0, False), ("even", 63.0, False), ("even", 62.0, True)],
)  # fmt: skip
def test_halves_are_rounded_as_the_study_states(halves, printed, same):
    # 3 of 8 are 37.5 percent, 5 of 8 are 62.5.
    counts = pl.DataFrame(
        [{"library": "All", "source": "both", "dimension": "fault", "category": category, "bugs": bugs, "total": 8}
         for category, bugs in (("Moon", 3), ("Sun", 5))],
        schema=table_schema("analysis.label_counts"),
    )  # fmt: skip
    category = "Moon" if printed < 50 else "Sun"
    row = {"position": 1, **_PLACE, **_percent(printed, category=category, halves=halves)}
    cells = replication_cells(_frame([row], "reference.published_cells"), **{**_tables(), "counts": counts})

    assert cells["same_when_rounded"].to_list() == [same]


def test_numbers_are_rounded_to_the_printed_decimals():
    ebb = {"library": "Ebb", "source": "Ships"}
    assert [row[1] for row in _shown(
        _percent(66.7, decimals=1, **ebb), _percent(66.6, decimals=1, **ebb), _percent(66.67, decimals=2, **ebb),
        _percent(67.0, decimals=2, **ebb),
    )] == [True, False, True, False]  # fmt: skip


def test_numbers_measured_from_a_drawing_are_not_judged():
    rows = _cells(_percent(48.5, decimals=1, reading="approximate"))

    assert rows.select("computed", "difference", "same_when_rounded").rows() == [(50.0, 1.5, None)]


def test_correlations_are_of_two_libraries_in_either_order():
    pair = {"unit": "correlation", "dimension": "fault", "decimals": 2}
    rows = _shown(
        {**pair, "library": "Ebb", "library_b": "Flow", "value": 0.34},
        {**pair, "library": "Flow", "library_b": "Ebb", "value": 0.35},
        {**pair, "library": "Flow", "library_b": "Spring", "value": 0.35},
    )

    assert rows == [(0.347, False, None, None), (0.347, True, None, None), (None, None, None, None)]


def _comparison():
    columns = {"dimension": ["fault"], "category": ["Moon"], "p_paper": [0.12344], "p_paper_rounded": [0.5]}
    return pl.DataFrame(columns)


_P = {"unit": "p", "dimension": "fault", "category": "Moon", "value": 0.1234, "decimals": 4}


def test_p_values_are_of_shares_as_they_are_printed():
    libraries = [_percent(67.0, library="Ebb"), _percent(33.0, library="Flow")]
    exact = [row | {"decimals": 1} for row in libraries]

    assert _shown(_P, *exact, comparison=_comparison())[0] == (0.12344, True, None, None)
    assert _shown(_P, *libraries, comparison=_comparison())[0] == (0.5, False, None, None)
    assert _shown(_P, comparison=_comparison())[0] == (0.12344, True, None, None)


def test_p_values_of_other_libraries_are_not_comparable():
    of_ebb_alone = [_P, _percent(67.0, library="Ebb")]
    of_others = [_P, *(_percent(1.0, library=library) for library in ("Ebb", "Flow", "Spring"))]

    assert _shown(*of_ebb_alone, comparison=_comparison())[0] == (None, None, None, None)
    assert _shown(*of_others, comparison=_comparison())[0] == (None, None, None, None)


def test_a_study_of_one_source_has_no_p_values():
    assert _shown(_P) == [(None, None, None, None)]


def test_a_study_without_printed_numbers_has_no_rows():
    rows = _cells()

    assert (rows.height, rows.schema) == (0, table_schema("analysis.replication_cells"))
