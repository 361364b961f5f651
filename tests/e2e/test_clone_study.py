"""A study that clones the repositories it lists, run by the dlbug command."""

import pytest

from dlbug_assets.layout import Home
from support.commands import Ran, command, query
from support.killed_runs import is_killed
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
repositories = ["./one", "./three"]
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
        self.repositories = {name: GitRepository(folder / name) for name in ("one", "two")}
        for name, repository in self.repositories.items():
            for number in range(8):
                word = "fix" if number % 2 else "add"
                repository.commit(
                    f"{word} {name} {number}\n\nSigned-off-by: Jane <jane@example.org>",
                    {f"{number}.py": f"# by jane.doe@example.org\n{number}\n"},
                )
        GitRepository(folder / "three")  # without commits
        (folder / "cloned.toml").write_text(STUDY, encoding="utf-8")

    @property
    def home(self):
        return Home(self.root, "cloned")

    def run(self, select=COMMITS):
        arguments = ("run", "--study", str(self.folder / "cloned.toml"), "--select", select)
        return Ran(self.home, command(self.home.root, *arguments))

    def dies(self, point, call):
        """Return whether a run killed itself at the call-th execution of a point."""
        arguments = ("run", "--study", str(self.folder / "cloned.toml"), "--select", COMMITS)
        return is_killed(point, call, self.root, *arguments)

    def tables(self):
        """Return the rows of each table, without the times of retrieval."""
        columns = "columns(lambda name: name <> 'retrieved_at')"
        return {
            name: query(self.home, f"select {columns} from github.{name} order by all").rows()
            for name in ("repositories", "fix_commits", "sampled_commits")
        }


@pytest.fixture
def cloned(tmp_path):
    return Cloned(tmp_path)


def test_clones_are_loaded_up_to_sampled_commits_and_changes_are_followed(cloned):
    first = cloned.run()
    assert first.result.returncode == 0, first.result.stderr
    assert "Keras: clone, 2 repositories, 4 commits" in first.result.stderr
    found = first.query(
        "select library, count(*), count(distinct author_hash) from github.fix_commits group by 1 order by 1"
    )
    assert found.rows() == [("Keras", 4, 1), ("Torch", 4, 1)]
    states = first.query("select state from github.repositories order by full_name").to_series().to_list()
    assert states == ["ok", "empty", "ok"]
    sizes = first.query(
        "select sum(files_changed), sum(additions), sum(deletions), count(*) from github.sampled_commits"
    )
    assert sizes.row(0) == (8, 16, 0, 8)

    cloned.repositories["one"].commit("fix one more thing")
    cloned.repositories["two"].git("reset", "-q", "--hard", "HEAD~1")
    second = cloned.run()
    assert second.result.returncode == 0, second.result.stderr
    counts = "select library, is_reachable, count(*) from github.fix_commits group by all order by all"
    # The commit that the second repository lost by the reset is no longer an ancestor of its head.
    assert second.query(counts).rows() == [("Keras", True, 5), ("Torch", False, 1), ("Torch", True, 3)]
    third = cloned.run()
    assert "Keras: clone, 2 repositories, nothing new" in third.result.stderr
    assert third.query("select count(*) from github.collections").item() == 4

    # No person is named in the tables, the history of runs, or the log.
    published = cloned.home.published.read_bytes()
    events = b"".join(path.read_bytes() for path in cloned.home.dagster_home.rglob("*") if path.is_file())
    for content in (published, events, first.result.stderr.encode()):
        assert b"jane.doe@example.org" not in content
        assert b"jane@example.org" not in content

    # The landing alone, without the repositories, yields the same tables.
    before = cloned.tables()
    for repository in cloned.repositories.values():
        repository.path.rename(repository.path.with_name(f"{repository.path.name}-away"))
    cloned.home.working.unlink()
    again = cloned.run(f'{COMMITS} and not key:"github/landing"')
    assert again.result.returncode == 0, again.result.stderr
    assert cloned.tables() == before


def test_row_39_the_next_run_completes_a_run_killed_at_any_point(cloned, tmp_path):
    assert cloned.run().result.returncode == 0
    untouched = cloned.tables()
    cloned.root = tmp_path / "another home"
    # Runs are killed after a fetch, when its commits have landed, after moving a cursor, and after loading a table.
    for point, call in [("fetched", 1), ("landed", 1), ("moved", 1), ("loaded", 2)]:
        assert cloned.dies(point, call), point
    assert cloned.run().result.returncode == 0
    hashes = {"fix_commits": 10}  # each home has its own key for hashes
    for table, rows in cloned.tables().items():
        place = hashes.get(table)
        assert [row[:place] for row in rows] == [row[:place] for row in untouched[table]]
