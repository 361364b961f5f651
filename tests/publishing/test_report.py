"""The page and the folder of the report from small tables, and publishing.study_info."""

import re
from datetime import datetime
from html.parser import HTMLParser
from importlib.metadata import version

import polars as pl
import pytest

from dlbug_assets.code_identity import code_commit, code_digest
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.report import render_figures
from dlbug_assets.publishing.report_queries import queries
from dlbug_assets.publishing.study_info import notice, study_info
from dlbug_assets.warehouse.table_specs import load_specs

SO = "Stack Overflow"
EVIL = "<script>alert('x')</script> & \"so\""


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


def claim(study, number=3, **columns):
    """Add a claim with both kinds of verdicts; ``columns`` are those of analysis.claims and analysis.findings."""
    row = {"finding": number, "position": 1, "claim": "C", "metric": "M", "role": "headline", "support": "undecided",
           "number_verdict": "differs", "note": "N", "verdict": "reproduced"} | columns  # fmt: skip
    for table in ("analysis.claims", "analysis.findings"):
        known = load_specs(study=study.study)[table].column_names
        study.put(table, {name: value for name, value in row.items() if name in known})
    study.put("analysis.finding_verdicts", {"finding": number, "verdict": row["verdict"], "support": row["support"]})


def test_the_page_of_a_synthetic_study_starts_with_its_notice(synthetic):
    page = synthetic.page()
    assert page.index('<p class="notice">SYNTHETIC') < page.index("<h1>")


def test_the_page_of_real_data_has_no_notice(study):
    assert "SYNTHETIC" not in study.page()


def test_all_files_of_a_synthetic_study_have_the_notice(synthetic):
    synthetic.count("effect", SO, "Keras", {"Crash": 3})
    files = synthetic.files()
    assert "figures/effect_distribution.svg" in files
    without = [name for name, content in files.items() if name.endswith((".svg", ".tex", ".html"))
              and b"SYNTHETIC" not in content]  # fmt: skip
    assert without == []


def test_the_page_has_no_scripts_and_loads_nothing(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    page = study.page()
    assert not re.search(r"<script|<img|<iframe|<object|@import|\bon\w+=| src=|url\((?!#)", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'" in page
    # links within the page, and to files beside it
    assert {link.split("/")[0][:1] for link in Outline(page).links} <= {"#", "b", "f", "t"}
    assert not [link for link in Outline(page).links if ":" in link]


def test_headings_are_in_order_and_links_within_the_page_have_targets(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    claim(study)
    outline = Outline(study.page())
    assert outline.open == []
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.identifiers)) == len(outline.identifiers)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.identifiers)


