"""The growth benchmark: its arithmetic, the marks of a process, and the larger sample that it measures."""

import csv
import json
import math
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest

from benchmarks.chart import growth_chart, ratio_chart
from benchmarks.growth import (
    Mark,
    aligned,
    exponent,
    exponent_of_n_log_n,
    growth,
    markdown,
    step,
    watched,
    write_csv,
)
from benchmarks.growth_run import study_file
from benchmarks.harness import WHOLE_RUN, Comparison, Outcome, Row, Run, Step
from dlbug_assets.github.sources import Sample as SampleCommits
from dlbug_assets.protocol.study import load_study
from dlbug_assets.stackoverflow.sources import Sample as SamplePosts


def run(factor, *steps, whole):
    return Run(factor, {"stackoverflow.raw_posts": 100 * factor}, 1.0, Step(WHOLE_RUN, *whole), steps)


RUNS = [
    run(1, Step("reference", 0.9, 0.25, 80), Step("labeling.items", 1.0, 1.0, 90.4), whole=(3.0, 2.0, 91)),
    run(10, Step("reference", 1.1, 0.30, 81), Step("labeling.items", 9.0, 10.0, 120), whole=(30.0, 12.0, 121)),
]


def test_exponent_is_the_slope_between_logarithms():
    assert exponent((1, 10), (3.0, 30.0)) == pytest.approx(1)
    assert exponent((10, 100), (2.0, 200.0)) == pytest.approx(2)
    assert exponent((1, 10), (5.0, 5.0)) == 0


def test_exponent_of_n_log_n_approaches_1():
    assert exponent_of_n_log_n((100, 10_000)) == pytest.approx(1 + math.log(2) / math.log(100))
    assert exponent_of_n_log_n((1_000, 10_000)) > exponent_of_n_log_n((10_000, 100_000)) > 1


def test_step_uses_the_marks_from_its_start_to_the_first_after_its_end():
    marks = [Mark(1, 0.5, 900), Mark(2, 1.0, 50), Mark(3, 2.5, 70), Mark(4, 3.0, 60), Mark(5, 9.0, 800)]
    assert step("a", 1.5, 3.5, marks) == Step("a", 2.0, 3.0 - 0.5, 70)
    assert step("to the end", 4.5, 5.5, marks) == Step("to the end", 1.0, 9.0 - 3.0, 800)


def test_table_has_no_exponent_for_a_short_step():
    assert growth(RUNS) == [
        ["step", "s, 1 x", "s, 10 x", "1 to 10 x", "MiB, 1 x", "MiB, 10 x"],
        ["reference", "0.25", "0.30", "", "80", "81"],
        ["labeling.items", "1.00", "10.00", "1.00", "90", "120"],
        ["the whole run", "2.00", "12.00", "0.78", "91", "121"],
    ]


def test_table_is_formatted_for_the_terminal_and_in_markdown():
    table = [["step", "s"], ["items", "10.00"]]
    assert aligned(table).splitlines() == ["step       s", "items  10.00"]
    assert markdown(table) == "| step | s |\n| --- | ---: |\n| items | 10.00 |\n"


def test_runs_round_trip_through_json_and_are_written_as_csv(tmp_path: Path):
    assert Run.read(json.dumps(asdict(RUNS[1]))) == RUNS[1]
    write_csv(tmp_path / "growth.csv", RUNS)
    with (tmp_path / "growth.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["factor", "step", "seconds", "processor_seconds", "peak_mib"]
    assert rows[-1] == ["10", "the whole run", "30.00", "12.00", "121"]
    assert len(rows) == 1 + 2 * 3


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
def test_peak_between_two_marks_is_measured_once():
    # The process allocates 200 MiB, frees them, prints a line and waits.
    program = (
        "import mmap, sys\nm = mmap.mmap(-1, 200 << 20); m.write(b'x' * (200 << 20)); m.close()\nprint(flush=True)\n"
    )
    marks: list[Mark] = []
    with subprocess.Popen(
        [sys.executable, "-c", program + "sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        with watched(process.pid, marks):
            assert process.stdout.readline()
            freed_at = time.time()
            while sum(mark.at > freed_at for mark in marks) < 3:
                time.sleep(0.01)
        process.stdin.close()
    assert max(mark.peak_mib for mark in marks) > 200
    assert marks[-1].peak_mib < 200
    assert marks[-1].processor_seconds >= marks[0].processor_seconds >= 0


def test_charts_show_every_stage_and_every_comparison():
    picture = growth_chart(RUNS)
    assert {name for name in ("reference", "labeling", "the whole run") if f">{name}<" in picture} == {
        "reference", "labeling", "the whole run",
    }  # fmt: skip
    assert "1 times the size 2 s, 91 MiB; 10 times the size 12 s, 121 MiB" in picture
    comparison = Comparison("copy & paste", "cp", lambda: Outcome(1, 1, {}), lambda: Outcome(2, 1, {}))
    rows = [Row(comparison, [Outcome(1.0, 10, {})], [Outcome(2.0, 10, {})])]
    assert "copy &amp; paste" in ratio_chart(rows)
    assert ">0.50<" in ratio_chart(rows)


@pytest.mark.slow
def test_study_of_three_times_the_size_has_three_times_the_posts_and_repositories(tmp_path: Path):
    study = load_study(str(study_file(3, tmp_path)))
    shipped = load_study("sample")
    assert study.sources.sample_size == 3
    assert study.selection.commits_per_library == 300
    assert study.labeling.antipattern_posts_per_library == 90
    assert [library.max_repositories for library in study.libraries] == [3000] * 5

    def rows(source, name, library="Theano"):
        return pl.concat(list(source.load(library, read_current=None)[name].frame))

    for name, key in (("raw_posts", "post_id"), ("raw_answers", "answer_id")):
        three, one = rows(SamplePosts(study), name), rows(SamplePosts(shipped), name)
        assert three.height == 3 * one.height == three[key].n_unique()
        # The first part is the sample of size 1 under three times its numbers.
        first = three.filter(pl.col(key) % 3 == 0)
        assert (first[key] // 3).to_list() == one[key].to_list()
        assert first["body_html"].to_list() == one["body_html"].to_list()
    three, one = rows(SampleCommits(study), "repositories"), rows(SampleCommits(shipped), "repositories")
    assert three.height == three["repository_id"].n_unique() == 3 * one.height == 150
    three, one = rows(SampleCommits(study), "fix_commits"), rows(SampleCommits(shipped), "fix_commits")
    assert three.head(one.height).equals(one)
    assert three.height == pytest.approx(3 * one.height, rel=0.1)
    assert three.select("repository_id", "sha").is_unique().all()
