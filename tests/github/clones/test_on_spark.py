"""Mining clones on Spark: what each repository gives, and that the clones stay what they are."""

import logging
from functools import partial
from pathlib import Path

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import on_spark
from dlbug_assets.github.clones.histories import CloneHistories, in_threads
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Landing
from support.followed_repositories import STUDY
from support.repositories import GitRepository
from support.spark_cluster import needs_spark, variables

pytestmark = [needs_spark, pytest.mark.slow]


@pytest.fixture
def follow(tmp_path, monkeypatch, caplog):
    """Follows repositories here or on Spark; returns its notes, its warnings, what it knows, and the rows."""
    caplog.set_level(logging.WARNING)
    for name, value in variables(tmp_path / "conf", 1 << 20).items():
        monkeypatch.setenv(name, value)

    def following(home: str, targets: list[Repository], spark: str | None):
        workers = partial(on_spark.workers, spark) if spark else in_threads
        root = tmp_path / home
        histories = CloneHistories(
            STUDY, STUDY.libraries[0], Landing(root / "landing", Clock()), root / "clones", workers
        )
        caplog.clear()
        notes = histories.collect(targets)
        said = [record.getMessage() for record in caplog.records if record.name.startswith("dlbug_assets.")]
        return notes, said, histories.remote_states(), histories.commits(targets).rows(), histories.changes().rows()

    return following


def test_histories_are_those_of_one_machine_and_either_goes_on_where_the_other_stopped(follow, tmp_path):
    made = {name: GitRepository(tmp_path / name) for name in ("one", "two", "none")}
    for name in ("one", "two"):
        for number in range(4):
            made[name].commit(f"fix {name} {number}", {f"{number}.py": f"{name}\n" * number})
    targets = [Repository(str(tmp_path / name), f"jane/{name}") for name in ("one", "gone", "none", "two")]
    first = follow("here", targets, None)
    assert follow("there", targets, "local[2]") == first
    states = {Path(address).name: look["state"] for address, look in first[2].items()}
    assert states == {"one": "ok", "gone": "gone", "none": "empty", "two": "ok"}

    made["one"].commit("fix one more")
    made["two"].git("reset", "-q", "--hard", "HEAD~1")
    made["two"].commit("fix two otherwise")
    second = follow("here", targets, "local[2]")
    assert second[1] == ["jane/two: its branch was rewritten; the earlier commits are kept"]
    assert follow("there", targets, None) == second
    assert follow("here", targets, "local[2]")[0] == {"kind": "clone", "repositories": 4, "note": "nothing new"}
    assert not list((tmp_path / "here" / "clones").glob(".*"))


def test_an_address_that_is_refused_is_refused_there_too(follow):
    address = "http://127.0.0.1:1/none"
    with pytest.raises(DlbugError, match=f"{address}: repositories are fetched by https, ssh or from a path"):
        follow("there", [Repository(address, "none")], "local[2]")
