"""The study `live` against the stand-in of GitHub, run by the dlbug command.

The API and clones yield the same rows. Runs are refreshed and killed, and nothing that identifies a person is stored.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import STUDIES, Home
from servers.github import GitHub, make_repositories
from servers.stackexchange import StackExchange, corpus
from support.commands import command, query, run_twice_at_once
from support.counting import proves_count
from support.killed_runs import is_killed
from support.repositories import GitRepository

PLANTED = "ghp_pl4ntedT0ken"
COMMITS = "+group:github"
LOADING = '+group:github and not key:"github/landing"'
TOPICS = ("caffe", "keras", "tensorflow", "theano", "torch")
#: Names and addresses of persons in the histories.
PEOPLE = (b"jane.doe@example.org", b"jane@example.org", b"Jane Doe")
TABLES = ("repositories", "fix_commits", "sampled_commits")


@dataclass
class Live:
    """The study `live`, or a copy of it that uses clones, in a home, with the stand-in of its source."""

    api: GitHub
    root: Path
    study: str
    mirror: Path

    @property
    def home(self):
        return Home(self.root, Path(self.study).stem)

    def environment(self, **more):
        known = {
            "DLBUG_GITHUB_URL": self.api.url,
            "GITHUB_TOKEN": PLANTED,
            "DLBUG_GITHUB_CLONES": f"file://{self.mirror}",
        }
        return known | more

    def run(self, *arguments, select=COMMITS, **more):
        self.api.mirror(self.mirror)
        arguments = ("run", "--study", self.study, "--select", select, *arguments)
        return command(self.root, *arguments, **self.environment(**more))

    def dies(self, point, call):
        """Return whether a run killed itself at the call-th execution of a point."""
        self.api.mirror(self.mirror)
        arguments = ("run", "--study", self.study, "--select", COMMITS)
        return is_killed(point, call, self.root, *arguments, **self.environment())

    def query(self, sql):
        return query(self.home, sql)

    def tables(self, *, without=("retrieved_at",)):
        """Return all rows of the tables that both sources fill."""
        columns = f"columns(lambda c: not list_contains({list(without)}, c))"
        return {name: self.query(f"select {columns} from github.{name} order by all").rows() for name in TABLES}

    def proves_secrecy(self, *results):
        for text in [part for result in results for part in (result.stdout, result.stderr)]:
            assert PLANTED not in text
            assert not any(person.decode() in text for person in PEOPLE)
        replies = self.home.landing
        for path in self.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert PLANTED.encode() not in content, path
                if path.suffix == ".gz" and replies in path.parents:
                    assert path.stat().st_mode & 0o777 == 0o600
                elif self.home.clones not in path.parents:
                    assert not any(person in content for person in PEOPLE), path

    def proves_count(self):
        proves_count(Ledger(self.home.quota, Clock()), self.api)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """Create the repositories of all tests once."""
    folder = tmp_path_factory.mktemp("hosted")
    return folder, make_repositories(folder, TOPICS)


@pytest.fixture
def api(hosted, tmp_path):
    """Yield the stand-in, with copies of the repositories."""
    folder, repositories = hosted
    shutil.copytree(folder, tmp_path / "hosted")
    with GitHub() as server:
        server.token = PLANTED
        for path, full_name, fields in repositories:
            server.add(tmp_path / "hosted" / path.name, full_name, **fields)
        yield server


@pytest.fixture
def live(api, tmp_path):
    """Return the study, which uses the API."""
    return Live(api, tmp_path / "home", "live", tmp_path / "mirror")


@pytest.fixture
def cloning(api, tmp_path):
    """Return a study of the same protocol that uses clones."""
    text = (STUDIES / "live" / "study.toml").read_text(encoding="utf-8")
    path = tmp_path / "live_by_clones.toml"
    path.write_text(
        re.sub(r'name = "live"', 'name = "live_by_clones"', text).replace('commits = "api"', 'commits = "clone"')
    )
    return Live(api, tmp_path / "home_of_clones", str(path), tmp_path / "mirror")


def change(api):
    """Make every kind of change to repositories that can happen between two runs."""
    grown, rewritten, renamed, gone, blocked, *_ = api.hosted.values()
    work = GitRepository(grown.path)
    work.git("checkout", "-q", "-b", "late", "HEAD~3")
    work.commit("Fix from a side branch of long ago", {"late.py": "1\n"}, at=1_200_000_000)
    work.git("checkout", "-q", "main")
    work.merge("late", "Merge late fixes", at=1_700_000_000)
    work = GitRepository(rewritten.path)
    work.git("reset", "-q", "--hard", "HEAD~4")
    work.commit("Fix it another way", {"another.py": "1\n"})
    api.rename(renamed.number, "elsewhere/renamed")
    api.remove(gone.number)
    api.remove(blocked.number, 451)


def test_api_and_clones_yield_the_same_rows_and_follow_changes(live, cloning):
    first, by_clones = live.run(), cloning.run()
    assert first.returncode == 0, first.stderr
    assert by_clones.returncode == 0, by_clones.stderr
    assert "15 repositories" not in first.stderr
    assert "Keras: 3 repositories found with 1 requests" in first.stderr
    assert without_hashes(live) == without_hashes(cloning)
    assert live.query("select count(*) from github.fix_commits").item() > 50
    assert live.query("select count(*) from github.sampled_commits where files_changed is null").item() == 0

    sent = len(live.api.log)
    again = live.run()
    assert again.stderr.count("nothing new") == len(TOPICS)
    # One conditional request per repository, whose reply 304 does not count against the quota.
    assert {request.status for request in live.api.log[sent:]} == {304}
    assert len(live.api.log) - sent == len(live.api.hosted)
    assert live.query("select count(*) from github.collections").item() == 2 * len(TOPICS)

    change(live.api)
    results = [each.run("--sweep") for each in (live, cloning)]
    assert [result.returncode for result in results] == [0, 0], results
    assert without_hashes(live) == without_hashes(cloning)
    states = live.query("select state, count(*) from github.repositories group by 1 order by 1").rows()
    assert states == [("blocked", 1), ("gone", 1), ("ok", 12), ("renamed", 1)]
    assert live.query("select count(*) from github.fix_commits where not is_reachable").item() > 0
    late = live.query("select count(*) from github.fix_commits where title = 'Fix from a side branch of long ago'")
    assert late.item() == 1

    # The landing alone, without a network, yields the same tables.
    for each in (live, cloning):
        before = each.tables()
        each.home.working.unlink()
        rebuilt = each.run(select=LOADING, DLBUG_GITHUB_URL="http://127.0.0.1:9")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert each.tables() == before
        each.proves_secrecy(first, by_clones, again, *results, rebuilt)
    report = command(live.root, "doctor", "--study", "live").stdout
    assert f"{live.api.url} core with a token: " in report


def without_hashes(each):
    """Return the rows without hashes: each home has its own key for them."""
    return each.tables(without=("retrieved_at", "author_hash"))


def test_row_39_the_next_run_completes_a_run_killed_at_any_point(live, tmp_path):
    untouched = Live(live.api, tmp_path / "untouched", "live", live.mirror)
    assert untouched.run().returncode == 0
    live.api.log.clear()
    # Runs are killed before and after a reply lands, after moving a cursor, and after loading a table.
    for point, call in [("received", 9), ("landed", 30), ("moved", 4), ("loaded", 3)]:
        assert live.dies(point, call), point
        live.proves_count()
    done = live.run()
    assert done.returncode == 0, done.stderr
    live.proves_count()
    assert without_hashes(live) == without_hashes(untouched)
    # Only the request whose reply was lost with a run is repeated.
    answers = [(request.path, tuple(request.params.items())) for request in live.api.log if request.status == 200]
    assert len(answers) - len(set(answers)) == 1
    live.proves_secrecy(done)


def test_a_complete_study_its_sheets_and_its_package_identify_nobody(live, tmp_path):
    (tmp_path / ".env").write_text(f"GITHUB_TOKEN={PLANTED}\nSTACKEXCHANGE_KEY={PLANTED}\n")
    live.api.mirror(live.mirror)
    known = live.environment()
    del known["GITHUB_TOKEN"]
    sizes = {"caffe": 8, "keras": 20, "tensorflow": 12, "theano": 8, "torch": 8}
    with StackExchange(corpus(sizes, seed=3)) as posts:
        known["DLBUG_STACKEXCHANGE_URL"] = posts.url
        posts.key = PLANTED
        results = [
            command(live.root, *arguments, "--study", "live", cwd=tmp_path, **known)
            for arguments in (("run",), ("labels", "export"), ("labels", "export", "--format", "csv"), ("package",))
        ]
    assert [result.returncode for result in results] == [0, 0, 0, 0], results
    counts = "select count(distinct library) from {}"
    for table in ("stackoverflow.candidate_posts", "github.sampled_commits"):
        assert live.query(counts.format(table)).item() == len(TOPICS)
    assert len(list((live.home.labels / "outbox").glob("5-*"))) == 4
    assert (live.home.package / "live-replication.zip").is_file()
    live.proves_secrecy(*results)


def test_row_40_two_runs_at_once_collect_one_after_the_other(live):
    live.api.mirror(live.mirror)
    arguments = ("run", "--study", "live", "--select", COMMITS)
    runs = run_twice_at_once(live.root, *arguments, **live.environment())
    assert [run.returncode for run in runs] == [0, 0], runs
    # The second one only checks whether a head has moved.
    answered = [request.status for request in live.api.log]
    assert answered.count(304) == len(live.api.hosted)
    assert not live.query("select library, full_name, sha from github.fix_commits").is_duplicated().any()
    live.proves_count()
