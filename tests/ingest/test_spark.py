"""Spark sessions: the errors if none can be opened, and tasks in one."""

import os
import socket
import subprocess
import sys

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import on_spark as clones_on_spark
from dlbug_assets.ingest import spark
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.protocol.study import load_study
from dlbug_assets.stackoverflow.dump import on_spark as dump_on_spark
from dlbug_assets.stackoverflow.dump.source import Dump
from support.spark_cluster import environment, local_session, needs_spark

REMOTE_DUMP = """
[study]
name = "remote"
title = "A remote dump"
seed = 1
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"
[sources]
posts = "dump"
dump_path = "s3a://bucket/Posts.xml"
commits = "api"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""
SCOPE = {"min_score": 0, "created_from": None, "created_until": None}


@pytest.mark.slow
def test_pyspark_is_not_imported_unless_a_session_is_requested():
    code = "import sys, dlbug_assets.cli, dlbug_assets.definitions; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.split(".")[0] in ("pyspark", "py4j")} == set()


@pytest.mark.parametrize("name", ["posts.7z", "s3a://bucket/Posts.xml.bz2"])
def test_compressed_dump_is_rejected_before_a_session_is_opened(name):
    with pytest.raises(DlbugError) as error:
        dump_on_spark.extract(name, {}, {}, address="spark://127.0.0.1:1", **SCOPE)
    assert str(error.value) == (
        f"{name} is compressed, so Spark cannot split it. Unpack it where Spark reads it (7z x) and name the "
        "Posts.xml; or unset DLBUG_SPARK to have it unpacked and read by this machine."
    )


def test_address_of_a_dump_is_not_resolved_and_is_rejected_without_spark(tmp_path):
    file = tmp_path / "remote.toml"
    file.write_text(REMOTE_DUMP)
    study = load_study(str(file))
    assert study.sources.dump_path == "s3a://bucket/Posts.xml"
    (collected,) = Dump(study, Landing(tmp_path / "landing", Clock()), tmp_path / "key").collect(["Keras"], sweep=False)
    assert str(collected.failure) == (
        "s3a://bucket/Posts.xml is an address, which only Spark can read: set DLBUG_SPARK, or name a file."
    )


def test_missing_java_is_reported_unless_a_server_has_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert dict(spark.missing_requirements("local[2]"))["Java"] == (
        "not found, but DLBUG_SPARK is set: install Java 17 or newer, or unset DLBUG_SPARK"
    )
    assert "Java" not in dict(spark.missing_requirements("sc://127.0.0.1"))


@needs_spark
@pytest.mark.parametrize("scheme", ["spark", "sc"])
def test_address_without_a_listener_is_reported_at_once(scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(DlbugError) as error, spark.session(address):
        pass
    assert str(error.value).startswith(f"no server responds at DLBUG_SPARK={address} (127.0.0.1:")
    assert str(error.value).endswith(
        "Connection refused). Start it, correct DLBUG_SPARK, or unset DLBUG_SPARK to work on this machine alone."
    )


@needs_spark
@pytest.mark.parametrize("address", ["spark://", "spark://host:port", "sc://:15002"])
def test_malformed_address_is_named(address):
    with pytest.raises(DlbugError, match=f"DLBUG_SPARK={address}: .* is not host:port"), spark.session(address):
        pass


@needs_spark
def test_one_of_several_masters_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as server:
        spark._require_listener(f"spark://127.0.0.1:1,127.0.0.1:{server.getsockname()[1]}")


OPEN_WITH_SHORT_LIMIT = """
import sys
from dlbug_assets.ingest import spark

spark._SECONDS = 10
try:
    with spark.session(sys.argv[1]):
        pass
except spark.UnreachableError as error:
    print(error)
"""


@needs_spark
@pytest.mark.slow
def test_server_that_does_not_respond_is_given_up(tmp_path):
    # In a process of its own, because the thread that opens the session keeps waiting.
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"spark://127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", OPEN_WITH_SHORT_LIMIT, address],
            env=os.environ | environment(tmp_path, 1 << 20), capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout == (
        f"DLBUG_SPARK={address} does not respond like Spark: waited 10 s. Start it, correct DLBUG_SPARK, or unset "
        "DLBUG_SPARK to work on this machine alone.\n"
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with local_session(tmp_path_factory.mktemp("conf")) as session:
        yield session


@needs_spark
@pytest.mark.slow
def test_each_item_is_a_task_and_results_keep_the_order_of_items(opened):
    items = [f"item {number}" for number in range(7)]
    results = list(spark.spark_map(opened, lambda item: (item.upper(), os.getpid()), items))
    assert [result for result, _ in results] == [item.upper() for item in items]
    assert os.getpid() not in {process for _, process in results}
    assert list(spark.spark_map(opened, str.upper, [])) == []


@needs_spark
@pytest.mark.slow
def test_error_of_a_task_is_raised_when_its_result_is_due(opened):
    def work(item):
        if item:
            raise DlbugError(f"item {item} is at fault")
        return "done"

    results = spark.spark_map(opened, work, [0, 1, 2])
    assert next(results) == "done"
    with pytest.raises(DlbugError, match="item 1 is at fault"):
        next(results)


@needs_spark
@pytest.mark.slow
def test_worker_that_does_not_see_the_clones_is_reported(opened, tmp_path):
    with pytest.raises(DlbugError) as error:
        list(spark.spark_map(opened, clones_on_spark._require, [tmp_path / "clones" / "mark"]))
    assert str(error.value).startswith(f"the worker {socket.gethostname()} does not see {tmp_path / 'clones'}. Set DLB")
