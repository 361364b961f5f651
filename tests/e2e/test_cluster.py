"""A study on a real standalone cluster, run by the dlbug command.

It has the same rows as on one machine, even if a worker is killed during the run.
"""

import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.layout import Home
from support.commands import DLBUG, Ran, command, environment, query
from support.dumps import dump_with_problems
from support.repositories import GitRepository
from support.spark_cluster import Cluster, ConnectServer, needs_spark

pytestmark = [
    needs_spark,
    pytest.mark.skipif(sys.platform != "linux", reason="the worker that runs a task is found in /proc"),
    pytest.mark.timeout(900),
]

STUDY = """
[study]
name = "clustered"
title = "On a cluster"
seed = 1
[selection]
commits_per_library = 20
require_code = false
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = ["./r0", "./r1", "./r2", "./r3", "./empty"]
[[libraries]]
name = "Torch"
tags = ["torch", "pytorch"]
repositories = ["./r4", "./r5"]
[sources]
posts = "dump"
dump_path = "Posts.xml"
commits = "clone"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""
POSTS, COMMITS = "group:stackoverflow", "group:github"
#: Columns that differ between two runs of the same study.
INCIDENTAL = ("retrieved_at", "collection", "begun_at", "finished_at")
TABLES = {
    POSTS: ("raw_posts", "raw_answers", "irregularities", "collections", "candidate_posts", "funnel"),
    COMMITS: ("repositories", "fix_commits", "collections", "sampled_commits"),
}
#: The size of a split in bytes: the dump has dozens of splits.
SPLIT = 24 << 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("cluster"), SPLIT)
    yield started
    started.stop()


class Clustered:
    """The study with its sources; each run has a home of its own."""

    def __init__(self, folder):
        self.folder, self.study = folder, folder / "clustered.toml"
        self.study.write_text(STUDY, encoding="utf-8")
        (folder / "Posts.xml").write_bytes(dump_with_problems(2_500))
        for number in range(6):
            repository = GitRepository(folder / f"r{number}")
            repository.commit(f"fix r{number}", {"a.py": f"{number}\n"})
            repository.many(f"{'fix' if commit % 3 else 'add'} r{number} {commit}" for commit in range(60))
        GitRepository(folder / "empty")
        self.here = self.run(self.home("here"), f"group:reference or {POSTS} or {COMMITS}")

    def home(self, name):
        home = Home(self.folder / name, "clustered")
        if name != "here":  # the same key for hashes
            home.folder.mkdir(parents=True)
            shutil.copy(self.folder / "here" / "clustered" / "secret.key", home.secret_key)
        return home

    def run(self, home, select, **more):
        result = command(home.root, "run", "--study", str(self.study), "--select", select, **more)
        # Every step succeeds, and the rows that cannot be read make the posts incomplete.
        assert result.returncode == 1, result.stderr
        assert "steps failed" not in result.stderr
        assert "Keras on Stack Overflow: its query is unread (12 of the 2525 rows of Posts.xml" in result.stderr
        return Ran(home, result)

    @contextmanager
    def start(self, home, select, **more):
        """Yield a run and the file of its output, which nobody reads meanwhile: a full pipe would stop the run."""
        arguments = [DLBUG, "run", "--study", self.study, "--select", select]
        output = self.folder / f"{home.root.name}.txt"
        with (
            output.open("w") as file,
            subprocess.Popen(
                arguments, env=environment(home.root, **more), stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT,
            ) as run,
        ):  # fmt: skip
            yield run, output

    def has_the_same_rows(self, home, *groups):
        for group in groups:
            for table in TABLES[group]:
                columns = f"columns(lambda name: name not in {INCIDENTAL})"
                rows = f"select {columns} from {group.removeprefix('group:')}.{table} order by all"
                expected = self.here.query(rows)
                assert_frame_equal(query(home, rows), expected)
                assert expected.height, table


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    return Clustered(tmp_path_factory.mktemp("clustered"))


def test_posts_and_commits_are_the_same_as_on_one_machine(cluster, clustered):
    home = clustered.home("there")
    spark = {"DLBUG_SPARK": cluster.address, **cluster.variables}
    there = clustered.run(home, f"group:reference or {POSTS} or {COMMITS}", **spark)
    clustered.has_the_same_rows(home, POSTS, COMMITS)
    assert f"Spark at {cluster.address}: a session is open" in there.result.stderr
    # Data that the cluster has read is not read again without it.
    again = clustered.run(home, f"group:reference or {POSTS} or {COMMITS}")
    assert "Keras: dump, this dump has been read before" in again.result.stderr
    assert "Keras: clone, 5 repositories, nothing new" in again.result.stderr


def test_a_connect_server_yields_the_same_rows(clustered, tmp_path):
    server = ConnectServer(tmp_path, SPLIT)
    try:
        home = clustered.home("connected")
        spark = {"DLBUG_SPARK": server.address, "JAVA_HOME": "/nowhere"}  # only the server needs Java
        clustered.run(home, f"group:reference or {POSTS} or {COMMITS}", **spark)
        clustered.has_the_same_rows(home, POSTS, COMMITS)
    finally:
        server.stop()


@pytest.mark.parametrize("group", [POSTS, COMMITS])
def test_a_worker_that_is_killed_during_the_run_does_not_change_the_rows(cluster, clustered, group):
    while len(cluster.workers) < 2:
        cluster.add_worker()
    home = clustered.home(f"killed-{group.removeprefix('group:')}")
    spark = {"DLBUG_SPARK": cluster.address, **cluster.variables}
    with clustered.start(home, f"group:reference or {group}", **spark) as (run, output):
        lost = cluster.kill_worker(run)
        assert lost, f"the run ended before a worker had a task:\n{output.read_text()}"
        assert run.poll() is None, "the run had ended before the worker was lost"
    assert lost.returncode == -9
    assert run.returncode == 0, output.read_text()
    clustered.has_the_same_rows(home, group)
