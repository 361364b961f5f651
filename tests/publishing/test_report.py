"""The report, from small frames; and what a study says of itself."""

import re
from datetime import datetime
from importlib.metadata import version

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.publishing.report import REPORT_TABLES, render, write_report
from dlbug_assets.publishing.study_info import notice, study_info
from dlbug_assets.study import load_study
from dlbug_assets.table_specs import load_specs
from dlbug_assets.taxonomy import DIMENSIONS

SPECS = load_specs()
TYPES = {"VARCHAR": pl.String, "BIGINT": pl.Int64, "INTEGER": pl.Int32, "DOUBLE": pl.Float64, "BOOLEAN": pl.Boolean,
         "VARCHAR[]": pl.List(pl.String)}  # fmt: skip
REFRESHED = {"posts": datetime(2020, 1, 2, 3, 4, 5), "commits": None}


def table(name, *rows):
    """A frame with a table's described columns; what a row does not say is NULL."""
    schema = {column.name: TYPES[column.data_type] for column in SPECS[name].columns}
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def tables(study="sample", info=None, **rows):
    """All tables of the report; those not given (by the part after the dot) are empty."""
    frames = {name: table(name, *rows.get(name.split(".")[1], ())) for name in REPORT_TABLES}
    known = study_info(load_study(study), REFRESHED)
    if info:
        known = known.with_columns(pl.col("key").replace_strict(info, default=pl.col("value")).alias("value"))
    return frames | {"publishing.study_info": known}


def finding(**columns):
    row = {"finding": 3, "claim": "C", "metric": "M", "published": "1", "verdict": "reproduced", "n": 1, "position": 1}
    return {"findings": [row | columns], "finding_verdicts": [{"finding": 3, "verdict": "reproduced"}]}


def cells(page):
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)]


def test_a_page_of_a_synthetic_study_says_so_before_anything_else():
    page = render(tables("sample"))
    assert page.count("SYNTHETIC") == 1
    assert page.index("SYNTHETIC") < page.index("<h2>")


def test_a_page_of_real_data_does_not():
    page = render(tables("islam2019"))
    assert "SYNTHETIC" not in page
    assert 'class="notice"' not in page


def test_the_page_needs_no_other_file():
    page = render(tables())
    assert not re.search(r"<script|<link|<img|src=|href=|@import|url\(", page)
    assert page.startswith("<!doctype html>")


