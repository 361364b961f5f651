"""Whatever a researcher has on disk is mined to the commits of `git log`, or reported as unread with the reason."""

import logging
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.github.clones import git_process
from dlbug_assets.github.clones.git import Clone
from dlbug_assets.github.clones.git_process import GitError, git
from dlbug_assets.github.clones.histories import CloneHistories
from dlbug_assets.github.commits import repository_rows
from dlbug_assets.github.followed import listed_repository
from dlbug_assets.ingest.landing import Landing
from support.followed_repositories import STUDY
from support.repositories import GitRepository, overwrite_middle

pytestmark = pytest.mark.slow

NOWHERE = "there is no repository at its address: correct the address or path in the study"


@pytest.fixture(autouse=True)
def short_limit(monkeypatch):
    """End whatever does not end by itself, with all its processes."""
    monkeypatch.setattr(git_process, "_SECONDS", 30)


@pytest.fixture
def collect(tmp_path, caplog):
    """Collect from one source; return its row in github.repositories, the frame of commits, changes and notes."""
    caplog.set_level(logging.WARNING)

    def collected(address):
        landing, clones = Landing(tmp_path / "home" / "landing", Clock()), tmp_path / "home" / "clones"
        histories = CloneHistories(STUDY, STUDY.libraries[0], landing, clones)
        repositories = [listed_repository(str(address), "file:///none")]
        notes = histories.collect(repositories)
        (row,) = repository_rows("Keras", repositories, histories.remote_states()).to_dicts()
        return row, histories.commits(repositories), histories.changes().to_dicts(), notes

    return collected


def fetch(clone):
    """Fetch the remote's head and return it."""
    sha = clone.remote_state().sha
    assert sha
    clone.fetch(sha)
    return sha


def history(path, object_format="sha1"):
    """Create a repository with a merge, several branches' worth of files and ten commits, seven of them fixes."""
    repository = GitRepository(path, object_format)
    for number in range(4):
        repository.commit(
            f"fix {number}\n\nBecause.\n", {f"{number}.py": f"{number}\n" * 20}, at=1_500_000_000 + number
        )
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("fix on the side", {"side.py": "x\n"}, at=1_400_000_000)
    repository.git("checkout", "-q", "main")
    repository.commit("add a link", {"0.py": "zero\n"})
    repository.merge("side", "Merge side, which fixes it", at=1_500_000_900)
    repository.git("branch", "-q", "-d", "side")
    repository.commit("Größe fixed", {"1.py": "one\n"}, at=1_500_001_000)
    return repository


def logged(repository, *revision):
    """Return hash, title and both Unix times of the fix commits, as git log lists them."""
    pattern = re.compile(STUDY.selection.fix_pattern)
    lines = repository.git("log", "--format=%H%x00%at%x00%ct%x00%s", *revision).splitlines()
    rows = [line.split("\0") for line in lines]
    return sorted((sha, title, int(authored), int(at)) for sha, authored, at, title in rows if pattern.search(title))


def mined(commits):
    epoch = datetime(1970, 1, 1)
    return sorted(
        (sha, title, int((authored - epoch).total_seconds()), int((committed - epoch).total_seconds()))
        for sha, title, authored, committed in commits.select("sha", "title", "authored_at", "committed_at").rows()
    )


def plain(tmp_path):
    repository = history(tmp_path / "source")
    return repository, repository.path


def sha256(tmp_path):
    repository = history(tmp_path / "source", "sha256")
    return repository, repository.path


