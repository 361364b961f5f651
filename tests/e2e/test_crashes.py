"""Runs that are killed at any step: the next run yields the tables of an undisturbed run."""

import pytest

from dlbug_assets.layout import Home
from support.commands import fingerprints, ran
from support.crashes import Kill, Outcome, killed_run, kills, statuses

#: Steps before the first one, while replies land, while tables are written, and right before publication. `make crash`
#: has all of them.
STEPS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 36)


@pytest.mark.timeout(900)
def test_ten_successive_kills_lose_nothing_and_are_recorded_as_failed_runs(sample, tmp_path):
    home = Home(tmp_path, "sample")
    for steps in STEPS:
        assert killed_run(tmp_path, Kill("empty", steps=steps)) == (True, steps)
        assert not home.published.exists()
    killed = statuses(home)
    after = ran("sample", tmp_path)
    assert after.result.returncode == 0, after.result.stderr
    assert fingerprints(home) == fingerprints(sample.home)
    ended = statuses(home)
    assert {ended[run_id] for run_id in killed} == {"FAILURE"}
    assert [status for run_id, status in ended.items() if run_id not in killed] == ["SUCCESS"]
    # The locks of the killed runs are removed; that of the last run is left to the next command.
    assert {lock.name for lock in home.run_locks.iterdir()} <= set(ended) - set(killed)


def test_kills_follow_every_step_and_then_reproducible_random_moments():
    pauses = [3, 0.5, 2, 1]
    chosen = list(kills(10, pauses))
    assert [(kill.steps, kill.seconds) for kill in chosen[:5]] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert {kill.begins for kill in chosen[5:]} == {"empty", "published"}
    assert all(0 < kill.seconds <= pauses[kill.steps] for kill in chosen[5:])
    assert chosen == list(kills(10, pauses))


@pytest.mark.parametrize(
    "change",
    [
        {"published_after": "damaged"},
        {"next_exit": 1},
        {"tables_that_differ": 1},
        {"runs_unfinished": 1},
        {"runs_failed": 0},
    ],
)
def test_every_kind_of_damage_counts_as_a_loss(change):
    outcome = {
        "kill": 1,
        "begins": "empty",
        "moment": "after step 1",
        "was_running": True,
        "steps_done": 1,
        "published_after": "none",
        "runs_left_unfinished": 1,
        "next_exit": 0,
        "tables_that_differ": 0,
        "runs_failed": 1,
        "runs_unfinished": 0,
        "seconds": 1.0,
    }
    assert not Outcome(**outcome).is_loss
    assert Outcome(**(outcome | change)).is_loss
