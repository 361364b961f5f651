"""The figures, each from the rows of its query on small tables."""

import re
from xml.etree import ElementTree as ET

import pytest
import sqlglot
from sqlglot import exp

from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.publishing.figures import FIGURES, files, render_figure
from dlbug_assets.publishing.report_queries import QUERIES, REPORT_TABLES
from dlbug_assets.warehouse.table_specs import load_specs

SO = "Stack Overflow"
BY_NAME = {figure.name: figure for figure in FIGURES}
TEXT = "{http://www.w3.org/2000/svg}text"


def texts(rendered):
    """Return the lines of text in a figure."""
    tree = ET.fromstring(rendered.svg)  # noqa: S314 (our own)
    return [line for text in tree.iter(TEXT) for line in text.itertext()]


def render(study, name, notice=None):
    figure = BY_NAME[name]
    return render_figure(figure, study.query(figure.query), notice)


@pytest.fixture
def study(small_study):
    return small_study("islam2019")


def test_a_figure_without_data_is_not_rendered_and_has_a_reason(study):
    for dimension in ("bug_type", "root_cause", "effect", "stage", "antipattern"):
        study.count(dimension, SO, "Caffe", {})
    rendered = [render(study, name) for name in BY_NAME]
    assert [each.svg for each in rendered] == [None] * len(FIGURES)
    assert all(each.reason and files(each) == {} for each in rendered)
    assert render(study, "figure5").reason == "no Stack Overflow bug of this study has a label in stage"


def test_a_distribution_has_shares_counts_totals_and_printed_shares(study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", SO, "All", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", "GitHub", "Caffe", {"Coding Bug": 7})
    study.put("reference.fig1_bug_type_so", {"library": "Caffe", "category": "Data Bug", "percent": 60.0})
    rendered = render(study, "figure1")
    written = texts(rendered)
    assert {"Caffe  (4)", "All  (4)", "API Bug", "Data Bug", "3", "1"} <= set(written)
    assert "Coding Bug" not in written
    assert rendered.alternative == (
        "Bug types on Stack Overflow. Caffe: Data Bug leads with 75%, 3 of 4; All: Data Bug leads with 75%, 3 of 4."
    )
    assert study.query(BY_NAME["figure1"].query)["published"].drop_nulls().to_list() == [0.6]


