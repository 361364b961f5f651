"""Clones of real repositories: cloned without files, fetched again, and read."""

import subprocess
from datetime import datetime
from itertools import pairwise

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import git
from dlbug_assets.github.clones.git import Clone, RemoteState
from dlbug_assets.github.clones.git_process import GitError
from dlbug_assets.github.commits import Commit
from support.repositories import GitRepository

#: Codecs of Python that are not text encodings elsewhere, and names that are not encodings.
UNKNOWN_ENCODINGS = (
    b"idna", b"punycode", b"undefined", b"unicode_escape", b"raw_unicode_escape", b"Unicode-Escape", b"hex", b"rot13",
    b"", b"\xff", b"utf-8\0",
)  # fmt: skip


@pytest.fixture
def remote(tmp_path):
    return GitRepository(tmp_path / "remote")


@pytest.fixture
def clone(remote, tmp_path):
    return Clone(tmp_path / "clones" / "a.git", str(remote.path))


def fetch(clone):
    """Fetch the remote's head and return it."""
    state = clone.remote_state()
    assert state.state == "ok"
    clone.fetch(state.sha)
    return state.sha


def change_of(clone, sha):
    """Fetch the files of a commit and return what it changes."""
    clone.fetch_files([sha])
    return clone.change(sha)


def titles(clone, *known):
    return [commit.title for commit in clone.commits(clone.head(), known)]


def test_a_commit_is_read_with_its_author_dates_and_message(remote, clone):
    sha = remote.commit("Fix the loss\n\nIt was NaN.\n", {"a.py": "x\n"}, at=1_500_000_000)
    assert clone.remote_state() == RemoteState("ok", "main", sha)
    fetch(clone)
    (commit,) = clone.commits(clone.head())
    assert commit == Commit(
        sha,
        (),
        "jane.doe@example.org",
        datetime(2017, 7, 14, 2, 40),
        datetime(2017, 7, 14, 2, 41),
        "Fix the loss\n\nIt was NaN.\n",
    )


def test_a_clone_holds_commits_but_no_trees_or_files(remote, clone):
    remote.commit("one", {"a.py": "x\n" * 1000})
    remote.commit("two", {"b/c.py": "y\n"})
    fetch(clone)
    stored = subprocess.run(
        ["git", f"--git-dir={clone.folder}", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip
    assert stored == ["commit", "commit"]
    assert not (clone.folder / "hooks").exists() or not list((clone.folder / "hooks").glob("[!.]*[!e]"))


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("Fix it", "Fix it"),
        ("Fix it\nand that\n\nbody", "Fix it"),
        ("\n\n  Fix it  \r\nmore", "Fix it"),
        ("x" * 10_000, "x" * 10_000),
        ("Größe \N{BUG} fixed", "Größe \N{BUG} fixed"),
        ("bell\a and \x1b[31mred", "bell\a and \x1b[31mred"),
        ("", ""),
    ],
)
def test_the_title_is_the_first_line_that_is_not_blank(remote, clone, message, title):
    remote.commit(message)
    fetch(clone)
    assert titles(clone) == [title]


@pytest.mark.parametrize(
    ("header", "message", "expected"),
    [
        (b"encoding ISO-8859-1\n", "Größe".encode("latin-1"), "Größe"),
        (b"encoding klingon\n", "Größe".encode(), "Größe"),
        (b"", b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"", b"no\0 end", "no\N{REPLACEMENT CHARACTER} end"),
        *((b"encoding %s\n" % name, "Größe \\ud800".encode(), "Größe \\ud800") for name in UNKNOWN_ENCODINGS),
        (b"encoding utf-7\n", b"half +2AA- a pair", "half \N{REPLACEMENT CHARACTER} a pair"),
        (b"encoding utf-7\n", b"whole +2D3cGw- pair", "whole \N{BUG} pair"),
        (b"parent \xff\n", b"a header that git ignores here", "a header that git ignores here"),
    ],
)
def test_a_message_in_any_encoding_is_decoded(remote, clone, header, message, expected):
    tree = remote.git("mktree")
    remote.raw(
        f"tree {tree}\nauthor J <j@x.org> 1 +0000\ncommitter J <j@x.org> 1 +0000\n".encode() + header + b"\n" + message
    )
    fetch(clone)
    assert titles(clone) == [expected]


@pytest.mark.parametrize("person", [b"J <j@x.org> 99999999999999999999 +0000", b"J <j@x.org>", b"garbled"])
def test_an_invalid_date_is_none(remote, clone, person):
    tree = remote.git("mktree")
    remote.raw(f"tree {tree}\n".encode() + b"author " + person + b"\ncommitter J <j@x.org> 5 +0000\n\nFix")
    fetch(clone)
    (commit,) = clone.commits(clone.head())
    assert (commit.authored_at, commit.committed_at) == (None, datetime(1970, 1, 1, 0, 0, 5))


