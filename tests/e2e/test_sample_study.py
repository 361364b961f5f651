"""The synthetic study end to end: one command, no network, every table, and the agreement of the paper's raters."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.table_specs import load_specs
from support.commands import environment, run_twice_at_once

SPECS = load_specs(study=load_study("sample"))


def test_the_run_prints_sizes_kappas_findings_and_paths(sample):
    output = sample.result.stdout
    assert "SYNTHETIC" in output
    assert "Dataset: Stack Overflow (SO), GitHub (GH)" in output
    assert "Cohen's kappa over all sources, with 95% intervals" in output
    findings = output.partition("Findings")[2].partition("Claims: ")[0]
    lines = [" ".join(line.split()) for line in findings.splitlines() if line.split() and line.split()[0].isdigit()]
    # Beside the verdicts is the headline.
    headlines = sample.query(
        "select finding, verdict, support, claim from analysis.finding_verdicts "
        "join analysis.claims using (finding, support) where role = 'headline' order by 1"
    ).rows()
    assert len(lines) == 21
    for line, (finding, verdict, support, claim) in zip(lines, headlines, strict=True):
        assert line.startswith(f"{finding} {verdict} {support} ")
        assert claim.split()[0] in line
    assert f"Database: {sample.home.published}" in output
    assert f"Report:   {sample.home.report / 'index.html'}" in output


def test_the_published_databases_metadata_summarize_its_run(sample):
    with dg.DagsterInstance.from_config(str(sample.home.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["publishing", "database"]))
        assert event
        stats = instance.get_run_stats(event.run_id)
    summary: dict[str, Any] = {name: value.value for name, value in metadata_of(event).items()}
    # Its own step and the report's, which may run after it, are not counted.
    assert summary["steps done"] in (stats.steps_succeeded - 1, stats.steps_succeeded - 2)
    assert summary["steps failed"] == 0
    assert stats.materializations - 2 <= summary["tables written"] < stats.materializations
    assert stats.start_time
    assert stats.end_time
    assert summary["seconds so far"] <= stats.end_time - stats.start_time + 0.1
    assert summary["failed checks"] == "none"
    counted = sample.query("select verdict, count(*) from analysis.finding_verdicts group by verdict order by verdict")
    assert summary["findings"] == ", ".join(f"{count} {verdict}" for verdict, count in counted.rows())


def metadata_of(event):
    assert event.asset_materialization
    return event.asset_materialization.metadata


def test_step_lines_bypass_the_redirection_of_standard_error(sample):
    redirected = list(sample.home.dagster_home.glob("storage/*/compute_logs/*.err"))
    assert redirected
    assert all("done" not in path.read_text(encoding="utf-8") for path in redirected)
    assert sample.result.stderr.count("  done    ") > 30


def test_log_lines_of_steps_are_on_the_terminal_and_in_the_event_log_once(sample):
    line = "Keras: generated on loading"
    assert sample.result.stderr.count(f"          {line}\n") == 2
    with dg.DagsterInstance.from_config(str(sample.home.dagster_home)) as instance:
        entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    steps = [entry.step_key for entry in entries if entry.user_message == line]
    assert sorted(map(str, steps)) == ["github__landing", "stackoverflow__landing"]


def test_every_materialization_records_the_hash_of_the_protocol(sample):
    with dg.DagsterInstance.from_config(str(sample.home.dagster_home)) as instance:
        events = [instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()]
    hashes = {str(metadata_of(event)["study_hash"].value) for event in events}
    assert len(events) > len(SPECS)
    assert hashes == {load_study("sample").hash}


def test_every_described_table_is_published_with_comments(sample):
    tables = sample.query(
        "select schema_name || '.' || table_name as name, comment from duckdb_tables() where comment is not null"
    )
    assert set(tables["name"]) == set(SPECS)
    uncommented = sample.query("select table_name from duckdb_columns() where not internal and comment is null")
    assert uncommented.height == 0


def test_its_size_is_close_to_the_papers(sample):
    total = sample.query("from analysis.dataset_summary where library = 'Total'").row(0, named=True)
    assert abs(total["posts"] - total["published_posts"]) < 0.03 * total["published_posts"]
    assert total["commits"] == total["published_commits"]
    assert abs(total["post_bugs"] - total["published_post_bugs"]) < 0.1 * total["published_post_bugs"]
    assert abs(total["commit_bugs"] - total["published_commit_bugs"]) < 0.1 * total["published_commit_bugs"]


def test_the_raters_agreement_develops_as_in_the_paper(sample):
    kappas = dict(
        sample.query(
            "select checkpoint, kappa from labeling.kappa_checkpoints "
            "where source = 'all' and dimension = 'bug_type' and scope = 'cumulative'"
        ).iter_rows()
    )
    assert list(kappas) == [5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert abs(kappas[5]) <= 0.1
    assert abs(kappas[10] - 0.82) <= 0.1
    assert min(kappa for checkpoint, kappa in kappas.items() if checkpoint > 10) > 0.9


def test_output_and_report_are_marked_as_synthetic(sample):
    info = dict(sample.query("from publishing.study_info").iter_rows())
    assert info["is_synthetic"] == "true"
    assert info["notice"].startswith("SYNTHETIC")
    assert '<p class="notice">SYNTHETIC' in (sample.home.report / "index.html").read_text(encoding="utf-8")


def test_undefined_numbers_are_null_and_never_nan(sample):
    for table, spec in SPECS.items():
        doubles = [f'isnan("{column.name}")' for column in spec.columns if column.data_type == "DOUBLE"]
        if doubles:
            assert sample.query(f"from {table} where {' or '.join(doubles)}").is_empty(), table


def test_stages_and_antipatterns_are_labelled(sample):
    totals = dict(
        sample.query(
            "select dimension, max(total) from analysis.label_counts where source = 'Stack Overflow' group by dimension"
        ).iter_rows()
    )
    assert totals["stage"] == totals["bug_type"]
    assert 0 < totals["antipattern"] < totals["bug_type"]


def test_duckdbs_own_shell_opens_the_published_file(sample):
    shell = sys.executable.replace("python", "duckdb").replace("duckdb3", "duckdb")
    result = subprocess.run(
        [shell, "-readonly", "-csv", sample.home.published, "select count(*) as findings from analysis.findings"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split() == ["findings", "40"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--format", "csv"), "library,posts\nCaffe,"),
        (("--format", "json"), '[{"library":"Caffe","posts":'),
        (("--format", "table"), "│ library │"),
    ],
)
def test_sql_prints_several_formats(sample, dlbug, arguments, expected):
    query = "select library, posts from analysis.dataset_summary limit 1"
    result = dlbug("sql", query, *arguments, home=sample.home.root)
    assert result.returncode == 0
    assert expected in result.stdout


def test_sql_writes_parquet(sample, dlbug, tmp_path):
    target = tmp_path / "verdicts.parquet"
    query = "from analysis.finding_verdicts"
    result = dlbug("sql", query, "--format", "parquet", "--output", str(target), home=sample.home.root)
    assert result.returncode == 0, result.stderr
    assert pl.read_parquet(target).height == 21


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("delete from analysis.findings", "error: DELETE is refused: a query can only read: SELECT, "),
        (
            "select * from analysis.nothing",
            "error: the query failed: Catalog Error: Table with name nothing does not exist",
        ),
        ("selec", "error: the query failed: Parser Error: syntax error"),
    ],
)
def test_a_failing_query_is_one_message(sample, dlbug, query, expected):
    result = dlbug("sql", query, home=sample.home.root)
    assert result.returncode == 1
    assert result.stderr.startswith(expected)
    assert "Traceback" not in result.stderr


def test_the_sql_prompt_runs_queries_until_the_input_ends(sample):
    result = subprocess.run(
        [sys.executable, "-m", "dlbug_assets.cli", "sql"],
        env=environment(sample.home.root),
        input="select count(*) as n\nfrom analysis.finding_verdicts;\nselect nonsense;\n.quit\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "21" in result.stdout
    assert "error: the query failed" in result.stderr


def test_two_runs_at_once_wait_for_each_other(sample):
    runs = run_twice_at_once(sample.home.root, "run", "--select", "group:stackoverflow")
    assert [run.returncode for run in runs] == [0, 0], runs
    assert sum("waiting for the writer's lease, held by run " in run.stderr for run in runs) == 1


def test_each_steps_line_has_rows_in_rows_out_and_seconds_in_text_and_json(sample, dlbug):
    log = sample.result.stderr
    assert re.search(r"^  done    stackoverflow\.raw_posts  8,578 rows in, 8,455 rows out  \d+\.\d s$", log, re.M)
    assert re.search(r"^  done    stackoverflow\.funnel  [\d,]+ rows in, 5 rows out  \d+\.\d s$", log, re.M)
    selection = 'key:"stackoverflow/funnel"'
    result = dlbug("run", "--select", selection, "--log-format", "json", home=sample.home.root)
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    funnel = next(line for line in lines if line.get("step") == "stackoverflow.funnel")
    assert {"outcome": "done", "rows_out": 5}.items() <= funnel.items()
    assert set(funnel) == {"time", "run", "step", "outcome", "rows_in", "rows_out", "seconds"}
    assert datetime.fromisoformat(funnel["time"]).utcoffset() == timedelta(0)


def test_selected_libraries_can_be_collected_alone(dlbug, tmp_path):
    selection = "group:stackoverflow or group:reference"
    result = dlbug("run", "--libraries", "Torch,Keras", "--select", selection)
    assert result.returncode == 0, result.stderr
    assert "Keras: raw_posts: 650 rows written" in result.stderr, result.stderr
    database, next_step = result.stdout.splitlines()
    assert database == f"Database: {tmp_path / 'home' / 'sample.duckdb'}"
    assert next_step.endswith("dlbug sql --study sample")
    found = dlbug("sql", "select distinct library from stackoverflow.raw_posts order by 1", "--format", "csv")
    assert found.stdout.split() == ["library", "Keras", "Torch"]
