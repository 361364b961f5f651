"""The notebook docs/notebook.py, run on the sample study: three figures, redrawn from the published database."""

import importlib.util
import shutil
import subprocess
import sys

import altair as alt
import duckdb
import polars as pl
import pytest
import vl_convert

from dlbug_assets.layout import PROJECT
from support.commands import environment

NOTEBOOK = PROJECT / "docs" / "notebook.py"
TEXT = NOTEBOOK.read_text(encoding="utf-8")


def run(home):
    """Return what the cells show and what they define."""
    spec = importlib.util.spec_from_file_location("notebook", NOTEBOOK)
    assert spec
    assert spec.loader
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLBUG_HOME", str(home))
        patch.setenv("DLBUG_STUDY", "sample")
        return notebook.app.run()


@pytest.fixture(scope="module")
def defined(sample):
    _, definitions = run(sample.home.root)
    return definitions


def test_the_distribution_has_every_category_with_bugs_and_its_interval(sample, defined):
    expected = sample.query(
        """select category, bugs, total, share, cluster_low, cluster_high from analysis.bug_type_distribution
        where source = 'both' and library = 'All' and bugs > 0"""
    )
    assert defined["shares"].sort("category").equals(expected.sort("category"))


def test_the_comparison_has_the_differences_of_the_sources(sample, defined):
    expected = sample.query(
        """select category, a.share - b.share as difference
        from analysis.bug_type_distribution as a
        inner join analysis.bug_type_distribution as b using (category, library)
        where a.source = 'GitHub' and b.source = 'Stack Overflow' and library = 'All' and a.bugs + b.bugs > 0"""
    )
    assert defined["differences"].select("category", "difference").sort("category").equals(expected.sort("category"))
    assert defined["differences"]["pair"].unique().to_list() == ["GitHub - Stack Overflow"]
    between = pl.col("difference").is_between("difference_low", "difference_high")
    assert defined["differences"].select(between.all()).item()


def test_the_similarity_has_every_pair_of_libraries(sample, defined):
    expected = sample.query(
        """select library_a, library_b, pearson, pearson_low, pearson_high from analysis.library_correlation
        where source = 'both' and dimension = 'bug_type' and pearson is not null order by library_a, library_b"""
    )
    assert expected.height > 0
    assert defined["correlations"].equals(expected)


@pytest.mark.parametrize(
    ("chart", "frame", "column"),
    [("distribution", "shares", "category"), ("comparison", "differences", "category"),
     ("similarity", "correlations", "library_b")],
)  # fmt: skip
def test_each_figure_is_drawn_with_all_names(defined, chart, frame, column):
    svg = vl_convert.vegalite_to_svg(defined[chart].to_dict(), allowed_base_urls=[])
    names = set(defined[frame][column])
    assert {name for name in names if f">{name}</text>" in svg} == names


def test_what_a_study_lacks_is_a_sentence_in_place_of_a_figure(sample, tmp_path):
    shutil.copyfile(sample.home.published, tmp_path / "sample.duckdb")
    with duckdb.connect(str(tmp_path / "sample.duckdb")) as connection:
        connection.execute("delete from analysis.bug_type_distribution; delete from analysis.library_correlation")
    outputs, _ = run(tmp_path)
    texts = [output.text for output in outputs if hasattr(output, "text")]
    assert [text for text in texts if "No bug has" in text or "There are no two" in text] == [
        f'<span class="markdown prose dark:prose-invert contents"><span class="paragraph">{sentence}</span></span>'
        for sentence in (
            "No bug has a label in this dimension.",
            "There are no two sources with bugs.",
            "There are no two libraries with bugs.",
        )
    ]
    assert [output for output in outputs if isinstance(output, alt.TopLevelMixin)] == []


def test_it_is_about_any_study(sample):
    named = sample.query(
        "select category from labeling.categories union select library from reference.libraries "
        "union select source from reference.sources union select dimension from reference.dimensions"
    )
    assert [name for name in named.to_series() if name in TEXT] == []


def test_it_runs_as_a_script_and_stops_where_nothing_is_published(sample, tmp_path):
    for home, status in [(sample.home.root, 0), (tmp_path, 1)]:
        result = subprocess.run(
            [sys.executable, NOTEBOOK], env=environment(home), capture_output=True, text=True, check=False, timeout=120
        )
        assert result.returncode == status, result.stderr
        assert ("there is no published database in" in result.stderr) == (status == 1)