def test_a_side_branch_merged_late_is_found_by_reachability(remote, clone):
    remote.commit("base", at=1_500_000_000)
    remote.git("branch", "side")
    main = remote.commit("main continues", at=1_500_100_000)
    fetch(clone)
    remote.git("checkout", "-q", "side")
    remote.commit("old fix", at=1_400_000_000)
    remote.git("checkout", "-q", "main")
    merge = remote.merge("side", "Merge side", at=1_500_200_000)
    assert fetch(clone) == merge
    assert sorted(titles(clone, main)) == ["Merge side", "old fix"]
    assert [len(commit.parents) for commit in clone.commits(merge, [main])] == [2, 1]


def test_the_commits_of_a_rewritten_branch_are_kept(remote, clone):
    remote.commit("base")
    old = remote.commit("fix, first try")
    fetch(clone)
    remote.git("reset", "-q", "--hard", "HEAD~1")
    new = remote.commit("fix, second try", at=1_600_000_000)
    remote.collect_garbage()
    fetch(clone)
    assert clone.head() == new
    assert not clone.is_ancestor(old, new)
    assert clone.lost_heads([old, "1" * 40]) == ["1" * 40]
    assert titles(clone) == ["fix, second try", "base"]
    assert [commit.title for commit in clone.commits(old, [new])] == ["fix, first try"]


def test_a_rewritten_head_missing_from_the_clone_is_fetched_while_the_remote_has_it(remote, clone):
    remote.commit("base")
    old = remote.commit("fix, first try")
    remote.rewrite("fix, second try")
    fetch(clone)
    assert clone.lost_heads([old]) == []
    assert [commit.title for commit in clone.commits(old, [clone.head()])] == ["fix, first try"]
    older = remote.git("rev-parse", "HEAD")
    remote.rewrite("fix, third try")
    remote.collect_garbage()
    # It was fetched as the head before, so it does not matter that the remote dropped it.
    assert clone.lost_heads([older]) == []


def test_a_head_is_not_lost_while_the_remote_cannot_be_reached(remote, clone, tmp_path):
    remote.commit("base")
    fetch(clone)
    remote.path.rename(tmp_path / "away")
    with pytest.raises(GitError, match="does not appear to be a git repository"):
        clone.lost_heads(["1" * 40])


def test_fetching_the_same_head_again_changes_nothing(remote, clone):
    sha = remote.commit("one")
    fetch(clone)
    clone.fetch(sha)
    assert clone.head() == sha


def test_lock_files_of_a_killed_fetch_are_removed(remote, clone):
    remote.commit("one")
    fetch(clone)
    remote.commit("two")
    (clone.folder / "refs" / "dlbug" / "head.lock").touch()
    (clone.folder / "config.lock").touch()
    fetch(clone)
    assert titles(clone) == ["two", "one"]


def test_a_repository_without_commits_is_empty(clone):
    assert clone.remote_state().state == "empty"
    assert clone.head() is None


def test_a_repository_that_does_not_exist_is_gone(tmp_path):
    assert Clone(tmp_path / "a.git", str(tmp_path / "nowhere")).remote_state() == RemoteState("gone")


