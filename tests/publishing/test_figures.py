"""The figures, each from the rows of its query on small tables."""

import re
import shutil
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import sqlglot
from playwright.sync_api import sync_playwright
from sqlglot import exp

from dlbug_assets import chart_style
from dlbug_assets.labeling.agreement import chart as kappa
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing import charts
from dlbug_assets.publishing.figures import figure_files, figures
from dlbug_assets.publishing.report_queries import queries, report_tables
from dlbug_assets.warehouse.table_specs import load_specs

SO = "Stack Overflow"
CHROMIUM = shutil.which("chromium")
TEXT = "{http://www.w3.org/2000/svg}text"


def texts(rendered):
    """Return the lines of text in a figure."""
    tree = ET.fromstring(rendered.svg)  # noqa: S314 (our own)
    return [line for text in tree.iter(TEXT) for line in text.itertext()]


@pytest.fixture
def study(small_study):
    return small_study("islam2019")


def test_a_figure_without_data_is_not_rendered_and_has_a_reason(small_study):
    study = small_study("chaliasos2021")
    for dimension in study.study.dimension_names:
        study.count(dimension, "all", study.study.library_names[0], {})
    rendered = [study.figure(figure.name) for figure in figures(study.study)]
    assert [each.svg for each in rendered] == [None] * len(rendered)
    assert all(each.reason and figure_files(each) == {} for each in rendered)


