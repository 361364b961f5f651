"""The tables of a study as CSV, LaTeX and HTML, alone and with the printed numbers."""

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
    study.count("effect", SO, "All", {"Crash": 2, "Hang": 8})
    study.put("analysis.source_comparison", {"dimension": "effect", "category": "Crash", "p_paper_rounded": 0.12345})
    printed = {"reference": "table4", "dimension": "effect", "category": "Crash", "unit": "percent",
               "reading": "printed", "position": 1}  # fmt: skip
    study.put(
        "analysis.replication_diff",
        printed | {"library": "Caffe", "source": SO, "published": 50.0, "same_when_rounded": True},
        printed | {"library": "Keras", "source": SO, "published": 12.0, "same_when_rounded": False},
        printed | {"library": "All", "source": "both", "published": 0.5, "same_when_rounded": False, "unit": "p"},
        printed | {"library": "Caffe", "source": GH, "published": 90.0, "reading": "approximate"},
    )
    study.put("analysis.dataset_sizes", {"library": "Keras", "source": SO, "bugs": 162})
    study.put("analysis.dataset_sizes", {"library": "Keras", "source": GH, "items": 3, "bugs": 0})
    return study


def table(study, name):
    return next(table for table in tables.study_tables(study.study, study.rows()) if table.name == name)


def latex(study, name):
    return tables.latex(table(study, name), with_published=False, notice=None)


def lines(table, **options):
    return list(csv.reader(tables.as_csv(table, **options).splitlines()))


def test_shares_are_by_library_and_source_with_p_value_and_number_of_bugs(study):
    assert lines(table(study, "effect_shares"), with_published=False) == [
        ["", "Caffe SO", "Caffe GH", "Keras SO", "Keras GH", "All SO", "P value"],
        # 1 of 8 is 12.5 percent: halves are rounded away from zero
        ["Crash", "50", "100", "13", "", "20", "0.1235"],
        ["Hang", "50", "0", "88", "", "80", ""],
        ["Bugs", "2", "3", "8", "0", "10", ""],
    ]


def test_numbers_are_followed_by_the_printed_ones_and_whether_they_differ(study):
    crash = lines(table(study, "effect_shares"), with_published=True)[1]
    assert crash == ["Crash", "50", "50", "false", "100", "", "false", "13", "12", "true", "", "", "false",
                     "20", "", "false", "0.1235", "0.5000", "true"]  # fmt: skip


def test_missing_numbers_are_empty_and_do_not_differ(study):
    assert lines(table(study, "dataset_sizes"), with_published=True)[2] == [
        "Keras", "", "567", "false", "162", "162", "false", "3", "100", "true", "0", "348", "true",
    ]  # fmt: skip


def test_html_marks_differences_with_a_sign_and_escapes_names(study):
    study.put("analysis.effect_distribution", NASTY_ROW)
    page = tables.html(table(study, "effect_shares"), with_published=True, notice="MADE UP")
    assert '<td class="n differs">13% <small>[12%]</small> <abbr title="differs">≠</abbr></td>' in page
    assert '<td class="n">50% <small>[50%]</small></td>' in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "MADE UP." in page


def test_latex_marks_differences_in_bold_and_escapes_names(study):
    study.put("analysis.effect_distribution", NASTY_ROW)
    source = tables.latex(table(study, "effect_shares"), with_published=True, notice=None)
    assert r"\textbf{13\% (12\%)}" in source
    assert r"& 50\% (50\%) &" in source
    assert (
        r"50\% of \$x\_1\$ \& \{y\}\textasciitilde{}\#\textasciicircum{}\textbackslash{} \textless{}b\textgreater{}"
        r"\textbar{}\textbackslash{}\textquotedbl{}" in source
    )


def test_tables_without_printed_numbers_have_no_files_with_them(study):
    study.count("stage", SO, "Caffe", {"Training": 1})
    assert set(tables.files(table(study, "stage_shares"), None)) == {
        f"stage_shares.{suffix}" for suffix in ("csv", "tex", "html")
    }
    names = ("effect_shares", "effect_shares_beside_published")
    assert set(tables.files(table(study, "effect_shares"), None)) == {
        f"{name}.{suffix}" for name in names for suffix in ("csv", "tex", "html")
    }


def test_a_dimension_without_labels_has_no_table(study):
    study.count("stage", SO, "Caffe", {})
    shown = tables.study_tables(study.study, study.rows())
    assert [table.name for table in shown] == ["dataset_sizes", "effect_shares"]


def test_tables_have_the_numbers_of_the_printed_ones(study):
    study.count("stage", SO, "Caffe", {"Training": 1})
    assert [table.label for table in tables.study_tables(study.study, study.rows())] == [
        "Table 1", "Table 4", "Table S1",
    ]  # fmt: skip


def test_only_wide_tables_span_both_columns(study):
    assert latex(study, "effect_shares").startswith(r"\begin{table*}[t]")
    assert latex(study, "dataset_sizes").startswith(r"\begin{table}[t]")


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is missing: apt-get install texlive-latex-recommended")
def test_every_table_compiles_in_a_two_column_paper(study, tmp_path):
    study.put("analysis.effect_distribution", NASTY_ROW)
    sources = {name: content for one in tables.study_tables(study.study, study.rows()) for name, content in
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
    assert len(sources) == 4


def test_a_category_is_no_formula_in_csv():
    rows = (("=1+1", (tables.Cell("-1"),)), ("Crash", (tables.Cell("2%"),)))
    table = tables.Table("own", "Own", "Own", "select 1", (("@Keras", 1),), ("SO",), rows)
    assert tables.as_csv(table, with_published=False) == ",'@Keras SO\n'=1+1,-1\nCrash,2\n"