def test_a_folder_that_is_not_a_repository_is_an_error(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(GitError, match="git ls-remote: fatal: .*folder' does not appear to be a git repository"):
        Clone(tmp_path / "a.git", str(tmp_path / "folder")).remote_state()


@pytest.mark.parametrize(
    "address", ["http://example.org/a.git", "git://example.org/a.git", "ext::sh -c 'touch /tmp/owned'"]
)
def test_other_protocols_are_rejected(tmp_path, address):
    with pytest.raises(DlbugError, match="fetched by https, ssh or from a path, nothing else"):
        Clone(tmp_path / "a.git", address).remote_state()


def test_an_address_is_never_taken_as_an_option(tmp_path, remote):
    remote.commit("one")
    assert Clone(tmp_path / "a.git", "--upload-pack=touch owned").remote_state().state == "gone"
    (tmp_path / "-x").symlink_to(remote.path)
    assert Clone(tmp_path / "-b.git", str(tmp_path / "-x")).remote_state().state == "ok"


def test_changed_files_and_lines_are_counted(remote, clone):
    remote.commit("base", {"a.py": "1\n2\n3\n", "b.bin": b"\0\1\2"})
    sha = remote.commit("fix", {"a.py": "1\nzwei\n3\n4", "b.bin": b"\0\1\3", "new name.py": "x\ny\n"})
    fetch(clone)
    change = change_of(clone, sha)
    assert (change.files, change.additions, change.deletions) == (3, 4, 1)
    assert change.excerpt == (
        "diff --git a/a.py b/a.py\n@@ -1,3 +1,4 @@\n 1\n-2\n+zwei\n 3\n+4\n\\ No newline at end of file\n"
        "diff --git a/b.bin b/b.bin\n"
        "diff --git a/new name.py b/new name.py\n@@ -0,0 +1,2 @@\n+x\n+y\n"
    )


def test_the_excerpt_of_a_long_patch_is_cut_at_its_limit(remote, clone):
    sha = remote.commit("fix", dict.fromkeys("abc", "line\n" * 3000))
    fetch(clone)
    change = change_of(clone, sha)
    assert (change.additions, len(change.excerpt)) == (9000, 20_000)


def test_a_root_commit_adds_everything_and_a_merge_is_compared_with_its_first_parent(remote, clone):
    first = remote.commit("base", {"a.py": "1\n"})
    remote.git("checkout", "-q", "-b", "side")
    remote.commit("side", {"b.py": "1\n2\n"})
    remote.git("checkout", "-q", "main")
    remote.commit("main", {"c.py": "1\n"})
    merge = remote.merge("side", "Merge")
    fetch(clone)
    assert (change_of(clone, first).files, change_of(clone, first).additions) == (1, 1)
    assert (change_of(clone, merge).files, change_of(clone, merge).additions) == (1, 2)


def test_a_renamed_file_counts_as_one_file_without_changed_lines(remote, clone):
    remote.commit("base", {"a.py": "1\n2\n"})
    remote.git("mv", "a.py", "b.py")
    sha = remote.commit("rename")
    fetch(clone)
    change = change_of(clone, sha)
    assert (change.files, change.additions, change.deletions) == (1, 0, 0)
    assert change.excerpt == "diff --git a/a.py b/b.py\n"


def test_a_file_that_becomes_a_symbolic_link_or_the_reverse_counts_as_one_file(remote, clone):
    (remote.path / "g").symlink_to("target")
    remote.git("add", "g")
    remote.commit("base", {"f": "1\n2\n", "h": "x\n"})
    (remote.path / "f").unlink()
    (remote.path / "f").symlink_to("elsewhere")
    (remote.path / "g").unlink()
    remote.git("add", "f")
    sha = remote.commit("fix links", {"g": "now\na file\n", "h": "y\n"})
    fetch(clone)
    change = change_of(clone, sha)
    assert (change.files, change.additions, change.deletions) == (3, 4, 4)
    assert change.excerpt == (
        "diff --git a/f b/f\n@@ -1,2 +0,0 @@\n-1\n-2\n@@ -0,0 +1 @@\n+elsewhere\n\\ No newline at end of file\n"
        "diff --git a/g b/g\n@@ -1 +0,0 @@\n-target\n\\ No newline at end of file\n@@ -0,0 +1,2 @@\n+now\n+a file\n"
        "diff --git a/h b/h\n@@ -1 +1 @@\n-x\n+y\n"
    )


def test_counts_equal_those_of_git_log(remote, clone):
    shas = [remote.commit(f"fix {n}", {f"f{n % 3}.py": "\n".join(map(str, range(n))) + "\n"}) for n in range(1, 8)]
    fetch(clone)
    for sha in shas:
        lines = remote.git("log", "-1", "--numstat", "--format=", sha).splitlines()
        numbers = [line.split("\t") for line in lines]
        change = change_of(clone, sha)
        assert (change.files, change.additions, change.deletions) == (
            len(numbers),
            sum(int(row[0]) for row in numbers),
            sum(int(row[1]) for row in numbers),
        )


@pytest.mark.parametrize(("per_process", "processes"), [(1, 3), (2, 3), (100, 1)])
def test_several_processes_count_many_commits_in_their_order(remote, clone, monkeypatch, per_process, processes):
    shas = [remote.commit(f"fix {n}", {f"f{n}.py": "x\n" * n}) for n in range(1, 8)]
    fetch(clone)
    clone.fetch_files(shas)
    commands = []
    run = Clone._output
    monkeypatch.setattr(Clone, "_output", lambda *args, **stdin: commands.append(args[1]) or run(*args, **stdin))
    monkeypatch.setattr(git, "_COMMITS_PER_PROCESS", per_process)
    monkeypatch.setattr(git.os, "cpu_count", lambda: 3)
    counts = clone.numstat({own: [parent] for parent, own in pairwise(shas)} | {shas[0]: []})
    assert list(counts) == [*shas[1:], shas[0]]
    assert [each.additions for each in counts.values()] == [2, 3, 4, 5, 6, 7, 1]
    assert commands == ["diff-tree"] * processes


def test_an_error_quotes_git(tmp_path, clone):
    with pytest.raises(GitError, match="git cat-file: fatal: not a git repository: .*none.git"):
        list(Clone(tmp_path / "none.git", "x").commits("HEAD"))


def test_the_error_without_git_names_the_package_to_install(clone, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DlbugError, match="git is not installed.*Install the package git"):
        clone.remote_state()
