"""The study `live` against the stand-in of the API, run by dlbug: collected, refreshed, killed, rejected."""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import dagster as dg
import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.definitions import build_defs
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.stackoverflow.api.collector import queries
from dlbug_assets.warehouse import lease
from servers.stackexchange import StackExchange, corpus, question
from servers.stand_in import Fault
from support.commands import NEXT, command, query, run_twice_at_once
from support.counting import proves_count
from support.killed_runs import is_killed
from support.small_disks import mount, unmount

KEY = "pl4nted((key*with+odd&characters"
POSTS = "+group:stackoverflow"
LOADING = '+group:stackoverflow and not key:"stackoverflow/landing"'
SIZES = {"caffe": 15, "keras": 130, "tensorflow": 40, "theano": 12, "torch": 10}
LIVE = load_study("live")


@dataclass
class Live:
    """The study `live` in a home, with the stand-in of its source."""

    api: StackExchange
    root: Path

    @property
    def home(self):
        return Home(self.root, "live")

    def environment(self, **more):
        return {"DLBUG_STACKEXCHANGE_URL": self.api.url, "STACKEXCHANGE_KEY": KEY, **more}

    def run(self, *arguments, select=POSTS, **more):
        return command(self.root, "run", "--study", "live", "--select", select, *arguments, **self.environment(**more))

    def dies(self, point, call):
        """Return whether a run killed itself at the call-th execution of a point."""
        return is_killed(point, call, self.root, "run", "--study", "live", "--select", POSTS, **self.environment())

    def query(self, sql):
        return query(self.home, sql)

    def rows(self):
        """Return the questions in scope, by library and id: score, title, answers."""
        found = {library: {} for library in LIVE.library_names}
        answers = dict(
            self.query("select post_id, list_sort(list(answer_id)) from stackoverflow.raw_answers group by 1").rows()
        )
        posts = self.query("select library, post_id, score, title from stackoverflow.raw_posts where in_scope").rows()
        for library, number, score, title in posts:
            found[library][number] = (score, title, answers.get(number, []))
        return found

    def truth(self):
        """Return the questions that the stand-in has, in the same form."""
        return {
            library: {
                number: (item.score, item.title, sorted(answer.answer_id for answer in item.answers))
                for number, item in self.api.truth.items()
                if asked.matches(vars(item))
            }
            for library, asked in queries(LIVE).items()
        }

    def tables(self):
        """Return all rows of every table of the corpus."""
        names = ("raw_posts", "raw_answers", "collections", "irregularities", "screening", "candidate_posts", "funnel")
        return {name: self.query(f"from stackoverflow.{name} order by all").rows() for name in names}

    def proves_secrecy(self, *results):
        forms = {KEY, quote(KEY), quote_plus(KEY), json.dumps(KEY)[1:-1]}
        for text in [part for result in results for part in (result.stdout, result.stderr)]:
            assert not any(form in text for form in forms)
        for path in self.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(form.encode() in content for form in forms), path

    def proves_count(self):
        proves_count(Ledger(self.home.quota, Clock()), self.api)


@pytest.fixture
def live(tmp_path):
    with StackExchange(corpus(SIZES, seed=3, low_scored=0.3)) as api:
        api.key = KEY
        yield Live(api, tmp_path / "home")


def keras(live, *, low=False):
    """Return the ids of questions about Keras, oldest activity first."""
    items = [item for item in live.api.truth.values() if "keras" in item.tags and (item.score < 6) == low]
    return [item.question_id for item in sorted(items, key=lambda item: item.last_activity_date)]


