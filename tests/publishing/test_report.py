"""The page and the folder of the report from small tables, and publishing.study_info."""

import re
from datetime import datetime
from html.parser import HTMLParser
from importlib.metadata import version

import polars as pl
import pytest

from dlbug_assets.code_identity import code_commit, code_digest
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.report import render_figures, render_page, report_files
from dlbug_assets.publishing.report_queries import QUERIES
from dlbug_assets.publishing.study_info import notice, study_info

SO = "Stack Overflow"
EVIL = "<script>alert('x')</script> & \"so\""


def page_of(study):
    rows = study.rows()
    return render_page(rows, render_figures(rows))


def cells(page):
    """Return the text of the cells of the page's tables."""
    found = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in found]


class Outline(HTMLParser):
    """Levels of headings, identifiers, and targets of links."""

    def __init__(self, page):
        super().__init__()
        self.levels, self.identifiers, self.links, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if "id" in attributes:
            self.identifiers.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag not in {"meta", "link"}:  # void elements
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def study(small_study):
    return small_study("islam2019")


@pytest.fixture
def synthetic(small_study):
    return small_study("sample")


def finding(study, number=3, **columns):
    row = {"finding": number, "claim": "C", "metric": "M", "verdict": "reproduced", "position": 1}
    study.put("analysis.findings", row | columns)
    study.put("analysis.finding_verdicts", {"finding": number, "verdict": "reproduced"})
    study.put("reference.findings", {"number": number, "claim": "C", "metric": "M", "section": "5.1"})


def test_the_page_of_a_synthetic_study_starts_with_its_notice(synthetic):
    page = page_of(synthetic)
    assert page.index('<p class="notice">SYNTHETIC') < page.index("<h1>")


def test_the_page_of_real_data_has_no_notice(study):
    assert "SYNTHETIC" not in page_of(study)


def test_all_files_of_a_synthetic_study_have_the_notice(synthetic):
    synthetic.count("effect", SO, "Keras", {"Crash": 3})
    rows = synthetic.rows()
    files = report_files(rows, render_figures(rows))
    assert "figures/figure4.svg" in files
    without = [name for name, content in files.items() if name.endswith((".svg", ".tex", ".html"))
              and b"SYNTHETIC" not in content]  # fmt: skip
    assert without == []


def test_the_page_has_no_scripts_and_loads_nothing(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    page = page_of(study)
    assert not re.search(r"<script|<img|<iframe|<object|@import|\bon\w+=| src=|url\((?!#)", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'" in page
    # links within the page, and to files beside it
    assert {link.split("/")[0][:1] for link in Outline(page).links} <= {"#", "f", "t"}
    assert not [link for link in Outline(page).links if ":" in link]


def test_headings_are_in_order_and_links_within_the_page_have_targets(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    finding(study)
    outline = Outline(page_of(study))
    assert outline.open == []
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.identifiers)) == len(outline.identifiers)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.identifiers)


