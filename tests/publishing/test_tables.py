"""Tables 1 to 4 as CSV, LaTeX and HTML, alone and with the printed numbers."""

import csv
import shutil
import subprocess

import pytest

from dlbug_assets.publishing import tables

SO, GH = "Stack Overflow", "GitHub"
NASTY = r"50% of $x_1$ & {y}~#^\ <b>|\""
NASTY_ROW = {"source": SO, "library": "Caffe", "category": NASTY, "bugs": 1, "total": 2, "share": 0.5}
PDFLATEX = shutil.which("pdflatex")


@pytest.fixture
def study(small_study):
    """Return a study of two libraries, with one share and one P value that differ from the printed ones."""
    study = small_study("islam2019")
    study.count("effect", SO, "Caffe", {"Crash": 1, "Hang": 1})
    study.count("effect", GH, "Caffe", {"Crash": 3})
    study.count("effect", SO, "Keras", {"Crash": 1, "Hang": 7})
    study.count("effect", GH, "Keras", {})
    study.put("analysis.source_comparison", {"dimension": "effect", "category": "Crash", "p_paper_rounded": 0.12345})
    printed = {"reference": "table4", "dimension": "effect", "category": "Crash", "unit": "percent",
               "reading": "printed"}  # fmt: skip
    study.put(
        "analysis.replication_diff",
        printed | {"library": "Caffe", "source": SO, "published": 50.0, "same_when_rounded": True},
        printed | {"library": "Keras", "source": SO, "published": 12.0, "same_when_rounded": False},
        printed | {"library": "All", "source": "both", "published": 0.5, "same_when_rounded": False, "unit": "p"},
        printed | {"library": "Keras", "source": SO, "published": 13.1, "reading": "approximate"},
        printed | {"library": "Keras", "source": SO, "published": 9.0, "year": 2016},
    )
    study.put("analysis.dataset_summary", {"library": "Keras", "posts": None, "post_bugs": 8, "commits": 3,
                                           "commit_bugs": 0, "published_posts": 567, "published_post_bugs": 8,
                                           "published_commits": 4})  # fmt: skip
    return study


def table(study, number):
    return tables.paper_tables(study.rows())[number - 1]


def lines(table, **options):
    return list(csv.reader(tables.as_csv(table, **options).splitlines()))


def test_shares_are_by_library_and_source_with_p_value_and_number_of_bugs(study):
    assert lines(table(study, 4), with_published=False) == [
        ["", "Caffe SO", "Caffe GH", "Keras SO", "Keras GH", "P value"],
        # 1 of 8 is 12.5 percent: halves are rounded away from zero
        ["Crash", "50", "100", "13", "", "0.1235"],
        ["Hang", "50", "0", "88", "", ""],
        ["Bugs", "2", "3", "8", "0", ""],
    ]


def test_numbers_are_followed_by_the_printed_ones_and_whether_they_differ(study):
    crash = lines(table(study, 4), with_published=True)[1]
    assert crash == ["Crash", "50", "50", "false", "100", "", "false", "13", "12", "true", "", "", "false",
                     "0.1235", "0.5000", "true"]  # fmt: skip


def test_missing_numbers_are_empty_and_do_not_differ(study):
    assert lines(table(study, 1), with_published=True)[1] == [
        "Keras", "", "567", "false", "8", "8", "false", "3", "4", "true", "0", "", "false",
    ]  # fmt: skip


def test_html_marks_differences_with_a_sign_and_escapes_names(study):
    study.put("analysis.effect_distribution", NASTY_ROW)
    page = tables.html(table(study, 4), with_published=True, notice="MADE UP")
    assert '<td class="n differs">13% <small>[12%]</small> <abbr title="differs">≠</abbr></td>' in page
    assert '<td class="n">50% <small>[50%]</small></td>' in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "MADE UP." in page


def test_latex_marks_differences_in_bold_and_escapes_names(study):
    study.put("analysis.effect_distribution", NASTY_ROW)
    source = tables.latex(table(study, 4), with_published=True, notice=None)
    assert r"\textbf{13\% (12\%)}" in source
    assert r"& 50\% (50\%) &" in source
    assert (
        r"50\% of \$x\_1\$ \& \{y\}\textasciitilde{}\#\textasciicircum{}\textbackslash{} \textless{}b\textgreater{}"
        r"\textbar{}\textbackslash{}\textquotedbl{}" in source
    )


def test_tables_without_printed_numbers_have_no_files_with_them(study):
    assert set(tables.files(table(study, 3), None)) == {"table3.csv", "table3.tex", "table3.html"}
    assert set(tables.files(table(study, 4), None)) == {
        f"table4{variant}.{suffix}" for variant in ("", "_beside_published") for suffix in ("csv", "tex", "html")
    }


def test_only_wide_tables_span_both_columns(study):
    assert tables.latex(table(study, 4), with_published=False, notice=None).startswith(r"\begin{table*}[t]")
    assert tables.latex(table(study, 1), with_published=False, notice=None).startswith(r"\begin{table}[t]")


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is missing: apt-get install texlive-latex-recommended")
def test_every_table_compiles_in_a_two_column_paper(study, tmp_path):
    study.put("analysis.effect_distribution", NASTY_ROW)
    sources = {name: content for one in tables.paper_tables(study.rows()) for name, content in
            tables.files(one, "SYNTHETIC: 100% made up").items() if name.endswith(".tex")}  # fmt: skip
    for name, content in sources.items():
        (tmp_path / name).write_bytes(content)
    inputs = "".join(rf"\input{{{name}}}" for name in sorted(sources))
    (tmp_path / "paper.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
        rf"\begin{{document}}{inputs}\end{{document}}"
    )
    assert PDFLATEX is not None
    built = subprocess.run(
        [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout[-2000:]
    assert "Overfull" not in built.stdout
    assert len(sources) == 6


def test_a_category_is_no_formula_in_csv():
    rows = (("=1+1", (tables.Cell("-1"),)), ("Crash", (tables.Cell("2%"),)))
    table = tables.Table("own", "Own", "Own", "select 1", (("@Keras", 1),), ("SO",), rows)
    assert tables.as_csv(table, with_published=False) == ",'@Keras SO\n'=1+1,-1\nCrash,2\n"
