"""Clones and the API return the same rows for repositories with unusual histories."""

from datetime import date, datetime

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


def unusual(folder):
    """Create a repository with the most unusual commits that git allows."""
    repository = GitRepository(folder)
    repository.commit("Initial", {"a.py": "1\n2\n3\n", "b.bin": b"\0\1", 'name with "quotes" and \t tab': "1\n"})
    repository.commit("Fix without a newline at the end", {"a.py": "1\n2\n3"})
    repository.commit(f"fix {'x' * 10_000}\n\nbody", {"a.py": "1\n"})
    repository.commit(
        "fix: control \x01\x0b\x0c\x1b[31m characters\u2028and separators\r\n\r\nbody\r\n", {"b.bin": b"\0\2"}
    )
    repository.commit(
        "\n\n  Fixes after blank lines\n\n\nSigned-off-by: Jane Doe <jane.doe@example.org>", {"ä ö.py": "ü\n"}
    )
    repository.git("mv", "a.py", "renamed.py")
    repository.commit("Hotfix: rename", {"new.py": "x\n" * 30})
    repository.git("rm", "-q", "b.bin")
    repository.commit("bugfix: binary removed\n\nCo-authored-by: Jane Doe <jane@example.org>")
    repository.commit("fixing many", {f"many/{number}.py": "a\n" * 400 for number in range(40)})
    repository.commit("Prefix and suffix and fixture", {"c.py": "1\n"})
    repository.commit("fix nothing")
    repository.git("checkout", "-q", "-b", "side", "HEAD~3")
    repository.commit("fix on the side", {"side.py": "1\n"}, at=1_300_000_000)
    repository.git("checkout", "-q", "main")
    repository.merge("side", "Merge side, fixes all", at=1_550_000_000)
    for message, encoding in [
        ("fix é".encode("latin-1"), b"encoding ISO-8859-1\n"),
        ("fix 漢字".encode("shift-jis"), b"encoding Shift_JIS\n"),
        (b"fix \xff\xfe invalid", b""),
        (b"fix in no encoding that is known", b"encoding x-nobody\n"),
        (b"fix with\0a NUL", b""),
        (b"", b""),
    ]:
        tree, parent = repository.git("rev-parse", "HEAD^{tree}").encode(), repository.git("rev-parse", "HEAD").encode()
        repository.raw(b"tree " + tree + b"\nparent " + parent + b"\n" + AUTHOR + encoding + b"\n" + message)
    for zone in ("+051800", "+530", ""):
        tree, parent = repository.git("rev-parse", "HEAD^{tree}"), repository.git("rev-parse", "HEAD")
        person = f"Jane Doe <jane@example.org> 1500000000 {zone}".rstrip()
        head = f"tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\n"
        repository.raw(f"{head}fix in the zone {zone}\n".encode())
    return repository


@pytest.fixture
def api(tmp_path):
    with GitHub() as server:
        server.token = PLANTED
        server.has_zones = True
        server.add(unusual(tmp_path / "unusual").path, "jane/unusual", number=7, stars=3)
        server.add(GitRepository(tmp_path / "empty").path, "jane/empty", number=8, stars=2)
        server.add(GitRepository(tmp_path / "none").path, "jane/none", number=9, stars=1, topics=("torch",))
        yield server


@pytest.fixture
def both(api, tmp_path):
    """Return the study with the API as its source, and with clones."""
    through_api = Following(api, tmp_path / "api", STUDY_OF_ALL)
    through_clones = Following(api, tmp_path / "clones", with_sources(STUDY_OF_ALL, commits="clone"))
    return through_api, through_clones


def refreshed(both, *, sweep=False):
    """Refresh both and check that their rows are the same; return the tables."""
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
    # The hashes of authors differ between homes, but commits have the same authors.
    groups = [study.table("fix_commits").group_by("author_hash").agg("sha") for study in both]
    assert sorted(map(sorted, groups[0]["sha"])) == sorted(map(sorted, groups[1]["sha"]))
    for study in both:
        study.proves_secrecy()
    return tables


def test_unusual_histories_have_the_same_rows_both_ways(both):
    repositories, commits, sample = refreshed(both)
    assert dict(repositories.select("full_name", "state").rows()) == {
        "jane/unusual": "ok", "jane/empty": "empty", "jane/none": "empty",
    }  # fmt: skip
    titles = set(commits["title"])
    assert {"Fixes after blank lines", "fix é", "fix 漢字", "fix \ufffd\ufffd invalid", "fix with\ufffda NUL"} <= titles
    zones = commits.filter(pl.col("title").str.starts_with("fix in the zone"))
    assert zones["authored_at"].to_list() == [datetime(2017, 7, 14, 2, 40)] * 3
    assert not {"Prefix and suffix and fixture", "Initial", ""} & titles
    assert max(map(len, titles)) == 10_004
    assert commits.filter("is_merge")["title"].to_list() == ["Merge side, fixes all"]
    assert sample.height == commits.height
    many = sample.filter(title="fixing many")
    assert many.select("files_changed", "additions", pl.col("patch_excerpt").str.len_chars()).row(0) == (
        40, 16_000, 20_000,
    )  # fmt: skip
    renamed = sample.filter(title="Hotfix: rename")
    assert renamed.select("files_changed", "additions", "deletions").row(0) == (2, 30, 0)


def test_late_merges_and_rewritten_branches_have_the_same_rows_both_ways(both, api, tmp_path):
    refreshed(both)
    repository = GitRepository(tmp_path / "unusual")
    repository.git("checkout", "-q", "-b", "late", "HEAD~12")
    repository.commit("fix from long ago", {"late.py": "1\n"}, at=1_200_000_000)
    repository.git("checkout", "-q", "-f", "main")
    repository.merge("late", "Merge late fix", at=1_560_000_000)
    assert "fix from long ago" in refreshed(both)[1]["title"].to_list()
    lost = repository.git("rev-parse", "HEAD")
    repository.git("reset", "-q", "--hard", "HEAD~2")
    repository.commit("fix in its place", {"place.py": "1\n"})
    commits = refreshed(both)[1]
    assert not commits.filter(sha=lost)["is_reachable"].item()
    api.rename(7, "john/renamed")
    api.remove(8, 451)
    repositories = refreshed(both, sweep=True)[0]
    assert dict(repositories.select("full_name", "state").rows()) == {
        "john/renamed": "renamed", "jane/empty": "blocked", "jane/none": "empty",
    }  # fmt: skip


def test_dates_of_the_selection_apply_to_commits(both):
    dates = {"created_from": date(2011, 1, 1), "created_until": date(2011, 12, 31)}
    for study in both:
        study.study = study.study.model_copy(update={"selection": study.study.selection.model_copy(update=dates)})
    commits = refreshed(both)[1]
    assert commits["title"].to_list() == ["fix on the side"]


def test_a_changed_pattern_needs_no_new_history(both, api):
    refreshed(both)
    requests = len(api.log)
    study = both[0]
    study.study = study.study.model_copy(
        update={"selection": study.study.selection.model_copy(update={"fix_pattern": "(?i)prefix"})}
    )
    study.refresh()
    assert study.table("fix_commits")["title"].to_list() == ["Prefix and suffix and fixture"]
    # One request for the details of the sampled commit; heads are unchanged (304), histories are not requested again.
    assert [request.status for request in api.log[requests:]].count(200) == 1
