"""A study that clones the repositories it lists, by the command itself."""

import pytest

from dlbug_assets.layout import Home
from support.commands import Ran, command
from support.killed_runs import died
from support.repositories import GitRepository

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


class CloneHistories:
    """The study, its repositories and its home."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "home"
        self.repositories = {name: GitRepository(folder / name) for name in ("one", "two")}
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

    def dies(self, point, call):
        """Whether a run ends itself by SIGKILL where it comes to a point for the call-th time."""
        arguments = ("run", "--study", str(self.folder / "cloned.toml"), "--select", COMMITS)
        return died(point, call, self.root, *arguments)

    def tables(self):
        ran = Ran(self.home, None)
        return {
            name: ran.query(f"select * exclude (retrieved_at) from github.{name} order by all").rows()
            for name in ("repositories",)
        } | {name: ran.query(f"from github.{name} order by all").rows() for name in ("fix_commits", "sampled_commits")}


@pytest.fixture
def cloned(tmp_path):
    return CloneHistories(tmp_path)


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


def test_row_39_a_run_killed_at_any_point_is_made_good_by_the_next(cloned, tmp_path):
    assert cloned.run().result.returncode == 0
    untouched = cloned.tables()
    cloned.root = tmp_path / "another home"
    # One run after the other is killed: a clone is there, its commits landed, a cursor moved, a table is in.
    for point, call in [("fetched", 1), ("landed", 1), ("moved", 1), ("loaded", 2)]:
        assert cloned.dies(point, call), point
    assert cloned.run().result.returncode == 0
    hashes = {"fix_commits": 10}  # the key of the hashes is another one in another home
    for table, rows in cloned.tables().items():
        place = hashes.get(table)
        assert [row[:place] for row in rows] == [row[:place] for row in untouched[table]]
