"""Real repositories with everything that histories hold, mined through clones and through the API to the same rows."""

from datetime import date

import polars as pl
import pytest

from servers.github import GitHub
from support.followed_repositories import PLANTED, STUDY, Following, with_sources
from support.repositories import GitRepository

pytestmark = pytest.mark.slow

STUDY_OF_ALL = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"commits_per_library": 100})})
AUTHOR = (
    b"author Jane Doe <jane.doe@example.org> 1500000000 +0200\ncommitter Jane Doe <jane@example.org> 1500000060 -0700\n"
)


def odd(folder):
    """A repository whose commits are as odd as git allows."""
    made = GitRepository(folder)
    made.commit("Initial", {"a.py": "1\n2\n3\n", "b.bin": b"\0\1", 'name with "quotes" and \t tab': "1\n"})
    made.commit("Fix without a newline at the end", {"a.py": "1\n2\n3"})
    made.commit(f"fix {'x' * 10_000}\n\nbody", {"a.py": "1\n"})
    made.commit("fix: control \x01\x0b\x0c\x1b[31m characters\u2028and separators\r\n\r\nbody\r\n", {"b.bin": b"\0\2"})
    made.commit("\n\n  Fixes after blank lines\n\n\nSigned-off-by: Jane Doe <jane.doe@example.org>", {"ä ö.py": "ü\n"})
    made.git("mv", "a.py", "renamed.py")
    made.commit("Hotfix: rename", {"new.py": "x\n" * 30})
    made.git("rm", "-q", "b.bin")
    made.commit("bugfix: binary removed\n\nCo-authored-by: Jane Doe <jane@example.org>")
    made.commit("fixing many", {f"many/{number}.py": "a\n" * 400 for number in range(40)})
    made.commit("Prefix and suffix and fixture", {"c.py": "1\n"})
    made.commit("fix nothing")
    made.git("checkout", "-q", "-b", "side", "HEAD~3")
    made.commit("fix on the side", {"side.py": "1\n"}, at=1_300_000_000)
    made.git("checkout", "-q", "main")
    made.merge("side", "Merge side, fixes all", at=1_550_000_000)
    for message, encoding in [
        ("fix é".encode("latin-1"), b"encoding ISO-8859-1\n"),
        ("fix 漢字".encode("shift-jis"), b"encoding Shift_JIS\n"),
        (b"fix \xff\xfe invalid", b""),
        (b"fix in no encoding that is known", b"encoding x-nobody\n"),
        (b"fix with\0a NUL", b""),
        (b"", b""),
    ]:
        tree, parent = made.git("rev-parse", "HEAD^{tree}").encode(), made.git("rev-parse", "HEAD").encode()
        made.raw(b"tree " + tree + b"\nparent " + parent + b"\n" + AUTHOR + encoding + b"\n" + message)
    return made


@pytest.fixture
def api(tmp_path):
    with GitHub() as server:
        server.token = PLANTED
        server.add(odd(tmp_path / "odd").path, "jane/odd", number=7, stars=3)
        server.add(GitRepository(tmp_path / "empty").path, "jane/empty", number=8, stars=2)
        server.add(GitRepository(tmp_path / "none").path, "jane/none", number=9, stars=1, topics=("torch",))
        yield server


@pytest.fixture
def both(api, tmp_path):
    """The study through the API, and through clones."""
    through_api = Following(api, tmp_path / "api", STUDY_OF_ALL)
    through_clones = Following(api, tmp_path / "clones", with_sources(STUDY_OF_ALL, commits="clone"))
    return through_api, through_clones


def refreshed(both, *, sweep=False):
    """Both refreshed; their rows are the same."""
    for study in both:
        study.refresh(sweep=sweep)
        study.proves_one_row_each()
        study.proves_rebuilding()
    tables = []
    for name in ("repositories", "fix_commits", "sampled_commits"):
        through_api, through_clones = (study.table(name) for study in both)
        own = {"retrieved_at", "author_hash"} & set(through_api.columns)
        assert through_api.drop(own).rows() == through_clones.drop(own).rows(), name
        assert through_api.height > 0
        tables.append(through_api)
    # Hashes differ from home to home; who is who does not.
    groups = [study.table("fix_commits").group_by("author_hash").agg("sha") for study in both]
    assert sorted(map(sorted, groups[0]["sha"])) == sorted(map(sorted, groups[1]["sha"]))
    for study in both:
        study.proves_secrecy()
    return tables


def test_odd_histories_give_the_same_rows_both_ways(both):
    repositories, commits, drawn = refreshed(both)
    assert dict(repositories.select("full_name", "state").rows()) == {
        "jane/odd": "ok", "jane/empty": "empty", "jane/none": "empty",
    }  # fmt: skip
    titles = set(commits["title"])
    assert {"Fixes after blank lines", "fix é", "fix 漢字", "fix \ufffd\ufffd invalid", "fix with\ufffda NUL"} <= titles
    assert not {"Prefix and suffix and fixture", "Initial", ""} & titles
    assert max(map(len, titles)) == 10_004
    assert commits.filter("is_merge")["title"].to_list() == ["Merge side, fixes all"]
    assert drawn.height == commits.height
    many = drawn.filter(title="fixing many")
    assert many.select("files_changed", "additions", pl.col("patch_excerpt").str.len_chars()).row(0) == (
        40, 16_000, 20_000,
    )  # fmt: skip
    renamed = drawn.filter(title="Hotfix: rename")
    assert renamed.select("files_changed", "additions", "deletions").row(0) == (2, 30, 0)


def test_late_merges_and_rewritten_branches_are_the_same_both_ways(both, api, tmp_path):
    refreshed(both)
    made = GitRepository(tmp_path / "odd")
    made.git("checkout", "-q", "-b", "late", "HEAD~12")
    made.commit("fix from long ago", {"late.py": "1\n"}, at=1_200_000_000)
    made.git("checkout", "-q", "-f", "main")
    made.merge("late", "Merge late fix", at=1_560_000_000)
    assert "fix from long ago" in refreshed(both)[1]["title"].to_list()
    lost = made.git("rev-parse", "HEAD")
    made.git("reset", "-q", "--hard", "HEAD~2")
    made.commit("fix in its place", {"place.py": "1\n"})
    commits = refreshed(both)[1]
    assert not commits.filter(sha=lost)["is_reachable"].item()
    api.rename(7, "john/renamed")
    api.remove(8, 451)
    repositories = refreshed(both, sweep=True)[0]
    assert dict(repositories.select("full_name", "state").rows()) == {
        "john/renamed": "renamed", "jane/empty": "blocked", "jane/none": "empty",
    }  # fmt: skip


def test_dates_of_the_selection_hold_for_commits(both):
    dates = {"created_from": date(2011, 1, 1), "created_until": date(2011, 12, 31)}
    for study in both:
        study.study = study.study.model_copy(update={"selection": study.study.selection.model_copy(update=dates)})
    commits = refreshed(both)[1]
    assert commits["title"].to_list() == ["fix on the side"]


def test_what_the_study_asks_may_change_without_a_network(both, api):
    refreshed(both)
    asked = len(api.log)
    study = both[0]
    study.study = study.study.model_copy(
        update={"selection": study.study.selection.model_copy(update={"fix_pattern": "(?i)prefix"})}
    )
    study.refresh()
    assert study.table("fix_commits")["title"].to_list() == ["Prefix and suffix and fixture"]
    # Looks, and the details of the one that was drawn: no history again.
    assert [request.status for request in api.log[asked:]].count(200) == 1
