"""A study that follows its sources, run repeatedly by the dlbug command: only what changed is materialized again."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from dlbug_assets.automation.schedules import RANGE_END, RANGE_START, REFRESH
from dlbug_assets.definitions import build_defs
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from servers.github import GitHub, make_repositories
from servers.stackexchange import StackExchange, corpus, question
from support.commands import command, query
from support.repositories import GitRepository
from support.ui_server import graphql, serving

STUDY = """
[study]
name = "followed"
title = "Followed day after day"
seed = 7
[selection]
commits_per_library = 20
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"
[[libraries]]
name = "Torch"
tags = ["torch"]
repositories = "topic:torch"
[sources]
posts = "api"
commits = "api"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
"""


@dataclass
class Followed:
    """The study in a home, with the stand-ins of its sources."""

    posts: StackExchange
    commits: GitHub
    root: Path
    study: Path

    @property
    def home(self):
        return Home(self.root, "followed")

    @property
    def environ(self):
        return {"DLBUG_STACKEXCHANGE_URL": self.posts.url, "DLBUG_GITHUB_URL": self.commits.url}

    def run(self, *arguments):
        """Run it; return the jobs that were executed."""
        before = set(self.runs())
        done = command(self.root, "run", "--study", str(self.study), *arguments, **self.environ)
        assert done.returncode == 0, done.stderr
        self.output = done.stdout
        return [job for run_id, job in reversed(self.runs().items()) if run_id not in before]

    def runs(self):
        if not self.home.dagster_home.exists():
            return {}
        with dg.DagsterInstance.from_config(str(self.home.dagster_home)) as instance:
            return {run.run_id: run.job_name for run in instance.get_runs()}

    def edit(self, title):
        """Edit a question, which then also has a field that is not as documented."""
        number = next(iter(self.posts.truth))
        self.posts.edit(number, title=title, view_count="700")

    def titles(self, table):
        return set(query(self.home, f"select title from {table}")["title"])


@pytest.fixture
def followed(tmp_path):
    path = tmp_path / "followed.toml"
    path.write_text(STUDY, encoding="utf-8")
    with StackExchange(corpus({"keras": 12, "torch": 8}, seed=3)) as posts, GitHub() as commits:
        for folder, full_name, fields in make_repositories(tmp_path / "hosted", ["keras", "torch"]):
            commits.add(folder, full_name, **fields)
        yield Followed(posts, commits, tmp_path / "home", path)


@pytest.mark.timeout(900)
def test_only_what_changed_is_materialized_again_up_to_the_publication(followed):
    assert followed.run() == ["whole_graph"]
    published = followed.home.published.stat().st_mtime_ns
    assert followed.run() == ["refresh"]
    assert followed.output.startswith(f"Nothing has changed since {followed.home.published} was published.\n")
    assert "Dataset: Stack Overflow (SO), GitHub (GH)" in followed.output
    assert followed.run("--sweep") == ["refresh"]
    assert followed.home.published.stat().st_mtime_ns == published

    # Both sources change, each for one library.
    GitRepository(next(iter(followed.commits.hosted.values())).path).commit("Fix what came later", {"later.py": "1\n"})
    assert followed.run("--libraries", "Torch") == ["refresh"]
    assert followed.run("--libraries", "Keras") == ["refresh", "whole_graph"]
    assert "Fix what came later" in followed.titles("github.fix_commits")
    added = question(900_001, tags=["torch"], title="What came later", created=1_400_000_000, activity=int(time.time()))
    followed.posts.truth[added.question_id] = added

    # Submitted sheets are inputs as well.
    sheet = followed.home.labels / "inbox" / "5-ann.csv"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet.write_text("item_id,link\n", encoding="utf-8")
    os.utime(sheet, (time.time() - 60, time.time() - 60))  # no longer being written
    assert followed.run() == ["whole_graph"]
    assert "What came later" in followed.titles("stackoverflow.raw_posts")


@pytest.mark.timeout(900)
def test_an_edit_that_later_refreshes_fetch_again_is_news_once(followed):
    followed.run()
    followed.edit("Edited")
    assert followed.run() == ["refresh", "whole_graph"]
    assert "Edited" in followed.titles("stackoverflow.raw_posts")
    assert followed.run() == ["refresh"]
    assert followed.run() == ["refresh"]
    irregular = query(followed.home, "select distinct field, reason from stackoverflow.irregularities").rows()
    assert irregular == [("view_count", "is not as described; read as 700")]

    # The same while the UI is open: a schedule starts the refresh, and the daemon evaluates what follows from it.
    definitions = build_defs(load_study(str(followed.study)), {"DLBUG_HOME": str(followed.root), **followed.environ})
    job = definitions.resolve_job_def(REFRESH)
    with dg.DagsterInstance.from_config(str(followed.home.dagster_home)) as instance:
        cursor = dg.evaluate_automation_conditions(definitions, instance).cursor

        def requested_after_refresh():
            nonlocal cursor
            tags = {RANGE_START: "Keras", RANGE_END: "Torch"}
            assert job.execute_in_process(instance=instance, tags=tags).success
            evaluated = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
            cursor = evaluated.cursor
            return evaluated.total_requested

        assert requested_after_refresh() == 0
        followed.edit("Edited again")
        assert requested_after_refresh() > 30
        assert requested_after_refresh() == 0
        assert requested_after_refresh() == 0


def test_a_browser_shows_how_fresh_the_corpora_are(followed, page, screenshots):
    followed.run("--select", "+group:stackoverflow")
    with serving(followed.root, str(followed.study)) as ui:
        asset = '{ assetNodeOrError(assetKey: {path: ["stackoverflow", "raw_posts"]}) '
        status = asset + "{ ... on AssetNode { freshnessStatusInfo { freshnessStatus } } } }"
        deadline = time.monotonic() + 120  # the daemon evaluates freshness once a minute
        while (seen := graphql(ui, status)["assetNodeOrError"]["freshnessStatusInfo"]["freshnessStatus"]) == "UNKNOWN":
            assert time.monotonic() < deadline, "the daemon did not evaluate freshness"
            time.sleep(1)
        assert seen == "HEALTHY"
        page.goto(f"{ui}/assets/stackoverflow/raw_posts")
        page.get_by_text("Passing").first.wait_for()
        page.screenshot(path=screenshots / "freshness.png")