def test_a_category_has_the_same_colour_whichever_others_are_used(study, small_study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    other = small_study("islam2019")
    other.count("bug_type", SO, "Caffe", {"Data Bug": 1})
    other.put("analysis.yearly_evolution", *(
        {"source": SO, "library": "Caffe", "year": 2015, "dimension": "bug_type", "category": category,
         "bugs": int(category == "Data Bug"), "total": 1, "share": float(category == "Data Bug")}
        for category in load_taxonomy().names("bug_type")
    ))  # fmt: skip

    def colours(rendered):
        return set(re.findall(r'fill="(#[0-9A-F]{6})"', rendered.svg))

    assert colours(render(other, "figure1")) == colours(render(other, "figure9")) == {"#99DDFF"}
    assert colours(render(study, "figure1")) == {"#99DDFF", "#332288"}


def test_a_relation_has_the_number_of_bugs_in_each_cell(study):
    base = {"source": SO, "bug_type": "Data Bug", "total": 5}
    study.put(
        "analysis.root_cause_by_bug_type",
        base | {"root_cause": "API Misuse", "bugs": 4, "share": 0.8},
        base | {"root_cause": "Others", "bugs": 1, "share": 0.2},
        base | {"root_cause": "API Change", "bugs": 0, "share": 0.0},
        {"source": SO, "bug_type": "API Bug", "total": 0, "root_cause": "Others", "bugs": 0},
    )
    rendered = render(study, "figure3")
    assert {"Data Bug  (5)", "API Misuse", "Others", "4", "1"} <= set(texts(rendered))
    assert not {"API Change", "API Bug  (0)", "0"} & set(texts(rendered))
    assert rendered.alternative.endswith("Data Bug: mostly API Misuse, 4 of 5.")


def test_correlations_are_shown_with_the_printed_ones(study):
    study.put("analysis.library_correlation", {"source": SO, "dimension": "bug_type", "library_a": "Caffe",
                                               "library_b": "Keras", "pearson": 0.4567})  # fmt: skip
    study.put("reference.fig6_correlation", {"library_a": "Keras", "library_b": "Caffe", "correlation": 0.8})
    rendered = render(study, "figure6")
    assert [text for text in texts(rendered) if re.match(r"[(0]", text)].count("0.46") == 2
    assert texts(rendered).count("(0.80)") == 2
    assert rendered.alternative.endswith("Caffe and Keras 0.46.")


def test_the_funnel_ends_with_the_number_of_bugs(study):
    study.put("stackoverflow.funnel", {"library": "Keras", "collected": 9, "in_scope": 8, "with_code": 5,
                                       "candidates": 4})  # fmt: skip
    study.put("analysis.dataset_summary", {"library": "Keras", "post_bugs": 2})
    rendered = render(study, "funnel")
    assert rendered.alternative.endswith("Keras: 9 collected, 8 in scope, 5 with code, 4 read by raters, 2 bugs.")
    study.connection.execute("update reference.study set posts_are_a_corpus = false")
    assert render(study, "funnel").reason == (
        "the source contains only posts with labelled bugs, so there was no selection"
    )


def test_printed_numbers_that_differ_are_marked(study):
    base = {"reference": "table2", "dimension": "bug_type", "library": "Caffe", "source": SO, "published": 10.0,
            "unit": "percent", "reading": "printed"}  # fmt: skip
    study.put(
        "analysis.replication_diff",
        base | {"category": "A", "computed": 10.2, "same_when_rounded": True},
        base | {"category": "B", "computed": 30.0, "same_when_rounded": False},
        base | {"category": "C"},
        base | {"reference": "fig1", "category": "A", "computed": 10.1, "reading": "approximate"},
        base | {"reference": "table2_p", "category": "A", "computed": 0.5, "same_when_rounded": False, "unit": "p"},
    )
    assert render(study, "published").alternative.endswith("Table 2: 1 of 2 as printed.")


def test_the_notice_of_a_synthetic_study_is_in_the_figure(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    assert "MADE UP" in texts(render(study, "figure4", "MADE UP"))


def test_names_from_raters_are_escaped(study):
    evil = "<script>x</script> & 'y' \"z\""
    study.put("reference.taxonomy", {"dimension": "bug_type", "name": evil, "position": 99})
    study.count("bug_type", SO, "Keras", {evil: 3})
    rendered = render(study, "figure1")
    assert evil in texts(rendered)
    assert rendered.svg is not None
    assert "<script" not in rendered.svg


def test_a_figure_has_svg_png_and_pdf_files(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    contents = files(render(study, "figure4"))
    assert {name: content[:4] for name, content in contents.items()} == {
        "figure4.svg": b"<svg", "figure4.png": b"\x89PNG", "figure4.pdf": b"%PDF",
    }  # fmt: skip


def test_the_report_depends_on_all_tables_that_its_queries_read():
    reads = set()
    for query in QUERIES.values():
        parsed = sqlglot.parse_one(query, dialect="duckdb")
        reads |= {f"{table.db}.{table.name}" for table in parsed.find_all(exp.Table) if table.db}
    assert set(REPORT_TABLES) == reads
    assert reads <= set(load_specs())


def test_names_of_figures_are_unique_among_queries():
    assert len(BY_NAME) == len(FIGURES)
    assert all(QUERIES[name] == figure.query for name, figure in BY_NAME.items())


def test_queries_that_join_or_group_order_their_rows():
    assert all("order by" in query for query in QUERIES.values() if " join " in query or "group by" in query)
