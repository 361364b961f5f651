"""The figures, each from the rows of its query on small tables."""

import re
from xml.etree import ElementTree as ET

import pytest
import sqlglot
from sqlglot import exp

from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.publishing.figures import FIGURES, drawn, files
from dlbug_assets.publishing.report_queries import QUERIES, REPORT_TABLES
from dlbug_assets.warehouse.table_specs import load_specs

SO = "Stack Overflow"
BY_NAME = {figure.name: figure for figure in FIGURES}
TEXT = "{http://www.w3.org/2000/svg}text"


def texts(picture):
    """What is written in a picture, line by line."""
    tree = ET.fromstring(picture.svg)  # noqa: S314 (our own)
    return [line for text in tree.iter(TEXT) for line in text.itertext()]


def of(study, name, notice=None):
    figure = BY_NAME[name]
    return drawn(figure, study.ask(figure.query), notice)


@pytest.fixture
def study(small_study):
    return small_study("islam2019")


def test_without_data_a_figure_is_not_drawn_and_says_why(study):
    for dimension in ("bug_type", "root_cause", "effect", "stage", "antipattern"):
        study.count(dimension, SO, "Caffe", {})
    pictures = [of(study, name) for name in BY_NAME]
    assert [picture.svg for picture in pictures] == [None] * len(FIGURES)
    assert all(picture.reason and files(picture) == {} for picture in pictures)
    assert of(study, "figure5").reason == "no Stack Overflow bug of this study has a label in stage"


def test_a_distribution_shows_shares_counts_totals_and_what_is_printed(study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", SO, "All", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", "GitHub", "Caffe", {"Coding Bug": 7})
    study.put("reference.fig1_bug_type_so", {"library": "Caffe", "category": "Data Bug", "percent": 60.0})
    picture = of(study, "figure1")
    written = texts(picture)
    assert {"Caffe  (4)", "All  (4)", "API Bug", "Data Bug", "3", "1"} <= set(written)
    assert "Coding Bug" not in written
    assert picture.alternative == (
        "Bug types on Stack Overflow. Caffe: Data Bug leads with 75%, 3 of 4; All: Data Bug leads with 75%, 3 of 4."
    )
    assert study.ask(BY_NAME["figure1"].query)["published"].drop_nulls().to_list() == [0.6]


def test_a_category_has_the_same_colour_whichever_are_used(study, small_study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    other = small_study("islam2019")
    other.count("bug_type", SO, "Caffe", {"Data Bug": 1})
    other.put("analysis.yearly_evolution", *(
        {"source": SO, "library": "Caffe", "year": 2015, "dimension": "bug_type", "category": category,
         "bugs": int(category == "Data Bug"), "total": 1, "share": float(category == "Data Bug")}
        for category in load_taxonomy().names("bug_type")
    ))  # fmt: skip

    def colours(picture):
        return set(re.findall(r'fill="(#[0-9A-F]{6})"', picture.svg))

    assert colours(of(other, "figure1")) == colours(of(other, "figure9")) == {"#99DDFF"}
    assert colours(of(study, "figure1")) == {"#99DDFF", "#332288"}


def test_a_relation_shows_the_number_of_bugs_in_each_cell(study):
    base = {"source": SO, "bug_type": "Data Bug", "total": 5}
    study.put(
        "analysis.root_cause_by_bug_type",
        base | {"root_cause": "API Misuse", "bugs": 4, "share": 0.8},
        base | {"root_cause": "Others", "bugs": 1, "share": 0.2},
        base | {"root_cause": "API Change", "bugs": 0, "share": 0.0},
        {"source": SO, "bug_type": "API Bug", "total": 0, "root_cause": "Others", "bugs": 0},
    )
    picture = of(study, "figure3")
    assert {"Data Bug  (5)", "API Misuse", "Others", "4", "1"} <= set(texts(picture))
    assert not {"API Change", "API Bug  (0)", "0"} & set(texts(picture))
    assert picture.alternative.endswith("Data Bug: mostly API Misuse, 4 of 5.")


def test_a_correlation_stands_beside_the_printed_one(study):
    study.put("analysis.library_correlation", {"source": SO, "dimension": "bug_type", "library_a": "Caffe",
                                               "library_b": "Keras", "pearson": 0.4567})  # fmt: skip
    study.put("reference.fig6_correlation", {"library_a": "Keras", "library_b": "Caffe", "correlation": 0.8})
    picture = of(study, "figure6")
    assert [text for text in texts(picture) if re.match(r"[(0]", text)].count("0.46") == 2
    assert texts(picture).count("(0.80)") == 2
    assert picture.alternative.endswith("Caffe and Keras 0.46.")


def test_the_funnel_ends_with_the_bugs_found(study):
    study.put("stackoverflow.funnel", {"library": "Keras", "collected": 9, "in_scope": 8, "with_code": 5,
                                       "candidates": 4})  # fmt: skip
    study.put("analysis.dataset_summary", {"library": "Keras", "post_bugs": 2})
    picture = of(study, "funnel")
    assert picture.alternative.endswith("Keras: 9 collected, 8 in scope, 5 with code, 4 read by raters, 2 bugs.")
    study.connection.execute("update reference.study set posts_are_a_corpus = false")
    assert of(study, "funnel").reason.startswith("the source of posts has only those with labelled bugs")


def test_printed_numbers_that_differ_have_another_mark(study):
    base = {"reference": "table2", "dimension": "bug_type", "library": "Caffe", "source": SO, "published": 10.0}
    study.put(
        "analysis.replication_diff",
        base | {"category": "A", "computed": 10.2, "same_when_rounded": True},
        base | {"category": "B", "computed": 30.0, "same_when_rounded": False},
        base | {"category": "C"},
        base | {"reference": "table2_p", "category": "A", "computed": 0.5, "same_when_rounded": False},
    )
    assert of(study, "published").alternative.endswith("Table 2: 1 of 2 as printed.")


def test_every_picture_of_a_synthetic_study_says_so_in_the_picture(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    assert "MADE UP" in texts(of(study, "figure4", "MADE UP"))


def test_a_name_from_raters_cannot_become_markup(study):
    evil = "<script>x</script> & 'y' \"z\""
    study.put("reference.taxonomy", {"dimension": "bug_type", "name": evil, "position": 99})
    study.count("bug_type", SO, "Keras", {evil: 3})
    picture = of(study, "figure1")
    assert evil in texts(picture)
    assert "<script" not in picture.svg


def test_a_figure_comes_as_svg_png_and_pdf(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    made = files(of(study, "figure4"))
    assert {name: content[:4] for name, content in made.items()} == {
        "figure4.svg": b"<svg", "figure4.png": b"\x89PNG", "figure4.pdf": b"%PDF",
    }  # fmt: skip


def test_the_report_waits_for_all_tables_that_its_queries_read():
    reads = set()
    for query in QUERIES.values():
        parsed = sqlglot.parse_one(query, dialect="duckdb")
        reads |= {f"{table.db}.{table.name}" for table in parsed.find_all(exp.Table) if table.db}
    assert set(REPORT_TABLES) == reads
    assert reads <= set(load_specs())


def test_names_of_figures_are_those_of_files_and_of_no_other_query():
    assert len(BY_NAME) == len(FIGURES)
    assert all(QUERIES[name] == figure.query for name, figure in BY_NAME.items())


def test_a_query_that_joins_or_groups_says_in_which_order_its_rows_come():
    assert all("order by" in query for query in QUERIES.values() if " join " in query or "group by" in query)
