"""Reading clones on Spark results in the same rows and clones as reading them in threads."""

import logging
from functools import partial
from pathlib import Path

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import on_spark
from dlbug_assets.github.clones.histories import CloneHistories
from dlbug_assets.github.clones.workers import in_threads
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Landing
from support.followed_repositories import STUDY
from support.repositories import GitRepository
from support.spark_cluster import environment, needs_spark

pytestmark = [needs_spark, pytest.mark.slow]


@pytest.fixture
def collect(tmp_path, monkeypatch, caplog):
    """Collect in threads or on Spark; return notes, warnings, remote states and the rows of commits and changes."""
    caplog.set_level(logging.WARNING)
    for name, value in environment(tmp_path / "conf", 1 << 20).items():
        monkeypatch.setenv(name, value)

    def collected(home: str, repositories: list[Repository], spark: str | None):
        workers = partial(on_spark.workers, spark) if spark else in_threads
        root = tmp_path / home
        histories = CloneHistories(
            STUDY, STUDY.libraries[0], Landing(root / "landing", Clock()), root / "clones", workers
        )
        caplog.clear()
        notes = histories.collect(repositories)
        warnings = [record.getMessage() for record in caplog.records if record.name.startswith("dlbug_assets.")]
        rows = histories.commits(repositories).rows(), histories.changes().rows()
        return notes, warnings, histories.remote_states(), *rows

    return collected


def test_spark_collects_the_same_as_threads_and_either_continues_the_others_clones(collect, tmp_path):
    remotes = {name: GitRepository(tmp_path / name) for name in ("one", "two", "none")}
    for name in ("one", "two"):
        for number in range(4):
            remotes[name].commit(f"fix {name} {number}", {f"{number}.py": f"{name}\n" * number})
    followed = [Repository(str(tmp_path / name), f"jane/{name}") for name in ("one", "nowhere", "none", "two")]
    first = collect("here", followed, None)
    assert collect("there", followed, "local[2]") == first
    states = {Path(address).name: state["state"] for address, state in first[2].items()}
    assert states == {"one": "ok", "nowhere": "unread", "none": "empty", "two": "ok"}

    remotes["one"].commit("fix one more")
    remotes["two"].git("reset", "-q", "--hard", "HEAD~1")
    remotes["two"].commit("fix two otherwise")
    second = collect("here", followed, "local[2]")
    assert second[1] == [
        "jane/nowhere cannot be read now: there is no repository at its address: correct the address or path in the "
        "study",
        "jane/two: its branch was rewritten; the earlier commits are kept",
    ]
    assert collect("there", followed, None) == second
    assert collect("here", followed, "local[2]")[0] == {"kind": "clone", "repositories": 4, "note": "nothing new"}
    assert not list((tmp_path / "here" / "clones").glob(".*"))


def test_an_unsupported_protocol_is_rejected_on_spark_too(collect):
    address = "http://127.0.0.1:1/none"
    with pytest.raises(DlbugError, match=f"{address}: repositories are fetched by https, ssh or from a path"):
        collect("there", [Repository(address, "none")], "local[2]")