def test_posts_are_loaded_up_to_candidates_and_two_refreshes_follow_all_changes(live):
    held = []
    live.api.before = lambda request: held.append(lease.is_held(live.home.lock))
    first = live.run()
    assert first.returncode == 0, first.stderr
    # Collecting does not hold the writer's lease.
    assert set(held) == {False}
    assert live.rows() == live.truth()
    funnel = live.query("select library, collected, candidates from stackoverflow.funnel").rows()
    assert funnel == [(library.capitalize(), size, size) for library, size in SIZES.items()]
    assert "Keras: full, 4 requests, " in first.stderr

    old, high = keras(live), keras(live, low=True)
    live.api.edit(old[0], title="Edited", score=40)
    live.api.answer(old[1])
    live.api.add(question(10**7, tags=["keras", "theano"], created=int(live.api.now())))
    live.api.edit(high[0], score=9)
    sent = len(live.api.log)
    second = live.run()
    assert second.returncode == 0, second.stderr
    assert len(live.api.log) - sent == 5
    assert live.rows() == live.truth()

    live.api.vote(high[1], 6)
    live.api.vote(old[5], 1)
    live.api.delete(old[6])
    live.api.edit(old[0], title="Edited again")
    third = live.run("--sweep")
    assert third.returncode == 0, third.stderr
    assert live.rows() == live.truth()
    gone = live.query(
        "select post_id, in_scope, deleted_at is not null from stackoverflow.raw_posts where not in_scope"
    )
    assert sorted(gone.rows()) == sorted([(old[5], False, False), (old[6], False, True)])

    # The landing alone, without a network, yields the same tables.
    before = live.tables()
    live.home.working.unlink()
    again = live.run(select=LOADING, DLBUG_STACKEXCHANGE_URL="http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr
    assert live.tables() == before
    live.proves_count()
    live.proves_secrecy(first, second, third, again)

    doctor = command(live.root, "doctor", "--study", "live", **live.environment())
    line = next(line for line in doctor.stdout.splitlines() if " quota: " in line)
    assert line == (
        f"ok    quota: {live.api.url} with a key: {len(live.api.log)} requests in the last 24 hours, "
        f"{live.api.quota_remaining} of 10000 left at {line[-20:]}"
    )


def test_a_library_that_fails_does_not_hold_back_the_others(live):
    live.api.fail(Fault("caller_error", tagged="keras", times=None))
    result = live.run()
    assert result.returncode == 1
    refused = "Keras: Stack Exchange refused to return the questions tagged keras: error 400"
    assert f"error: stackoverflow.landing: {refused}" in result.stderr
    assert result.stderr.endswith("error: 1 of the run's steps failed. Everything that succeeded is published." + NEXT)
    live.api.faults.clear()
    expected = live.truth()
    assert live.rows() == expected | {"Keras": {}}
    funnel = dict(live.query("select library, candidates from stackoverflow.funnel").rows())
    assert funnel == {library.capitalize(): 0 if library == "keras" else size for library, size in SIZES.items()}
    assert live.run().returncode == 0
    assert live.rows() == expected


def test_a_deferred_refresh_reports_until_when_and_keeps_the_publication(live):
    assert live.run().returncode == 0
    before = live.home.published.read_bytes()
    live.api.fail(Fault("throttle", seconds=46_472))
    result = live.run()
    assert result.returncode == 1
    assert "no request is sent before " in result.stderr
    assert result.stderr.endswith("error: 1 of the run's steps failed. The published database is unchanged." + NEXT)
    assert live.home.published.read_bytes() == before
    doctor = command(live.root, "doctor", "--study", "live")
    assert "note  quota: " in doctor.stdout
    assert "no requests before " in doctor.stdout
    live.proves_secrecy(result, doctor)


def test_row_39_the_next_run_completes_a_run_killed_at_any_point(live):
    # Runs are killed before and after a reply lands, after moving a cursor, and after loading a table.
    for point, call in [("received", 3), ("landed", 3), ("moved", 2), ("loaded", 5)]:
        assert live.dies(point, call), point
        live.api.edit(keras(live)[0], title=f"Edited after it was {point}")
    result = live.run()
    assert result.returncode == 0, result.stderr
    # Replies that landed before are not requested again, so an edit since then is found by the next refresh only.
    assert live.run().returncode == 0
    assert live.rows() == live.truth()
    assert not live.query("select library, post_id from stackoverflow.raw_posts").is_duplicated().any()
    live.proves_count()
    before = live.tables()
    live.home.working.unlink()
    assert live.run(select=LOADING).returncode == 0
    assert live.tables() == before


def test_row_40_two_runs_at_once_collect_one_after_the_other(live):
    arguments = ("run", "--study", "live", "--select", POSTS)
    runs = run_twice_at_once(live.root, *arguments, **live.environment())
    assert [run.returncode for run in runs] == [0, 0], runs
    assert live.rows() == live.truth()
    assert not live.query("select library, post_id from stackoverflow.raw_posts").is_duplicated().any()
    # The second one only asks for changes.
    kinds = live.query("select library, kind from stackoverflow.collections order by all").rows()
    assert kinds == [(library, kind) for library in LIVE.library_names for kind in ("full", "refresh")]
    live.proves_count()


def test_row_40_a_full_disk_stops_collecting_without_moving_the_cursor(live, tmp_path):
    mount(tmp_path / "disk", "size=200m")
    try:
        small = Live(live.api, tmp_path / "disk")
        assert small.run().returncode == 0
        before = small.home.published.read_bytes()
        folder = small.home.landing / "stackoverflow"
        done = sorted(path for path in folder.rglob("done.json"))
        mount(folder, "size=64k")
        for library in LIVE.library_names:
            (folder / library).mkdir()
        (folder / "ballast").write_bytes(b"x" * 60_000)
        live.api.edit(keras(live)[0], title="Edited")
        result = small.run()
        assert result.returncode == 1
        assert "No space left on device. Data collected before is kept" in result.stderr
        unmount(folder)
        assert sorted(path for path in folder.rglob("done.json")) == done
        assert small.home.published.read_bytes() == before
        assert small.run().returncode == 0
        assert small.rows() == small.truth()
    finally:
        unmount(tmp_path / "disk")


def test_schedules_ask_for_changes_daily_and_for_everything_weekly():
    definitions = build_defs(LIVE, {})
    found = {}
    for name in ("refresh", "sweep"):
        schedule = definitions.resolve_schedule_def(name)
        with dg.instance_for_test() as instance:
            (request,) = schedule.evaluate_tick(dg.build_schedule_context(instance)).run_requests or []
        found[name] = (schedule.cron_schedule, request.run_config["ops"]["stackoverflow__landing"]["config"]["sweep"])
        assert request.tags["dagster/asset_partition_range_start"] == "Caffe"
        assert request.tags["dagster/asset_partition_range_end"] == "Torch"
    assert found == {"refresh": ("0 3 * * *", False), "sweep": ("0 4 * * 0", True)}