def test_titles_and_claims_are_escaped():
    evil = "<script>alert('x')</script> & \"so\""
    page = render(tables(info={"title": evil}, **finding(claim=evil, note=evil, metric=evil)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;so&#34;") == 5


def test_what_is_not_known_is_a_dash():
    page = render(tables(dataset_summary=[{"library": "Keras", "post_bugs": 3, "published_posts": 567}]))
    assert cells(page) == ["Keras", "- [567]", "3 [-]", "- [-]", "- [-]"]
    page = render(tables(**finding(computed=None, note=None)))
    assert cells(page) == ["3reproduced", "C", "M", "1", "-", "reproduced", "-"]
    assert "None" not in page
    assert "nan" not in page.split("</style>")[1]


def test_every_metric_of_a_finding_stands_beside_its_verdict():
    rows = [{"finding": number, "claim": f"claim {number}{letter}", "metric": "M", "verdict": "reproduced"}
            for number in (10, 9) for letter in "ab"]  # fmt: skip
    verdicts = [{"finding": 10, "verdict": "underpowered"}, {"finding": 9, "verdict": "not testable"}]
    page = render(tables(findings=rows, finding_verdicts=verdicts))
    assert [cell for cell in cells(page) if cell.startswith("claim")] == [
        "claim 9a",
        "claim 9b",
        "claim 10a",
        "claim 10b",
    ]
    assert page.count('rowspan="2"') == 2
    assert page.index("not testable</span>") < page.index("underpowered</span>")


def test_the_cells_of_the_printed_tables_are_counted_and_the_differing_ones_listed():
    base = {"dimension": "bug_type", "library": "Keras", "source": "GitHub", "published": 20.0}
    diff = [
        {"reference": "table2", "category": "A", "computed": 20.1, "difference": 0.1, "same_when_rounded": True},
        {"reference": "table2", "category": "B", "computed": 23.45678, "difference": 3.4, "same_when_rounded": False},
        {"reference": "table2", "category": "C"},
        {"reference": "table3", "category": "D", "computed": 20.0, "difference": 0.0, "same_when_rounded": True},
    ]
    page = render(tables(replication_diff=[base | row for row in diff]))
    assert cells(page) == [
        *("table2", "3", "1", "1", "1"),
        *("table3", "1", "1", "0", "0"),
        *("table2", "B", "Keras", "GitHub", "20.000", "23.457", "3.400"),
    ]
    assert "Every cell that differs (1)" in page


def test_agreement_is_shown_over_the_queue_so_far_with_the_reason_where_it_is_undefined():
    base = {"source": "all", "dimension": "is_bug", "scope": "cumulative", "units": 5}
    rows = [
        {"checkpoint": 5, "kappa": 0.0, "kappa_low": -0.1, "kappa_high": 0.1, "reached_target": False},
        {"checkpoint": 10, "undefined_reason": "only one category was used by a & b"},
        {"checkpoint": 20, "kappa": 0.9, "reached_target": True},
        {"checkpoint": 30, "kappa": 0.123, "scope": "increment"},
        {"checkpoint": 40, "kappa": 0.456, "source": "GitHub"},
    ]
    page = render(tables(kappa_checkpoints=[base | row for row in rows]))
    assert cells(page) == [
        *("all", "is_bug", "5%", "5", "0.000", "-0.100 to 0.100", "- to -", "-", "no"),
        *("all", "is_bug", "10%", "5", "-", "- to -", "- to -", "-", "only one category was used by a &amp; b"),
        *("all", "is_bug", "20%", "5", "0.900", "- to -", "- to -", "-", "yes"),
    ]


def test_without_raters_labels_the_page_says_why_there_is_no_agreement():
    assert "No rater's own labels are there" in render(tables("islam2019"))


def test_a_distribution_shows_used_categories_and_names_the_others():
    shares = {
        ("Keras", "A"): (1, 0.25),
        ("Keras", "B"): (3, 0.75),
        ("Torch", "A"): (0, None),
        ("Torch", "B"): (0, None),
    }
    rows = [
        {"source": "GitHub", "library": library, "category": category, "bugs": bugs, "share": share}
        for (library, category), (bugs, share) in shares.items()
    ]
    unused = [{"source": "GitHub", "library": name, "category": "C <c>", "bugs": 0, "share": 0.0}
              for name in ("Keras", "Torch")]  # fmt: skip
    page = render(tables(effect_distribution=rows + unused))
    assert cells(page) == ["A", "1 25%", "0 -", "B", "3 75%", "0 -"]
    assert "Without a bug: C &lt;c&gt;." in page
    assert page.count("Not labelled in this source.") == len(DIMENSIONS) - 1


def test_comparison_and_repeats_are_shown():
    comparison = {"dimension": "effect", "category": "Crash", "p_paper": 0.04, "p_published": 0.0456, "rejects": True}
    repeats = {"source": "GitHub", "library": "Keras", "labels": 5, "distinct_links": 4, "repeated_links": 1,
               "exact_repeats": 0}  # fmt: skip
    pair = {"source": "both", "library_a": "Keras", "library_b": "Torch", "pearson": 0.5}
    page = render(
        tables(
            source_comparison=[comparison],
            library_correlation=[pair | {"dimension": "bug_type"}, pair | {"dimension": "effect"}],
            repeats=[repeats],
        )
    )
    assert cells(page) == [
        *("effect", "Crash", "0.040", "-", "0.046", "-", "yes"),
        *("both", "bug_type", "Keras, Torch", "0.500", "-", "-"),
        *("GitHub", "Keras", "5", "4", "1", "0"),
    ]


def test_a_report_is_written_and_replaced_at_once(tmp_path):
    folder = tmp_path / "sample" / "report"
    assert write_report(folder, "old ü") == folder / "index.html"
    with (folder / "index.html").open(encoding="utf-8") as reader:
        write_report(folder, "new")
        assert reader.read() == "old ü"
    assert (folder / "index.html").read_text(encoding="utf-8") == "new"
    assert [path.name for path in folder.iterdir()] == ["index.html"]


def test_a_report_that_cannot_be_written_leaves_the_older_one(tmp_path):
    write_report(tmp_path, "old")
    (tmp_path / "index.html.unfinished").mkdir()
    with pytest.raises(DlbugError, match=f"^cannot write {tmp_path}/index.html: Is a directory"):
        write_report(tmp_path, "new")
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "old"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(DlbugError, match=f"^cannot write {tmp_path}/report/index.html: "):
        write_report(tmp_path / "report", "page")


def test_study_info_says_what_was_run_and_with_what():
    study = load_study("sample")
    info = study_info(study, REFRESHED)
    assert info.schema == {"key": pl.String, "value": pl.String}
    assert info["key"].n_unique() == info.height
    assert info.null_count().row(0) == (0, 0)
    known = dict(info.iter_rows())
    assert (known["study"], known["seed"], known["is_synthetic"]) == ("sample", "2019", "true")
    assert known["study_hash"] == study.hash
    assert re.fullmatch("[0-9a-f]{64}", known["study_hash"])
    for package in ("dlbug", "dagster", "duckdb", "polars", "scipy", "statsmodels"):
        assert known[f"{package}_version"] == version(package)
    assert known["last_refresh_posts"] == "2020-01-02T03:04:05"
    assert known["last_refresh_commits"] == "never"


@pytest.mark.parametrize(("name", "synthetic"), [("sample", True), ("islam2019", False), ("modern", False)])
def test_a_study_is_synthetic_where_the_sample_made_any_of_it(name, synthetic):
    study = load_study(name)
    known = dict(study_info(study, {}).iter_rows())
    assert known["is_synthetic"] == str(synthetic).lower()
    assert known["notice"] == notice(study)
    assert known["notice"].startswith("SYNTHETIC") is synthetic


def test_a_study_with_synthetic_posts_and_real_labels_is_synthetic_too():
    modern = load_study("modern")
    mixed = modern.model_copy(update={"sources": modern.sources.model_copy(update={"posts": "sample"})})
    assert notice(mixed).startswith("SYNTHETIC")


def test_the_funnel_is_shown_for_each_library():
    page = render(tables(funnel=[{"library": "Keras", "collected": 9, "in_scope": 7, "with_code": 5, "candidates": 4}]))
    assert cells(page) == ["Keras", "9", "7", "5", "4"]
