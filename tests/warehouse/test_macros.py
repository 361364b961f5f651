"""Table macros in the published database: share, kappa_at and compare, in dlbug's DuckDB and in DuckDB's own shell."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from dlbug_assets.layout import MACROS
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.macros import create_macros, macro_files, stored_macros
from support.tiny_tables import SPEC, bugs

SHELL = Path(sys.executable).parent / "duckdb"
#: source, library, category, bugs, total
SHARES = [
    ("both", "All", "Crash", 30, 100), ("GitHub", "All", "Crash", 10, 60), ("Forum", "All", "Crash", 20, 40),
    ("GitHub", "All", "Hang", 50, 60), ("Forum", "All", "Hang", 20, 40),
    ("GitHub", "Keras", "Crash", 4, 30), ("GitHub", "Torch", "Crash", 6, 30), ("GitHub", "Jax", "Crash", 0, 0),
]  # fmt: skip
KAPPAS = [("all", "is_bug", 5, "cumulative", 0.1), ("all", "is_bug", 10, "cumulative", 0.8),
          ("all", "is_bug", 10, "increment", 0.9), ("Forum", "is_bug", 10, "cumulative", 0.7)]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    """Return a database of the tables that macros read; clusters have one bug, so that both intervals are the same."""
    path = tmp_path / "tiny.duckdb"
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{path}' as tiny (storage_version 'v1.2.0'); use tiny")
        connection.execute("create schema analysis; create schema labeling")
        connection.execute("""create table analysis.effect_distribution (source text, library text, category text,
            bugs bigint, total bigint, share double, share_low double, share_high double, undefined_reason text,
            cluster_low double, cluster_high double, cluster_undefined_reason text)""")
        for source, library, category, count, total in SHARES:
            low, high = proportion_confint(count, total, method="wilson") if total else (None, None)
            share, reason = (count / total, None) if total else (None, "no bugs")
            row = [source, library, category, count, total, share, low, high, reason, low, high, reason]
            connection.execute(f"insert into analysis.effect_distribution values ({', '.join('?' * 12)})", row)
        connection.execute("""create table labeling.kappa_checkpoints (source text, dimension text, checkpoint int,
            scope text, kappa double, "round" int default 1, units int, waiting int, kappa_low double,
            kappa_high double, kappa_boot_low double, kappa_boot_high double, reached_target bool, disagree_most text,
            undefined_reason text)""")
        for row in KAPPAS:
            connection.execute(
                "insert into labeling.kappa_checkpoints (source, dimension, checkpoint, scope, kappa) "
                "values (?, ?, ?, ?, ?)", list(row)
            )  # fmt: skip
        create_macros(connection)
    return path


def rows(path, query):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_share_has_numbers_and_intervals_of_each_source(path):
    found = rows(path, "select source, bugs, total, share from share('effect', 'Crash') order by source")
    assert found == [("Forum", 20, 40, 0.5), ("GitHub", 10, 60, 10 / 60), ("both", 30, 100, 0.3)]
    assert rows(
        path, "select * exclude (source, library, category) from share('effect', 'Crash', source := 'both')"
    ) == [(30, 100, 0.3, *proportion_confint(30, 100, method="wilson") * 2, None)]


def test_share_of_a_library_has_all_categories_unless_one_is_given(path):
    assert rows(path, "select source, category, bugs from share('effect', library := 'Torch')") == [
        ("GitHub", "Crash", 6)
    ]
    assert rows(path, "select category from share('effect', source := 'GitHub') order by all") == [
        ("Crash",), ("Hang",)
    ]  # fmt: skip
    assert rows(path, "from share('effect', 'Crsh')") == []
    assert rows(path, "select share, share_low, undefined_reason from share('effect', library := 'Jax')") == [
        (None, None, "no bugs")
    ]


def test_compare_has_the_difference_of_each_pair_with_newcombes_interval(path):
    ((a, b, difference, low, high),) = rows(
        path, "select a, b, difference, difference_low, difference_high from compare('effect') where category = 'Crash'"
    )
    assert (a, b) == ("Forum", "GitHub")
    assert difference == pytest.approx(20 / 40 - 10 / 60)
    assert (low, high) == pytest.approx(confint_proportions_2indep(20, 40, 10, 60, method="newcomb", compare="diff"))


def test_compare_across_libraries_has_every_pair_in_one_source(path):
    query = (
        "select category, a, b, bugs_a, bugs_b, difference from compare('effect', across := 'library', source := '{}')"
    )
    assert sorted(rows(path, query.format("GitHub"))) == [
        ("Crash", "Jax", "Keras", 0, 4, None),
        ("Crash", "Jax", "Torch", 0, 6, None),
        ("Crash", "Keras", "Torch", 4, 6, pytest.approx(-2 / 30)),
    ]
    assert rows(path, query.format("Forum")) == []


def test_kappa_at_selects_checkpoint_source_and_scope(path):
    kappas = "select kappa from kappa_at"
    assert rows(path, f"{kappas}(5)") == [(0.1,)]
    assert rows(path, f"{kappas}(10)") == [(0.8,)]
    assert rows(path, f"{kappas}(10, scope := 'increment')") == [(0.9,)]
    assert rows(path, f"{kappas}(10, source := 'Forum')") == [(0.7,)]
    assert rows(path, f"{kappas}(7)") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from share()", 'Candidate macros:\n\t"share"\\(dimension, category := NULL, library'),
        ("from share('efect')", 'efect_distribution does not exist!\nDid you mean "effect_distribution"'),
        ("from compare('effect', across := 'year')", "compare: across is 'source' or 'library'"),
        ("from share('effect', lib := 'Keras')", "lib"),
    ],
)
def test_arguments_that_do_not_fit_are_an_error_that_names_them(path, query, message):
    with pytest.raises(duckdb.Error, match=message):
        rows(path, query)


@pytest.mark.parametrize(
    "query",
    [
        "from share('effect', 'Crash', source := 'both')",
        "from compare('effect') where category = 'Crash'",
        "from compare('effect', across := 'library', source := 'GitHub') order by all",
        "from kappa_at(10, source := 'Forum')",
    ],
)
def test_duckdbs_own_shell_returns_the_same(path, query):
    result = subprocess.run(
        [SHELL, "-readonly", "-csv", path, query], capture_output=True, text=True, check=True, timeout=60
    )
    _, *printed = csv.reader(io.StringIO(result.stdout))
    as_text = [["NULL" if value is None else str(value) for value in row] for row in rows(path, query)]
    assert printed == as_text


def test_comments_of_the_files_are_those_of_the_macros(path):
    comments = dict(
        rows(
            path,
            "select function_name, comment from duckdb_functions() where not internal",
        )
    )
    assert sorted(comments) == [file.stem for file in macro_files()] == ["compare", "kappa_at", "share"]
    assert comments["share"].startswith("Shares of the categories of a dimension, with the number of bugs and 95% ")


def test_publishing_stores_the_macros_whose_tables_exist_and_drops_others(home, tmp_path):
    with Warehouse(home, "a test") as warehouse:
        warehouse.replace(SPEC, bugs((1, "Keras")))
        warehouse.connection.execute("create macro former() as table select 1")
        warehouse.publish()
    with duckdb.connect(str(home.published), read_only=True) as connection:
        # No checkpoints were computed, so that kappa_at has nothing to read.
        assert stored_macros(connection) == {"compare", "share"}


def test_files_of_macros_run_again_unchanged(path):
    with duckdb.connect(str(path)) as connection:
        for file in MACROS.glob("*.sql"):
            connection.execute(file.read_text(encoding="utf-8"))
        create_macros(connection)
        assert stored_macros(connection) == {"compare", "kappa_at", "share"}