def test_links_to_files_are_exactly_the_files_of_the_folder(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    rows = study.rows()
    files = report_files(rows, render_figures(rows))
    page = files["index.html"].decode()
    linked = {link for link in Outline(page).links if not link.startswith("#")}
    assert linked == set(files) - {"index.html"}


def test_texts_by_people_are_escaped(study):
    study.connection.execute("update publishing.study_info set value = ? where key = 'title'", [EVIL])
    study.put("reference.taxonomy", {"dimension": "effect", "name": EVIL, "position": 99})
    study.count("effect", SO, "Keras", {EVIL: 3})
    finding(study, claim=EVIL, metric=EVIL, reason=EVIL, estimator=EVIL, published=EVIL, computed=EVIL)
    study.put("analysis.replication_diff", {"reference": "table4", "category": EVIL, "library": EVIL, "source": SO,
              "published": 1.0, "computed": 2.0, "same_when_rounded": False, "explanation": EVIL,
              "unit": "percent", "decimals": 0, "reading": "printed"})  # fmt: skip
    page = page_of(study)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") >= 10


def test_the_queries_on_the_page_return_its_rows(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    page = page_of(study)
    shown = dict(re.findall(r'<pre data-query="(\w+)">(.*?)</pre>', page, re.DOTALL))
    unescaped = {name: study.query(re.sub("&gt;", ">", re.sub("&lt;", "<", re.sub("&#39;", "'", re.sub("&#34;", '"',
                 sql))))) for name, sql in shown.items()}  # fmt: skip
    rows = study.rows()
    assert {"figure4", "table4", "comparison", "source_tests", "diff_counts", "findings", "table1"} <= set(unescaped)
    assert all(answer.equals(rows[name]) for name, answer in unescaped.items())


def test_the_page_needs_the_rows_of_all_queries_and_no_others(study):
    with pytest.raises(KeyError):
        render_figures({name: frame for name, frame in study.rows().items() if name != "figure1"})
    assert set(study.rows()) == set(QUERIES)


def test_missing_values_are_shown_as_a_dash(study):
    study.put("analysis.dataset_summary", {"library": "Keras", "post_bugs": 3, "published_posts": 567})
    finding(study, computed=None, reason=None)
    page = page_of(study)
    row = cells(page)[cells(page).index("Commits") + 2 :][:5]
    assert row == ["Keras", "- [567]", "3", "-", "-"]
    assert not re.search(r"\b(None|nan|NaN|null)\b", page.split("</style>")[1].split("<pre")[0])


def test_every_metric_of_a_finding_has_verdict_and_reason(study):
    finding(study, published="66", computed="65", verdict="not reproduced", reason="Because.", estimator="Shares",
            n=1, decisive=0.123, interval_low=0.1, interval_high=0.25)  # fmt: skip
    study.put("analysis.finding_survival", {"finding": 3, "variant": "one vote per commit", "verdict": "underpowered",
                                            "decided": 3, "surviving": 2, "survives": False})  # fmt: skip
    page = " ".join(re.sub(r"<[^>]+>", " ", page_of(study)).split())
    assert "Published 66 Computed 65 Verdict not reproduced" in page
    assert "Because. Decisive share: 12.3%, 95% interval 10.0% to 25.0%." in page
    assert "Estimator: Shares; smallest group: 1 bug." in page
    assert (
        "With possible duplicates counted once: one vote per commit: underpowered (2 of 3 outcomes unchanged)." in page
    )


def test_printed_numbers_are_counted_and_differing_ones_listed(study):
    base = {"dimension": "bug_type", "library": "Keras", "source": "GitHub", "published": 20.0, "unit": "percent",
            "decimals": 0, "reading": "printed"}  # fmt: skip
    study.put(
        "analysis.replication_diff",
        *(base | row for row in (
            {"reference": "table2", "category": "A", "computed": 20.1, "same_when_rounded": True},
            {"reference": "table2", "category": "B", "computed": 23.4567, "difference": 3.4567,
             "same_when_rounded": False, "explanation": "Exchanged."},
            {"reference": "table2", "category": "C"},
            {"reference": "fig1", "category": "A", "computed": 21.0, "reading": "approximate"},
        )),
        base | {"reference": "table2_p", "category": "D", "published": 0.002, "computed": 0.00034, "unit": "p",
                "decimals": 4, "difference": -0.00166, "same_when_rounded": False},
    )  # fmt: skip
    found = cells(page_of(study))
    counts = found.index("Table 2")
    assert found[counts : counts + 6] == ["Table 2", "3", "1", "1", "1", "1"]
    listed = found.index("Table 2", counts + 1)
    assert found[listed : listed + 8] == ["Table 2", "B", "Keras", "GitHub", "20", "23.5", "3.5", "Exchanged."]
    # P values are compared and shown with four decimals.
    p_value = found.index("Table 2, P")
    assert found[p_value : p_value + 8] == ["Table 2, P", "D", "Keras", "GitHub", "0.0020", "0.0003", "-0.0017", "-"]


def test_values_printed_in_a_table_of_the_paper_are_links_to_it(study):
    finding(study, published="see table3_p.csv")
    assert 'the P values of <a href="#table3">Table 3</a>' in page_of(study)


def test_without_labels_of_raters_the_page_states_why_there_is_no_agreement(study):
    assert "There are no labels of individual raters" in page_of(study)


def test_the_same_rows_result_in_the_same_files(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    first, second = (report_files(rows, render_figures(rows)) for rows in (study.rows(), study.rows()))
    assert first == second


def test_study_info_has_study_code_and_packages(corpus_refreshes):
    study = load_study("sample")
    info = study_info(corpus_refreshes(posts=datetime(2020, 1, 2, 3, 4, 5), commits=None), study)
    assert info.schema == {"key": pl.String, "value": pl.String}
    assert info["key"].n_unique() == info.height
    assert info.null_count().row(0) == (0, 0)
    values = dict(info.iter_rows())
    assert (values["study"], values["seed"], values["is_synthetic"]) == ("sample", "2019", "true")
    assert values["study_hash"] == study.hash
    assert re.fullmatch("[0-9a-f]{64}", values["study_hash"])
    for package in ("dlbug", "dagster", "duckdb", "polars", "scipy", "graphene"):
        assert values[f"{package}_version"] == version(package)
    assert values["code_digest"] == code_digest()
    assert values.get("code_commit") == code_commit()
    assert values["last_refresh_posts"] == "2020-01-02T03:04:05"
    assert values["last_refresh_commits"] == "never"


@pytest.mark.parametrize(("name", "synthetic"), [("sample", True), ("islam2019", False), ("modern", False)])
def test_a_study_is_synthetic_if_any_source_is_the_sample(corpus_refreshes, name, synthetic):
    study = load_study(name)
    values = dict(study_info(corpus_refreshes(), study).iter_rows())
    assert values["is_synthetic"] == str(synthetic).lower()
    assert values["notice"] == notice(study)
    assert values["notice"].startswith("SYNTHETIC") is synthetic


def test_a_study_with_synthetic_posts_and_real_labels_is_synthetic_too():
    modern = load_study("modern")
    mixed = modern.model_copy(update={"sources": modern.sources.model_copy(update={"posts": "sample"})})
    assert notice(mixed).startswith("SYNTHETIC")