def test_links_to_files_are_exactly_the_files_of_the_folder(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    files = study.files()
    page = files["index.html"].decode()
    linked = {link for link in Outline(page).links if not link.startswith("#")}
    assert linked == set(files) - {"index.html"}


def test_texts_by_people_are_escaped(study):
    study.connection.execute("update publishing.study_info set value = ? where key = 'title'", [EVIL])
    study.add_category("effect", EVIL)
    study.count("effect", SO, "Keras", {EVIL: 3})
    claim(study, claim=EVIL, metric=EVIL, estimator=EVIL, note=EVIL, printed=EVIL, computed=EVIL)
    study.put("analysis.replication_diff", {"reference": "table4", "category": EVIL, "library": EVIL, "source": SO,
              "published": 1.0, "computed": 2.0, "same_when_rounded": False, "explanation": EVIL,
              "unit": "percent", "decimals": 0, "reading": "printed"})  # fmt: skip
    page = study.page()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") >= 10


def test_the_queries_on_the_page_return_its_rows(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    study.put("analysis.source_tests", {"dimension": "effect", "library": "Keras"})
    page = study.page()
    shown = dict(re.findall(r'<pre data-query="(\w+)">(.*?)</pre>', page, re.DOTALL))
    unescaped = {name: study.query(re.sub("&gt;", ">", re.sub("&lt;", "<", re.sub("&#39;", "'", re.sub("&#34;", '"',
                 sql))))) for name, sql in shown.items()}  # fmt: skip
    rows = study.rows()
    assert {"effect_distribution", "effect_shares", "comparison", "source_tests", "diff_counts", "claims",
            "dataset_sizes"} <= set(unescaped)  # fmt: skip
    assert all(answer.equals(rows[name]) for name, answer in unescaped.items())


def test_the_page_needs_the_rows_of_all_queries_and_no_others(study):
    without = {name: frame for name, frame in study.rows().items() if name != "stage_distribution"}
    with pytest.raises(KeyError):
        render_figures(without, study.study)
    assert set(study.rows()) == set(queries(study.study))


def test_missing_values_are_shown_as_a_dash(study):
    for source in (SO, "GitHub"):
        study.put("analysis.dataset_sizes", {"library": "Keras", "source": source, "bugs": 3})
    claim(study, computed=None)
    page = study.page()
    rows = cells(page)[cells(page).index("Commits") + 2 :]
    assert rows[5:10] == ["Keras", "- [567]", "3 [162] ≠", "- [100]", "3 [348] ≠"]
    assert not re.search(r"\b(None|nan|NaN|null)\b", page.split("</style>")[1].split("<pre")[0])


def test_the_first_section_has_a_table_of_all_claims(study):
    claim(study, printed="see table2_p.csv", computed="65", probability=0.973, bugs=12)
    claim(study, 7, position=2, role="supporting", claim="D", number_verdict=None, support="not testable")
    page = study.page()
    assert page.index('<h2 id="claims">') < page.index('<h2 id="study">')
    assert cells(page)[:20] == [
        "Finding", "Claim", "Printed", "Computed", "Number", "Claim is", "Since", "Probability", "Bugs",
        "3", "C", "see Table 2, P values", "65", "differs", "undecided", "-", "0.97", "12",
        "7", "D",
    ]  # fmt: skip
    assert "<b>C</b>" in page
    assert "<b>D</b>" not in page


def revision(number, published_at, **columns):
    return {"finding": 3, "claim": "C", "repetition": 1, "revision": number, "published_at": published_at,
            "number_verdict": "differs", "support": "undecided", "changes_conclusion": False} | columns  # fmt: skip


def test_claims_show_since_when_their_verdicts_are_published_and_what_they_were_before(study):
    claim(study)
    study.put(
        "analysis.claim_history",
        revision(1, datetime(2026, 1, 2, 9, 30), support="supported", number_verdict="reproduced"),
        revision(2, datetime(2026, 2, 3, 9, 30), changes_conclusion=True),
        revision(3, datetime(2026, 3, 4, 9, 30)),  # another number, the same verdicts
    )
    page = study.page()
    assert dict(zip(cells(page)[:7], cells(page)[7:14], strict=True))["Since"] == "2026-02-03"
    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert ("Published with these verdicts since 2026-02-03 09:30 UTC; before, the number was reproduced and the claim "
            "supported. Badge") in text  # fmt: skip


def test_first_publication_has_no_verdict_before(study):
    claim(study)
    study.put("analysis.claim_history", revision(1, datetime(2026, 1, 2, 9, 30)))
    assert "Published with these verdicts since 2026-01-02 09:30 UTC. <a" in study.page()


def test_each_claim_links_its_badge(study):
    claim(study)
    claim(study, position=2, role="supporting", claim="D", support="supported")
    files = study.files()
    assert b">supported</text>" in files["badges/finding-3-1.svg"]
    assert {name for name in files if name.startswith("badges/")} == {"badges/finding-3.svg", "badges/finding-3-1.svg"}


def test_many_values_are_folded_and_counted(study):
    claim(study, printed="see table2_p.csv", computed="; ".join(f"Category {number}=0.5" for number in range(11)))
    assert "<summary>11 values</summary>Category 0=0.5; Category 1=0.5" in study.page()


def test_every_claim_has_verdicts_and_reasons(study):
    claim(study, printed="66", computed="65", probability=0.95, at_threshold=True, bugs=1, note="Because.",
          verdict="not reproduced", estimator="Shares", decisive=0.123, interval_low=0.1,
          interval_high=0.25)  # fmt: skip
    study.put("analysis.finding_survival", {"finding": 3, "variant": "one vote per commit", "verdict": "reproduced",
                                            "decided": 3, "surviving": 2, "survives": False})  # fmt: skip
    page = " ".join(re.sub(r"<[^>]+>", " ", study.page()).split())
    assert "Printed 66 Computed 65 Number differs Claim undecided" in page
    assert "Because. With another seed, the verdict on the claim might differ. Smallest group: 1 bug." in page
    assert "Decisive share: 12.3%, 95% interval 10.0% to 25.0%. Estimator: Shares." in page
    variant = "one vote per commit: 2 of 3 outcomes unchanged."
    assert f"With other counts of the bugs: {variant}" in page


def test_a_finding_without_printed_numbers_is_not_called_reproduced_or_not(study):
    claim(study, support="contradicted", number_verdict=None, verdict=None)
    study.put("analysis.finding_survival", {"finding": 3, "variant": "one vote per commit", "decided": 3,
                                            "surviving": 2})  # fmt: skip
    page = study.page()
    shown = " ".join(re.sub(r"<[^>]+>", " ", page.split("</style>")[1]).split())
    assert "Claims of the findings 1 contradicted" in shown
    assert "Numbers of the findings" not in shown
    assert "Finding 3: contradicted" in shown
    assert "With other counts of the bugs: one vote per commit: 2 of 3 outcomes unchanged." in shown
    assert "reproduced" not in shown.split("Differences from the printed numbers")[0]


def test_both_verdicts_of_the_findings_are_counted_and_shown(study):
    claim(study, verdict="reproduced", support="undecided")
    claim(study, 4, position=2, verdict="reproduced", support="supported", printed="1")
    shown = " ".join(re.sub(r"<[^>]+>", " ", study.page().split("</style>")[1]).split())
    assert "Numbers of the findings 2 reproduced Claims of the findings 1 supported 1 undecided" in shown
    assert "Finding 4: number reproduced , claim supported" in shown


def test_why_two_libraries_have_no_interval_stands_in_a_column_of_its_own(study):
    pair = {"source": SO, "dimension": "bug_type", "library_a": "Caffe", "library_b": "Keras", "pearson": 0.5,
            "most_influential": "Data Bug"}  # fmt: skip
    study.put("analysis.library_correlation", pair)
    assert "Not computed because" not in study.page()
    study.put("analysis.library_correlation", pair | {"library_b": "Torch", "interval_undefined_reason": "one cluster"})
    found = cells(study.page())
    heads = found.index("Most influential category")
    assert found[heads + 1] == "Not computed because"
    row = found.index("Caffe, Torch")
    assert found[row + 9 : row + 11] == ["Data Bug", "one cluster"]


@pytest.mark.parametrize(("repository", "links", "shared"), [
    (None, "ab", None), (None, "aa", "one item"), ("r", "ab", "one repository"), ("r", "aa", "one item or repository"),
])  # fmt: skip
def test_bugs_are_said_to_depend_on_each_other_only_where_they_share_an_item_or_a_repository(
    study, repository, links, shared
):
    for link in links:
        study.put("labeling.labels", {"link": link, "repository": repository})
    found = re.search(r"Several bugs come from (.*?) and are not independent", study.page())
    assert (found and found[1]) == shared


def test_printed_numbers_are_counted_and_differing_ones_listed(study):
    base = {"dimension": "bug_type", "library": "Keras", "source": "GitHub", "published": 20.0, "unit": "percent",
            "decimals": 0, "reading": "printed"}  # fmt: skip
    study.put(
        "analysis.replication_diff",
        *(base | row for row in (
            {"reference": "table2", "category": "A", "computed": 20.1, "same_when_rounded": True},
            {"reference": "table2", "category": "B", "computed": 23.4567, "difference": 3.4567,
             "same_when_rounded": False, "reconstructed": 20.0, "explanation": "Exchanged."},
            {"reference": "table2", "category": "C"},
            {"reference": "fig1", "category": "A", "computed": 21.0, "reading": "approximate"},
        )),
        base | {"reference": "table2_p", "category": "D", "published": 0.002, "computed": 0.00034, "unit": "p",
                "decimals": 4, "difference": -0.00166, "same_when_rounded": False},
    )  # fmt: skip
    page = study.page()
    assert "Of 5 printed numbers, 1 are as printed and 2 differ, of which 1 have an explanation." in page
    found = cells(page)
    counts = found.index("Table 2")
    assert found[counts : counts + 7] == ["Table 2", "3", "1", "1", "1", "0", "1"]
    measured = found.index("Figure 1", counts)
    assert found[measured : measured + 7] == ["Figure 1", "1", "0", "0", "0", "1", "0"]
    listed = found.index("Table 2", counts + 1)
    assert found[listed : listed + 10] == [
        "Table 2", "B", "Keras", "GitHub", "percent", "20", "23.5", "3.5", "20", "Exchanged.",
    ]  # fmt: skip
    # P values are compared and shown with four decimals.
    p_value = listed + 10
    assert found[p_value : p_value + 10] == [
        "Table 2, P values", "D", "Keras", "GitHub", "p", "0.0020", "0.0003", "-0.0017", "-", "-",
    ]  # fmt: skip


def test_edits_that_may_have_led_to_printed_numbers_are_listed_with_rivals(study):
    study.put("analysis.replication_diff", {"reference": "table2", "unit": "percent", "published": 1.0,
              "computed": 2.0, "decimals": 0, "same_when_rounded": False})  # fmt: skip
    edit = {"reference": "table2", "column": "Keras (GitHub)", "concerns": "A", "evidence": "explains 1 cell"}
    study.put(
        "analysis.reconstruction",
        edit | {"edit": "one A less", "gain": 7.0, "is_chosen": False},
        edit | {"edit": "one A more", "gain": 8.5, "is_chosen": True},
    )
    found = cells(study.page())
    start = found.index("Gain in bits") + 2
    assert found[start : start + 14] == [
        "Table 2", "Keras (GitHub)", "one A more", "A", "explains 1 cell", "8.500", "yes",
        "Table 2", "Keras (GitHub)", "one A less", "A", "explains 1 cell", "7.000", "no",
    ]  # fmt: skip


def test_a_claim_that_depends_on_one_cluster_names_it(study):
    claim(study)
    study.put("analysis.leave_one_out",
              {"position": 1, "left_out": "cluster", "units": 41, "deciding": 1, "largest": "a/b", "largest_bugs": 126},
              {"position": 1, "left_out": "item", "units": 99, "deciding": 0})  # fmt: skip
    text = " ".join(re.sub(r"<[^>]+>", " ", study.page()).split())
    expected = "Without any one of 1 of 41 clusters, the outcome is another; the largest of them is a/b with 126 bugs."
    assert expected in text
    assert "99 items" not in text


def test_labels_in_further_sheets_are_compared_with_the_final_ones(study):
    row = {"basis": "leftover sheet", "dimension": "effect", "pairs": 30, "agreements": 29}
    study.put("analysis.repeat_agreement", row | {"source": SO}, row | {"source": "both"})
    text = " ".join(study.page().split())
    assert "equal the final label of the same bug in 29 of 30 cases" in text
    assert "only final labels, and further sheets that do not state their rater." in text


def test_printed_numbers_that_the_first_batch_fits_better_are_named(study):
    for position, (reference, of_all, of_batch) in enumerate(
        [("fig3", False, True), ("fig3", True, True), ("fig1", True, True)]
    ):
        study.put("analysis.first_batch", {"position": position, "reference": reference, "released_fits": of_all,
                                           "fits": of_batch})  # fmt: skip
    page = study.page()
    assert "Figure 3: 2 of 2 numbers fit the first batch, 1 fit all bugs, so that" in " ".join(page.split())
    found = cells(page)
    start = found.index("Fit the first batch") + 1
    assert found[start : start + 8] == ["Figure 3", "2", "1", "2", "Figure 1", "1", "1", "1"]


def test_other_thresholds_and_what_they_would_decide_are_listed(study):
    claim(study)
    study.put("analysis.claim_thresholds", {"supported_from": 0.9, "contradicted_to": 0.1, "is_used": False,
              "supported": 4, "contradicted": 3, "undecided": 2, "not_testable": 1})  # fmt: skip
    found = cells(study.page())
    start = found.index("Used") + 1
    assert found[start : start + 7] == ["90.0%", "10.0%", "4", "3", "2", "1", "no"]


def test_years_are_counted_with_those_that_are_estimated_or_uncertain(study):
    study.put("labeling.labels", *(
        {"source": SO, "year": year, "year_source": "estimated"} for year in (2015, 2016, None)
    ), {"source": "GitHub"})  # fmt: skip
    text = " ".join(re.sub(r"<[^>]+>", "", study.page()).split())
    assert (
        "Stack Overflow: 2 of 3 labels have a year, 2 of them estimated from the number of the post; 1 more may be of "
        "several years, which leaves a range for some shares (analysis.yearly_evolution). "
        "GitHub: 0 of 1 labels have a year." in text
    )


def test_without_labels_of_raters_a_released_study_has_no_section_on_agreement(study):
    assert 'id="agreement"' not in study.page()
    study.put("analysis.repeat_agreement", {"basis": "repeated rows", "source": SO, "dimension": "effect", "pairs": 3,
              "agreements": 2, "observed_agreement": 2 / 3, "underpowered": True,
              "undefined_reason": "few"})  # fmt: skip
    assert "Agreement cannot be computed: the source has only final labels." in study.page()


def test_a_study_with_raters_states_that_there_are_no_labels_yet(synthetic):
    assert "Agreement cannot be computed: the raters have not started yet." in synthetic.page()
    assert "The agreement between raters is unknown, because the raters have not started yet." in synthetic.page()
    synthetic.put("labeling.rater_labels", {"rater": "ann"})
    assert "Agreement cannot be computed: no two raters have labelled the same items yet." in synthetic.page()


def test_the_same_rows_result_in_the_same_files(study):
    study.count("effect", SO, "Keras", {"Crash": 3})
    assert study.files() == study.files()


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