def renamed_branch(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("branch", "-m", "trunk")
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    return repository, path


def renamed_branch_of_a_clone(tmp_path):
    path = tmp_path / "clone"
    repository = history(tmp_path / "source").clone(path)  # it has refs/remotes/origin/HEAD
    repository.git("branch", "-m", "trunk")
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    return repository, path


def renamed_branch_among_others(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("branch", "another", "HEAD~2")
    repository.git("symbolic-ref", "HEAD", "refs/heads/master")
    return repository, path


def detached(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("checkout", "-q", "--detach", "HEAD~1")
    return repository, path


def bare(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("clone", "-q", "--bare", str(path), str(tmp_path / "bare.git"))
    return repository, tmp_path / "bare.git"


def worktree(tmp_path):
    repository, _ = plain(tmp_path)
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "worktree"), "HEAD~1")
    return GitRepository(tmp_path / "worktree"), tmp_path / "worktree"


def sharing_objects(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("clone", "-q", "--shared", str(path), str(tmp_path / "sharing"))
    return repository, tmp_path / "sharing"


def without_filters(tmp_path):
    repository, path = plain(tmp_path)
    repository.git("config", "--unset", "uploadpack.allowFilter")
    repository.git("config", "--unset", "uploadpack.allowAnySHA1InWant")
    return repository, path


def with_odd_name(tmp_path):
    repository = history(tmp_path / "100%41 odd, 'ünd' #name?")
    return repository, repository.path


def of_another_user(tmp_path):
    if os.getuid():
        pytest.skip("only root can give files away")
    _, path = plain(tmp_path)
    expected = GitRepository(shutil.copytree(path, tmp_path / "copy"))
    for each in (path, *path.rglob("*")):
        os.chown(each, 12345, 12345, follow_symlinks=False)
    return expected, path


def bundle(tmp_path):
    repository, _ = plain(tmp_path)
    repository.git("bundle", "create", "-q", str(tmp_path / "all.bundle"), "--all")
    return repository, tmp_path / "all.bundle"


def bundle_of_sha256_without_head(tmp_path):
    repository, _ = sha256(tmp_path)
    repository.git("bundle", "create", "-q", str(tmp_path / "main.bundle"), "main")
    return repository, tmp_path / "main.bundle"


READ = (
    plain, sha256, renamed_branch, renamed_branch_of_a_clone, renamed_branch_among_others, detached, bare, worktree,
    sharing_objects, without_filters, with_odd_name, of_another_user, bundle, bundle_of_sha256_without_head,
)  # fmt: skip


@pytest.mark.parametrize("make", READ)
def test_a_source_of_any_kind_is_mined_to_the_commits_of_git_log(collect, tmp_path, make):
    repository, path = make(tmp_path)
    revisions = {renamed_branch: "trunk", renamed_branch_of_a_clone: "trunk", renamed_branch_among_others: "main"}
    revision = revisions.get(make, "HEAD")
    row, commits, changes, _ = collect(path)
    assert (row["state"], row["unread_reason"]) == ("ok", None)
    assert row["head_sha"] == repository.git("rev-parse", revision)
    assert mined(commits) == logged(repository, revision)
    assert len(changes) == min(commits.height, STUDY.selection.commits_per_library)
    for change in changes:
        counts = repository.git("log", "-1", "--first-parent", "-m", "--shortstat", "--format=", change["sha"])
        assert change["files_changed"] == int(counts.split()[0])
    assert collect(path)[3] == {"kind": "clone", "repositories": 1, "note": "nothing new"}


@pytest.mark.parametrize("make", [plain, without_filters, of_another_user])
def test_only_commits_and_what_sampled_ones_change_are_fetched_from_a_path(collect, tmp_path, make):
    _, path = make(tmp_path)
    _, _, changes, _ = collect(path)
    (folder,) = (tmp_path / "home" / "clones").iterdir()
    listed = git(f"--git-dir={folder}", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert listed.count(b"commit") == 8
    assert 0 < listed.count(b"blob") <= 2 * sum(change["files_changed"] for change in changes)


def shallow(tmp_path):
    return history(tmp_path / "source").clone(tmp_path / "shallow", "--depth=3").path


def without_trees(tmp_path):
    return history(tmp_path / "source").clone(tmp_path / "partial", "--filter=tree:0").path


def with_several_branches(tmp_path):
    repository = history(tmp_path / "source")
    repository.git("branch", "-m", "one")
    repository.git("branch", "two")
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    return repository.path


def part_of_a_bundle(tmp_path):
    repository = history(tmp_path / "source")
    repository.git("bundle", "create", "-q", str(tmp_path / "part.bundle"), "main~2..main")
    return tmp_path / "part.bundle"


def truncated_bundle(tmp_path):
    _, path = bundle(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def damaged(tmp_path):
    repository = history(tmp_path / "source")
    repository.damage()
    return repository.path


def sharing_what_is_missing(tmp_path):
    repository, path = sharing_objects(tmp_path)
    repository.path.rename(tmp_path / "away")
    return path


def mistyped(tmp_path):
    return tmp_path / "sorce"


def a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def a_file(tmp_path):
    (tmp_path / "file.bundle").write_text("not a bundle")
    return tmp_path / "file.bundle"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (shallow, "its source is a shallow clone: run `git fetch --unshallow` there"),
        (
            without_trees,
            "its source is a partial clone that lacks objects: run `git fetch --refetch --no-filter` there",
        ),
        (
            with_several_branches,
            "its HEAD names a branch that does not exist, and none of its 2 branches is called main",
        ),
        (part_of_a_bundle, "its source is a bundle of a part of the history: bundle all of it"),
        (truncated_bundle, "git fetch: "),
        (damaged, "git fetch: "),
        (sharing_what_is_missing, "git ls-remote: |git fetch: "),
        (mistyped, NOWHERE),
        (a_folder, "git ls-remote: .*folder' does not appear to be a git repository"),
        (a_file, "git ls-remote: "),
    ],
)
def test_a_source_that_cannot_be_read_is_unread_with_the_reason(collect, tmp_path, caplog, make, reason):
    path = make(tmp_path)
    began = time.monotonic()
    row, commits, changes, _ = collect(path)
    assert time.monotonic() - began < 20
    assert (row["state"], row["head_sha"], commits.height, changes) == ("unread", None, 0, [])
    assert re.match(reason, row["unread_reason"])
    assert caplog.messages == [f"{row['full_name']} cannot be read now: {row['unread_reason']}"]
    assert not list((tmp_path / "home").rglob("tmp_*"))
    assert collect(path)[3] == {"kind": "clone", "repositories": 1, "note": "nothing new"}
    # It is repaired.
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    repaired = history(path)
    row, commits, _, _ = collect(path)
    assert (row["state"], row["unread_reason"], mined(commits)) == ("ok", None, logged(repaired))


def test_the_commits_of_a_source_without_files_are_mined_but_it_is_unread(collect, tmp_path):
    complete = history(tmp_path / "source")
    partial = complete.clone(tmp_path / "partial", "--filter=blob:none")
    row, commits, changes, _ = collect(partial.path)
    assert (row["state"], changes) == ("unread", [])
    assert row["unread_reason"] == (
        f"the changes of {STUDY.selection.commits_per_library} of its sampled commits are unknown: its source is a "
        "partial clone that lacks objects: run `git fetch --refetch --no-filter` there"
    )
    assert mined(commits) == logged(complete)
    assert collect(partial.path)[3]["note"] == "nothing new"
    partial.git("fetch", "-q", "--refetch", "--no-filter")
    row, commits, changes, _ = collect(partial.path)
    assert (row["state"], row["unread_reason"], len(changes)) == ("ok", None, STUDY.selection.commits_per_library)
    assert mined(commits) == logged(complete)


def test_a_source_that_became_unreadable_keeps_its_commits_with_the_reason(collect, tmp_path):
    repository = history(tmp_path / "source")
    before = collect(repository.path)
    repository.commit("fix more")
    repository.damage()
    row, commits, changes, _ = collect(repository.path)
    assert (row["state"], row["head_sha"]) == ("ok", before[0]["head_sha"])
    assert row["unread_reason"].startswith("git fetch: ")
    assert commits.equals(before[1])
    assert changes == before[2]


def test_a_source_that_was_read_before_is_gone_when_it_is_not_there_any_more(collect, tmp_path):
    repository = history(tmp_path / "source")
    before = collect(repository.path)
    repository.path.rename(tmp_path / "away")
    row, commits, _, _ = collect(repository.path)
    assert (row["state"], row["unread_reason"]) == ("gone", None)
    assert commits.equals(before[1])
    repository.path.mkdir()
    row, _, _, _ = collect(repository.path)
    assert row["state"] == "gone"
    assert row["unread_reason"].endswith(
        "does not appear to be a git repository; fatal: Could not read from remote repository."
    )


def test_a_damaged_clone_is_unread_until_it_is_deleted(collect, tmp_path):
    repository = history(tmp_path / "source")
    before = collect(repository.path)
    (folder,) = (tmp_path / "home" / "clones").iterdir()
    for pack in folder.glob("objects/pack/*.pack"):
        overwrite_middle(pack)
    repository.commit("not a repair")
    row, commits, _, _ = collect(repository.path)
    assert (row["state"], commits.height) == ("unread", 0)
    assert re.fullmatch(
        rf"its clone is damaged \(git .*\): delete {folder}, and it is fetched again", row["unread_reason"]
    )
    assert collect(repository.path)[3]["note"] == "nothing new"
    shutil.rmtree(folder)
    row, commits, _, _ = collect(repository.path)
    assert (row["state"], row["unread_reason"]) == ("ok", None)
    assert commits.equals(before[1])


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}//", "{}/.git", "{}/.git/", "{}//.git//"])
def test_every_spelling_of_a_path_is_one_repository(tmp_path, spelling):
    path = tmp_path / "source"
    repository = listed_repository(spelling.format(path), "file:///none")
    assert (repository.key, repository.full_name, repository.page) == (str(path), str(path), None)


def test_temporary_files_of_a_killed_fetch_are_removed(tmp_path):
    repository = history(tmp_path / "source")
    clone = Clone(tmp_path / "a.git", str(repository.path))
    fetch(clone)
    left = [clone.folder / "objects" / name for name in ("pack/tmp_pack_x", "pack/tmp_idx_y", "ab/tmp_obj_z")]
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(1000))
    (clone.folder / "objects" / "tmp_objdir-incoming-1").mkdir()
    repository.commit("fix more")
    head = fetch(clone)
    assert not list(clone.folder.rglob("tmp_*"))
    assert len(list(clone.commits(head))) == 9


@pytest.mark.parametrize("zone", [b" +0000", b" -0000", b" +051800", b" +530", b" +9999", b" zone", b"", b" "])
def test_a_date_needs_no_valid_zone(tmp_path, zone):
    repository = GitRepository(tmp_path / "source")
    tree = repository.git("mktree")
    person = b"J > <j@x.org> 1500000000" + zone
    repository.raw(f"tree {tree}\n".encode() + b"author " + person + b"\ncommitter " + person + b"\n\nFix")
    clone = Clone(tmp_path / "a.git", str(repository.path))
    (commit,) = clone.commits(fetch(clone))
    assert commit.authored_at == commit.committed_at == datetime(2017, 7, 14, 2, 40)


MEASURED = """
import sys
from pathlib import Path
from dlbug_assets.github.clones.git import Clone
clone = Clone(Path(sys.argv[2]), sys.argv[1])
clone.fetch(clone.remote_state().sha)
shas = [commit.sha for commit in clone.commits(clone.head())]
clone.fetch_files(shas)
titles = [len(commit.title) for commit in clone.commits(clone.head())]
changes = [(each.files, each.additions, len(each.excerpt)) for each in clone.changes(shas)]
status = Path("/proc/self/status").read_text()
print(titles, changes, *(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def test_memory_is_bounded_by_what_is_kept(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux has a process's peak memory in /proc")
    repository = GitRepository(tmp_path / "source")
    repository.git("config", "core.compression", "1")
    repository.commit("fix one", {"lines.txt": b"x" * 999 + b"\n"})
    repository.commit("fix lines", {"lines.txt": (b"y" * 999 + b"\n") * 100_000})
    repository.commit("fix one line", {"line.txt": b"z" * (100 << 20)})
    repository.commit("fix " + "x" * (100 << 20))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(repository.path), str(tmp_path / "a.git")],
        capture_output=True, text=True, check=True, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    *found, peak = done.stdout.rsplit(maxsplit=1)
    assert found == ["[20000, 12, 9, 7] [(0, 0, 0), (1, 1, 20000), (1, 100000, 20000), (1, 1, 1050)]"]
    assert int(peak) < 150 << 10  # 57 MiB after the imports


def test_a_git_that_needs_too_much_memory_is_an_error(tmp_path, monkeypatch):
    repository = GitRepository(tmp_path / "source")
    repository.commit("fix " + "x" * (50 << 20))
    clone = Clone(tmp_path / "a.git", str(repository.path))
    monkeypatch.setattr(git_process, "_MEMORY", 32 << 20)
    with pytest.raises(GitError, match="git fetch: .*(memory|died)"):
        fetch(clone)
    assert not clone.folder.exists()


def test_a_git_that_prints_too_much_is_an_error(tmp_path, monkeypatch):
    repository = history(tmp_path / "source")
    monkeypatch.setattr(git_process, "_LONGEST_OUTPUT", 10)
    with pytest.raises(GitError, match="git ls-remote printed more than 0 MiB and was ended"):
        Clone(tmp_path / "a.git", str(repository.path)).remote_state()
