"""A study that clones the repositories it lists, by the command itself."""

import signal
import subprocess
import sys

import pytest
from repositories import Repository
from running import Ran, command, environment

from dlbug_assets.warehouse import Home

COMMITS = "+group:github"
STUDY = """
[study]
name = "cloned"
title = "From clones"
seed = 1
[selection]
commits_per_library = 5
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = ["./one", "./gone"]
[[libraries]]
name = "Torch"
tags = ["torch"]
repositories = ["./two"]
[sources]
posts = "api"
commits = "clone"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""


class Cloned:
    """The study, its repositories and its home."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "home"
        self.repositories = {name: Repository(folder / name) for name in ("one", "two")}
        for name, made in self.repositories.items():
            for number in range(8):
                word = "fix" if number % 2 else "add"
                made.commit(
                    f"{word} {name} {number}\n\nSigned-off-by: Jane <jane@example.org>",
                    {f"{number}.py": f"# by jane.doe@example.org\n{number}\n"},
                )
        (folder / "cloned.toml").write_text(STUDY, encoding="utf-8")

    @property
    def home(self):
        return Home(self.root, "cloned")

    def run(self, select=COMMITS):
        arguments = ("run", "--study", str(self.folder / "cloned.toml"), "--select", select)
        return Ran(self.home, command(self.home.root, *arguments))

    def killed(self, where, count):
        """Run in a process that ends itself by SIGKILL at the count-th call of a function."""
        return subprocess.run(
            [sys.executable, "-c", _DYING, where, str(count), "run", "--study", str(self.folder / "cloned.toml"),
             "--select", COMMITS],
            env=environment(self.home.root), capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    def tables(self):
        ran = Ran(self.home, None)
        return {
            name: ran.query(f"select * exclude (retrieved_at) from github.{name} order by all").rows()
            for name in ("repositories",)
        } | {name: ran.query(f"from github.{name} order by all").rows() for name in ("fix_commits", "sampled_commits")}


_DYING = """
import os, signal, sys
from dlbug_assets.cli import main
from dlbug_assets.github.clones import Clone
from dlbug_assets.landing import Collection
from dlbug_assets.warehouse import Warehouse

where, count = sys.argv[1], int(sys.argv[2])
owner, name = {
    "fetched": (Clone, "fetch"),
    "landed": (Collection, "land"),
    "moved": (Collection, "finish"),
    "loaded": (Warehouse, "replace_part"),
}[where]
original, calls = getattr(owner, name), 0


def deadly(*arguments, **options):
    global calls
    calls += 1
    result = original(*arguments, **options)
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


setattr(owner, name, deadly)
sys.argv[1:3] = []
main()
"""


@pytest.fixture
def cloned(tmp_path):
    return Cloned(tmp_path)


def test_it_goes_through_to_sampled_commits_and_follows_what_changes(cloned):
    first = cloned.run()
    assert first.result.returncode == 0, first.result.stderr
    assert "Keras: clone, 2 repositories, 4 commits" in first.result.stderr
    found = first.query(
        "select library, count(*), count(distinct author_hash) from github.fix_commits group by 1 order by 1"
    )
    assert found.rows() == [("Keras", 4, 1), ("Torch", 4, 1)]
    states = first.query("select state from github.repositories order by full_name").to_series().to_list()
    assert states == ["gone", "ok", "ok"]
    drawn = first.query(
        "select sum(files_changed), sum(additions), sum(deletions), count(*) from github.sampled_commits"
    )
    assert drawn.row(0) == (8, 16, 0, 8)

    cloned.repositories["one"].commit("fix one more thing")
    cloned.repositories["two"].git("reset", "-q", "--hard", "HEAD~1")
    second = cloned.run()
    assert second.result.returncode == 0, second.result.stderr
    counts = "select library, is_reachable, count(*) from github.fix_commits group by all order by all"
    # What the second repository lost by the reset is an ancestor no more.
    assert second.query(counts).rows() == [("Keras", True, 5), ("Torch", False, 1), ("Torch", True, 3)]
    third = cloned.run()
    assert "Keras: clone, 2 repositories, nothing new" in third.result.stderr
    assert third.query("select count(*) from github.collections").item() == 4

    # Nobody is named: not in the tables, the history of runs, or the landed replies' index.
    published = cloned.home.published.read_bytes()
    events = b"".join(path.read_bytes() for path in cloned.home.dagster_home.rglob("*") if path.is_file())
    for content in (published, events, first.result.stderr.encode()):
        assert b"jane.doe@example.org" not in content
        assert b"jane@example.org" not in content

    # Without the repositories, from landing alone, the same tables.
    before = cloned.tables()
    for made in cloned.repositories.values():
        made.path.rename(made.path.with_name(f"{made.path.name}-away"))
    cloned.home.working.unlink()
    again = cloned.run(f'{COMMITS} and not key:"github/landing"')
    assert again.result.returncode == 0, again.result.stderr
    assert cloned.tables() == before


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """The study, and its tables after a run that nobody killed."""
    made = Cloned(tmp_path_factory.mktemp("untouched"))
    assert made.run().result.returncode == 0
    return made, made.tables()


@pytest.mark.parametrize(("where", "count"), [("fetched", 1), ("landed", 1), ("moved", 1), ("loaded", 2)], ids=str)
def test_row_39_a_run_killed_at_any_point_is_made_good_by_the_next(untouched, tmp_path, where, count):
    cloned, expected = untouched
    cloned.root = tmp_path
    assert cloned.killed(where, count).returncode == -signal.SIGKILL
    assert cloned.run().result.returncode == 0
    hashes = {"fix_commits": 10}  # the key of the hashes is another one in another home
    for table, rows in cloned.tables().items():
        place = hashes.get(table)
        assert [row[:place] for row in rows] == [row[:place] for row in expected[table]]