def test_a_distribution_has_shares_counts_totals_and_printed_shares(study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", SO, "All", {"Data Bug": 3, "API Bug": 1})
    study.count("bug_type", "GitHub", "Caffe", {"Coding Bug": 7})
    rendered = study.figure("bug_type_distribution")
    written = texts(rendered)
    assert {"Caffe  (4)", "All  (4)", "API Bug", "Data Bug", "3", "1"} <= set(written)
    assert "Coding Bug" not in written
    assert rendered.alternative == (
        "Bug type, Stack Overflow. Caffe: Data Bug leads with 75%, 3 of 4; All: Data Bug leads with 75%, 3 of 4."
    )
    printed = study.query(queries(study.study)["bug_type_distribution"]).filter(library="Caffe", category="Data Bug")
    assert printed["published"].to_list() == [0.086]


def fills(rendered):
    return set(re.findall(r'fill="(#[0-9a-f]{6})"', rendered.svg)) - {chart_style.INK, chart_style.SOFT}


def test_bars_and_squares_have_one_colour_whatever_their_category(study):
    study.count("bug_type", SO, "Caffe", {"Data Bug": 3, "API Bug": 1})
    study.put("analysis.yearly_evolution", *(
        {"source": SO, "library": "Caffe", "year": 2015, "dimension": "bug_type", "category": category, "bugs": 1,
         "total": 2, "share": 0.5} for category in ("API Bug", "Data Bug")
    ))  # fmt: skip
    assert fills(study.figure("bug_type_distribution")) == {chart_style.BAR}
    assert fills(study.figure("bug_type_evolution")) == {chart_style.BAR}


def test_every_bar_has_the_interval_by_clusters_and_none_where_all_bugs_are_of_one_cluster(study):
    study.count("effect", SO, "Caffe", {"Crash": 3, "Hang": 1})
    whiskers = study.figure("effect_distribution").svg.count("<line")
    study.connection.execute("update analysis.effect_distribution set cluster_low = null, cluster_high = null")
    # One line for each of the two bars.
    assert whiskers - study.figure("effect_distribution").svg.count("<line") == 2


@pytest.mark.parametrize(("name", "titles", "shares"), [
    ("stage_distribution", {"All"}, {"35.2%", "0.4%"}),
    ("antipattern_distribution", {"Caffe", "Keras", "Tensorflow", "Theano", "Torch"}, {"44.8%", "7.1%"}),
])  # fmt: skip
def test_a_figure_without_bugs_shows_the_printed_shares_and_is_marked(study, name, titles, shares):
    dimension = name.removesuffix("_distribution")
    for library in (*study.study.library_names, "All"):
        study.count(dimension, SO, library, {})
    rendered = study.figure(name)
    assert titles | shares <= set(texts(rendered))
    assert rendered.title == f"{dimension.capitalize()}, Stack Overflow, as printed"
    assert f"In this study, no bug has a label in {dimension}." in " ".join(texts(rendered))


def test_printed_years_are_shown_if_no_bug_has_a_date_and_as_outlines_beside_those_that_have(study):
    rendered = study.figure("bug_type_evolution")
    assert rendered.title == "Bug type over the years, Stack Overflow, as printed"
    assert "all bugs of the year" not in texts(rendered)
    assert "Structural Logic Bug in Caffe: 30% in 2015, 100% in 2018" in rendered.alternative
    study.put("analysis.yearly_evolution", {"source": SO, "library": "Caffe", "year": 2015, "dimension": "bug_type",
              "category": "Data Bug", "bugs": 3, "total": 12, "share": 0.25})  # fmt: skip
    rendered = study.figure("bug_type_evolution")
    assert rendered.title == "Bug type over the years, Stack Overflow"
    assert {"all bugs of the year", "12"} <= set(texts(rendered))
    assert rendered.svg.count('stroke-dasharray="2,2"') > 50


def test_a_relation_has_the_number_of_bugs_in_each_cell(study):
    base = {"source": SO, "library": "All", "dimension_a": "bug_type", "category_a": "Data Bug",
            "dimension_b": "root_cause", "total": 5}  # fmt: skip
    study.put(
        "analysis.crosstab",
        base | {"category_b": "API Misuse", "bugs": 4, "share": 0.8},
        base | {"category_b": "Others", "bugs": 1, "share": 0.2},
        base | {"category_a": "API Bug", "category_b": "Others", "total": 2, "bugs": 2, "share": 1.0},
        base | {"library": "Keras", "category_b": "API Change", "bugs": 1, "share": 1.0},
    )
    rendered = study.figure("root_cause_by_bug_type")
    assert {"Data Bug  (5)", "API Bug  (2)", "API Misuse", "Others", "4", "1"} <= set(texts(rendered))
    # Percent of the row, and in brackets as printed.
    assert {"80 (6)", "20 (1)", "100 (8)"} <= set(texts(rendered))
    # Three of the cells have bugs: the others are white.
    assert len(re.findall(r'fill="rgb\(', rendered.svg)) >= 3
    assert not {"API Change", "0"} & set(texts(rendered))
    assert rendered.alternative == (
        "Root cause within each bug type, Stack Overflow. Data Bug: mostly API Misuse, 4 of 5; API Bug: mostly Others, "
        "2 of 2."
    )


def test_correlations_are_shown_with_the_printed_ones(study):
    study.put("analysis.library_correlation", {"source": SO, "dimension": "bug_type", "library_a": "Caffe",
                                               "library_b": "Keras", "pearson": 0.4567})  # fmt: skip
    rendered = study.figure("bug_type_correlation")
    assert [text for text in texts(rendered) if re.match(r"[(0]", text)].count("0.46") == 2
    assert texts(rendered).count("(0.80)") == 2
    assert rendered.alternative.endswith("Caffe and Keras 0.46.")


def test_the_funnel_ends_with_the_number_of_bugs(small_study):
    study = small_study("sample")
    study.put("stackoverflow.funnel", {"library": "Keras", "collected": 9, "in_scope": 8, "with_code": 5,
                                       "candidates": 4})  # fmt: skip
    study.put("analysis.dataset_sizes", {"library": "Keras", "source": SO, "bugs": 2})
    rendered = study.figure("funnel")
    assert rendered.alternative.endswith("Keras: 9 collected, 8 in scope, 5 with code, 4 read by raters, 2 bugs.")


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
    assert study.figure("published").alternative.endswith("Table 2: 1 of 2 as printed.")


def test_the_notice_of_a_synthetic_study_is_in_the_figure(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    assert "MADE UP" in texts(study.figure("effect_distribution", "MADE UP"))


_SHARES = {"library": "A", "bugs": 3, "total": 4, "share": 0.75}
_NARROW = {
    charts.distribution: [_SHARES | {"category": name, "low": 0.5, "high": 1.0, "published": None,
                                     "is_used": True} for name in "xy"],
    charts.evolution: [_SHARES | {"category": name, "year": 2020, "published": 0.1, "is_used": True} for name in "xy"],
    charts.relation: [{"category_a": "a", "category_b": name, "bugs": 1, "total": 2, "share": 0.5,
                       "published": 0.4} for name in "xy"],
    charts.correlation: [{"library_a": a, "library_b": b, "pearson": 0.5, "published": 0.4} for a, b in ("AB", "BA")],
    charts.funnel: [{"library": "A", "step": step, "number": 5} for step in ("collected", "bugs")],
    charts.against_published: [{"reference": "table2", "source": "s", "position": 1, "published": 3.0, "computed": 3.0,
                                "agreement": "as printed"}],
    kappa.picture: [{"source": "s", "dimension": "d", "checkpoint": 5, "units": 4, "kappa": 0.5, "kappa_low": 0.1,
                     "kappa_high": 0.9, "kappa_target": 0.9}],
}  # fmt: skip
_OUTSIDE = """
[...document.querySelectorAll('svg')].flatMap(picture => {
    const frame = picture.getBoundingClientRect();
    return [...picture.querySelectorAll('text')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom;
    }).map(text => text.textContent);
})
"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_title_and_notes_of_the_narrowest_chart_of_every_kind_are_in_the_picture():
    title = "Root cause within each symptom, a title that is longer than the chart is wide, Stack Overflow"
    notes = [
        "Area of a square: share of the framework's bugs of that year; below, the number.",
        "SYNTHETIC: the posts, commits and labels of this study are made up. DO NOT CITE ITS NUMBERS.",
    ]
    pictures = [
        chart_style.svg(draw(pl.DataFrame(rows), title, notes), f"figure{number}", "")
        for number, (draw, rows) in enumerate(_NARROW.items())
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_content("".join(pictures))
        assert page.evaluate(_OUTSIDE) == []
        browser.close()
    for picture in pictures:
        words = " ".join(ET.fromstring(picture).itertext())  # noqa: S314 (our own)
        assert all(text in words for text in (title, *notes))


def test_names_from_raters_are_escaped(study):
    evil = "<script>x</script> & 'y' \"z\""
    study.add_category("bug_type", evil)
    study.count("bug_type", SO, "Keras", {evil: 3})
    rendered = study.figure("bug_type_distribution")
    assert evil in texts(rendered)
    assert rendered.svg is not None
    assert "<script" not in rendered.svg


def test_a_figure_has_svg_png_and_pdf_files(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    contents = figure_files(study.figure("effect_distribution"))
    assert {name: content[:4] for name, content in contents.items()} == {
        "effect_distribution.svg": b"<svg", "effect_distribution.png": b"\x89PNG", "effect_distribution.pdf": b"%PDF",
    }  # fmt: skip


STUDIES = [load_study(name) for name in ("islam2019", "live", "chaliasos2021", "drosos2024")]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_report_depends_on_all_tables_that_its_queries_read(study):
    reads = set()
    for query in queries(study).values():
        parsed = sqlglot.parse_one(query, dialect="duckdb")
        reads |= {f"{table.db}.{table.name}" for table in parsed.find_all(exp.Table) if table.db}
    assert set(report_tables(study)) == reads
    assert reads <= set(load_specs(study=study))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_names_and_labels_of_figures_are_unique(study):
    shown = figures(study)
    assert all(queries(study)[figure.name] == figure.query for figure in shown)
    for names in ([figure.name for figure in shown], [figure.label for figure in shown]):
        assert len(set(names)) == len(names)


def test_figures_have_the_numbers_of_the_printed_ones_and_the_others_their_own(study, small_study):
    assert {figure.name: figure.label for figure in figures(study.study)} == {
        "bug_type_distribution": "Figure 1",
        "root_cause_distribution": "Figure 2",
        "effect_distribution": "Figure 4",
        "stage_distribution": "Figure 5",
        "antipattern_distribution": "Figure 7",
        "root_cause_by_bug_type": "Figure 3",
        "bug_type_correlation": "Figure 6",
        "bug_type_evolution": "Figure 9",
        "published": "Figure S1",
    }
    assert [figure.label for figure in figures(small_study("chaliasos2021").study)][:3] == [
        "Figure 1", "Figure 2", "Figure 3",
    ]  # fmt: skip


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_queries_that_join_or_group_order_their_rows(study):
    assert all("order by" in query for query in queries(study).values() if " join " in query or "group by" in query)
