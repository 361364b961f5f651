"""This machine's clock may be wrong, and corrected later: no question is missed, no wait is longer than requested."""

import json
import time
from datetime import timedelta

import pytest

from dlbug_assets.ingest.quota import DeferredError
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.collector import LIBRARY_KINDS
from servers.stackexchange import StackExchange, corpus, question
from servers.stand_in import Fault
from support.collected_posts import KEY, CollectedPosts
from support.collection_checks import STUDY

pytestmark = pytest.mark.slow

RIGHT = timedelta()
AHEAD = [timedelta(days=1), timedelta(days=30)]
WRONG = [*AHEAD, timedelta(days=3), timedelta(days=-30)]


@pytest.fixture
def api():
    with StackExchange(corpus({"keras": 20, "torch": 10}, seed=1, low_scored=0.2)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def posts(api, tmp_path):
    return CollectedPosts(api, tmp_path)


def ids(api):
    """Return the IDs of the questions about Keras in scope."""
    return [item.question_id for item in api.truth.values() if "keras" in item.tags and item.score >= 6]


def newest(api):
    """Return the latest activity of Keras in scope."""
    keras = [item for item in api.truth.values() if "keras" in item.tags and item.score >= 6]
    return max(item.last_activity_date for item in keras)


@pytest.mark.parametrize(
    ("wrong", "sweep"), [*((wrong, False) for wrong in WRONG), (timedelta(days=30), True), (timedelta(days=-30), True)]
)
def test_a_refresh_after_the_clock_was_corrected_sees_everything(api, posts, wrong, sweep):
    posts.clock.ahead = wrong
    posts.refresh()
    api.edit(ids(api)[0], title="Edited while the clock was wrong")
    posts.refresh(sweep=sweep)
    posts.proves_truth()
    posts.clock.ahead = RIGHT
    api.edit(ids(api)[1], title="Edited after the correction")
    posts.proves_recovery(sweep=sweep)
    api.edit(ids(api)[2], title="Edited later")
    posts.proves_recovery()
    # The cursors are times that the site reported.
    assert posts.cursors()["Keras"][1] == {"keras": newest(api)}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_clock_that_becomes_wrong_during_a_sweep_moves_no_cursor_past_what_was_seen(api, posts, wrong):
    posts.refresh()
    begun = len(api.log)

    def change_clock(_request):
        if len(api.log) == begun + 1:
            posts.clock.ahead = wrong

    api.before = change_clock
    posts.refresh(sweep=True)
    api.before = None
    assert newest(api) - 60 < posts.cursors()["Keras"][1]["keras"] <= newest(api)
    posts.clock.ahead = RIGHT
    api.edit(ids(api)[0], title="Edited")
    posts.proves_recovery()


@pytest.mark.parametrize("wrong", AHEAD)
def test_a_tag_without_questions_has_no_cursor_in_the_future(api, posts, wrong):
    libraries = [{"name": "New", "tags": ["new-library", "newer-library"], "repositories": "x"}]
    posts.study = Study.model_validate(STUDY.model_dump() | {"libraries": libraries})
    posts.clock.ahead = wrong
    posts.refresh()
    api.add(question(1, tags=["new-library"], created=int(time.time())))
    posts.clock.ahead = RIGHT
    posts.proves_recovery()
    api.add(question(2, tags=["newer-library"], created=int(time.time())))
    posts.proves_recovery()
    assert posts.table("raw_posts")["post_id"].to_list() == [1, 2]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_throttle_lasts_its_seconds_at_most(api, posts, wrong):
    posts.clock.ahead = wrong
    api.fail(Fault("throttle", method="questions", seconds=46_472))
    posts.collect()
    posts.clock.ahead = RIGHT
    for error in posts.collect().values():
        assert isinstance(error, DeferredError)
        assert error.until - posts.clock.now() <= timedelta(seconds=46_474)
    posts.clock.ahead += timedelta(seconds=46_475)
    posts.proves_recovery()


@pytest.mark.parametrize("wrong", AHEAD)
def test_a_backoff_from_a_clock_that_was_ahead_is_waited_for(api, posts, wrong):
    posts.clock.ahead = wrong
    (_first,) = posts.source().collect(["Torch"], sweep=False)
    api.fail(Fault("backoff", method="questions", seconds=1))
    (_second,) = posts.source().collect(["Torch"], sweep=False)
    posts.clock.ahead = RIGHT
    start = time.monotonic()
    posts.refresh()
    assert api.punished == 0
    assert time.monotonic() - start < 300
    posts.proves_truth()


@pytest.mark.parametrize("wrong", WRONG)
def test_a_used_up_quota_holds_for_a_day_at_most(api, posts, wrong):
    api.quota_remaining = 11
    posts.clock.ahead = wrong
    posts.collect()
    posts.clock.ahead = RIGHT
    for error in posts.collect().values():
        assert isinstance(error, DeferredError)
        assert error.until - posts.clock.now() <= timedelta(days=1)
    api.quota_remaining = 10_000
    posts.clock.ahead += timedelta(days=1, seconds=1)
    posts.proves_recovery()


@pytest.mark.parametrize(("wrong", "resumed"), [(timedelta(days=3), True), (timedelta(days=30), False)])
def test_an_unfinished_collection_is_resumed_if_the_clock_shows_that_it_is_recent(api, posts, wrong, resumed):
    api.fail(Fault("reset", tagged="torch", times=None))
    posts.clock.ahead = wrong
    assert list(posts.collect()) == ["Torch"]
    api.faults.clear()
    begun = posts.landing.unfinished("Torch").name
    posts.clock.ahead = RIGHT
    posts.proves_recovery()
    (collection,) = posts.landing.done("Torch", LIBRARY_KINDS)
    assert (collection.name == begun) is resumed
    # After the correction, times in landing still follow the wrong ones, but new collections can be resumed.
    api.fail(Fault("reset", tagged="torch", times=None))
    assert list(posts.collect(sweep=True)) == ["Torch"]
    api.faults.clear()
    begun = posts.landing.unfinished("Torch").name
    posts.proves_recovery(sweep=True)
    assert posts.landing.done("Torch", LIBRARY_KINDS)[-1].name == begun


def test_a_cursor_in_the_sites_future_makes_the_next_run_collect_everything(api, posts):
    posts.refresh()
    done = posts.landing.done("Keras", LIBRARY_KINDS)[-1].folder / "done.json"
    summary = json.loads(done.read_bytes())
    summary["cursors"]["keras"] = int(time.time()) + 30 * 86_400
    done.write_text(json.dumps(summary))
    api.edit(ids(api)[0], title="Edited while no refresh could see it")
    posts.proves_recovery()
    assert [collection.kind for collection in posts.landing.done("Keras", LIBRARY_KINDS)] == ["full", "refresh", "full"]


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=-30)])
def test_an_activity_in_the_sites_future_moves_no_cursor(api, posts, ahead):
    number = ids(api)[0]
    api.truth[number].last_activity_date = int(time.time() + ahead.total_seconds())
    posts.refresh()
    assert posts.cursors()["Keras"][1]["keras"] <= time.time()
    api.edit(ids(api)[1], title="Edited")
    posts.proves_recovery()
