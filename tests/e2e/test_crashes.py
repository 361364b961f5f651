"""A run that is killed, wherever it stood: the next one makes the tables of a run never killed."""

import pytest

from dlbug_assets.layout import Home
from support.commands import fingerprints, ran
from support.crashes import Kill, Outcome, killed_run, kills, statuses

#: Before the first step, while things land, while tables are written, and where everything but the publication is done.
#: `make crash` has them all.
STEPS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 36)


@pytest.mark.timeout(900)
def test_ten_kills_one_after_the_other_lose_nothing_and_show_as_failed(sample, tmp_path):
    home = Home(tmp_path, "sample")
    for steps in STEPS:
        assert killed_run(tmp_path, Kill("empty", steps=steps)) == (True, steps)
        assert not home.published.exists()
    begun = statuses(home)
    after = ran("sample", tmp_path)
    assert after.result.returncode == 0, after.result.stderr
    assert fingerprints(home) == fingerprints(sample.home)
    ended = statuses(home)
    assert {ended[run_id] for run_id in begun} == {"FAILURE"}
    assert [status for run_id, status in ended.items() if run_id not in begun] == ["SUCCESS"]
    # The next command tidies away the sign of this run; those of the killed ones are gone.
    assert {sign.name for sign in home.run_locks.iterdir()} <= set(ended) - set(begun)


def test_every_step_is_killed_after_once_and_the_other_moments_are_drawn_alike_every_time():
    pauses = [3, 0.5, 2, 1]
    drawn = list(kills(10, pauses))
    assert [(kill.steps, kill.seconds) for kill in drawn[:5]] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert {kill.begins for kill in drawn[5:]} == {"empty", "published"}
    assert all(0 < kill.seconds <= pauses[kill.steps] for kill in drawn[5:])
    assert drawn == list(kills(10, pauses))


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
def test_whatever_a_kill_costs_counts_as_a_loss(change):
    fine = {
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
    assert not Outcome(**fine).is_loss
    assert Outcome(**(fine | change)).is_loss
