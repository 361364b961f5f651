"""Collecting from many clones: its cost, remotes that hang, rewritten branches, lost clones and a full disk."""

import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import git, git_process, histories
from dlbug_assets.github.clones.git import Clone, count_and_size
from dlbug_assets.github.clones.git_process import GitError
from dlbug_assets.github.clones.histories import CloneHistories
from dlbug_assets.github.clones.workers import in_threads
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.protocol.study import Study
from support.followed_repositories import STUDY
from support.repositories import GitRepository

pytestmark = pytest.mark.slow

NAMES = [f"jane/r{number}" for number in range(6)]
KEPT = f"{NAMES[0]}: its branch was rewritten; the earlier commits are kept"


class Outcome(NamedTuple):
    """What a collection of all repositories resulted in."""

    notes: dict[str, Any]
    messages: list[str]
    states: dict[str, dict[str, Any]]
    titles: list[str]
    changes: list[dict[str, Any]]


@pytest.fixture
def repositories(tmp_path):
    remotes = {name: GitRepository(tmp_path / name) for name in NAMES}
    for name, repository in remotes.items():
        repository.commit(f"fix {name}", {"a.py": f"{name}\n"})
    return remotes


@pytest.fixture
def collect(tmp_path, repositories, caplog):
    """Collect from the repositories; return the notes, log lines, remote states, titles of commits and changes."""
    caplog.set_level(logging.INFO)

    def collected(*further: Repository, home: str = "home", study: Study = STUDY):
        root = tmp_path / home
        histories = CloneHistories(study, study.libraries[0], Landing(root / "landing", Clock()), root / "clones")
        followed = [*further, *(Repository(str(repositories[name].path), name) for name in NAMES)]
        caplog.clear()
        notes = histories.collect(followed)
        messages = caplog.messages
        titles = histories.commits(followed)["title"].to_list()
        return Outcome(notes, messages, histories.remote_states(), titles, histories.changes().to_dicts())

    return collected


@pytest.fixture
def git_commands(monkeypatch):
    """Record the git commands that are run."""
    commands = []

    class Recorded(subprocess.Popen):
        def __init__(self, arguments, **options):
            program = next(place for place, word in enumerate(arguments) if Path(word).name == "git")
            words = arguments[program + 1 :]
            commands.append(next(word for word in words if word[0] != "-" and "=" not in word))
            super().__init__(arguments, **options)

    monkeypatch.setattr(git_process.subprocess, "Popen", Recorded)
    return commands


@pytest.fixture
def silent():
    """Yield the address of a server that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []
        threading.Thread(target=lambda: _accept(server, held), daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}/a.git"
        for connection in held:
            connection.close()


def object_types(clone):
    """Return the type of each object in a clone."""
    return subprocess.run(
        ["git", f"--git-dir={clone.folder}", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip


def no_process_uses(address):
    """Return whether no process has the address in its arguments; one that was killed may take a moment to end."""
    deadline = time.monotonic() + 30
    while address in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _accept(server, held):
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            return


def test_an_unchanged_repository_costs_one_ls_remote(collect, git_commands):
    collect()
    git_commands.clear()
    unchanged = collect()
    assert Counter(git_commands)["ls-remote"] == len(NAMES)
    assert git_commands[: len(NAMES)] == ["ls-remote"] * len(NAMES)
    assert unchanged.notes == {"kind": "clone", "repositories": len(NAMES), "note": "nothing new"}
    assert unchanged.messages == []


def test_refreshing_200_unchanged_repositories_starts_git_200_times(tmp_path, monkeypatch):
    """Count with a wrapper that logs how git is started, also by git itself."""
    count = 200
    first = GitRepository(tmp_path / "0")
    first.commit("fix it", {"a.py": "x\n"})
    for number in range(1, count):
        shutil.copytree(first.path, tmp_path / str(number))
    log, tools = tmp_path / "log", tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    histories = CloneHistories(STUDY, STUDY.libraries[0], Landing(tmp_path / "landing", Clock()), tmp_path / "clones")
    followed = [Repository(str(tmp_path / str(number)), f"jane/{number}") for number in range(count)]
    notes = histories.collect(followed)
    assert (notes["repositories"], notes["commits"]) == (count, count)
    assert log.read_text().count(" --filter=tree:0 ") == count
    log.unlink()
    assert histories.collect(followed)["note"] == "nothing new"
    started = log.read_text().splitlines()
    assert len(started) == count
    assert all(" ls-remote --symref " in line and " -- file:///" in line for line in started)


def test_the_size_of_the_clones_is_in_the_notes(collect, tmp_path):
    folder = tmp_path / "home" / "clones" / "another library.git"
    folder.mkdir(parents=True)
    (folder / "pack").write_bytes(bytes(3 << 20))
    assert collect().notes["MiB of clones"] == 3
    assert count_and_size(folder.parent)[0] == len(NAMES) + 1
    assert count_and_size(tmp_path / "none") == (0, 0)


def test_only_changed_repositories_are_fetched(collect, repositories, git_commands):
    collect()
    repositories[NAMES[3]].commit("fix again")
    git_commands.clear()
    titles = collect().titles
    assert Counter(git_commands)["fetch"] == 1
    assert titles == [
        title for name in NAMES for title in (["fix again"] if name == NAMES[3] else []) + [f"fix {name}"]
    ]


def test_commits_dated_in_the_future_are_noted(collect, repositories):
    repositories[NAMES[1]].commit("fix tomorrow", at=int(time.time()) + 86_400)
    outcome = collect()
    assert outcome.notes["dated in the future"] == 1
    assert outcome.messages == ["Keras: 1 fix commits are dated in the future"]


def test_a_deleted_clone_is_fetched_again(collect, tmp_path, git_commands):
    before = collect()
    shutil.rmtree(next((tmp_path / "home" / "clones").iterdir()))
    git_commands.clear()
    after = collect()
    assert (after.states, after.titles) == (before.states, before.titles)
    assert Counter(git_commands)["fetch"] == 1


def test_a_clone_that_was_initialized_but_never_fetched_is_fetched(collect, repositories, clone_of):
    before = collect()
    clone = clone_of(repositories[NAMES[0]])
    shutil.rmtree(clone.folder)
    subprocess.run(["git", "init", "--quiet", "--bare", str(clone.folder)], check=True)
    after = collect()
    assert (after.states, after.titles) == (before.states, before.titles)


def test_a_clone_with_packed_references_is_not_fetched_again(collect, repositories, clone_of, git_commands, tmp_path):
    before = collect()
    clone = clone_of(repositories[NAMES[0]])
    subprocess.run(["git", f"--git-dir={clone.folder}", "pack-refs", "--all"], check=True)
    repositories[NAMES[0]].path.rename(tmp_path / "away")
    git_commands.clear()
    after = collect()
    assert (after.messages, after.titles) == (before.messages, before.titles)
    assert Counter(git_commands)["fetch"] == 0


def test_only_the_owner_can_enter_new_and_existing_clones(collect, repositories, clone_of):
    collect()
    first, second = (clone_of(repositories[name]).folder for name in NAMES[:2])
    assert {folder.stat().st_mode & 0o777 for folder in (first, second)} == {0o700}
    first.chmod(0o755)
    second.chmod(0o755)
    repositories[NAMES[0]].commit("fix again")
    collect()
    assert {folder.stat().st_mode & 0o777 for folder in (first, second)} == {0o700}


@pytest.fixture
def rewritten(collect, repositories):
    """Return a repository whose branch was rewritten after a fetch, all titles, and the head before."""
    remote = repositories[NAMES[0]]
    old = remote.commit("fix first try")
    collect()
    remote.rewrite("fix second try")
    outcome = collect()
    assert outcome.messages == [KEPT]
    assert outcome.titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]
    return remote, outcome.titles, old


@pytest.fixture
def clone_of(tmp_path):
    """Return the clone of a repository."""

    def clone(remote):
        folders = (tmp_path / "home" / "clones").iterdir()
        origin = f"url = file://{remote.path}\n"
        (folder,) = (folder for folder in folders if origin in (folder / "config").read_text())
        return Clone(folder, str(remote.path))

    return clone


def lost(sha):
    return (
        f"{NAMES[0]}: its branch was rewritten, and neither its clone nor the remote has the earlier commits: "
        f"commits that only {sha} reached are lost"
    )


def test_the_commits_of_a_rewritten_branch_are_fetched_again_with_a_deleted_clone(collect, rewritten, clone_of):
    remote, titles, _ = rewritten
    before = collect()
    shutil.rmtree(clone_of(remote).folder)
    for _ in range(2):
        after = collect()
        assert after.notes["note"] == "nothing new"
        assert (after.messages, after.states, after.titles) == ([], before.states, titles)
    assert set(object_types(clone_of(remote))) == {"commit"}


def test_commits_that_the_remote_dropped_are_lost_with_the_clone_with_one_warning(
    collect, rewritten, clone_of, git_commands
):
    remote, titles, old = rewritten
    remote.collect_garbage()
    before = collect()
    assert (before.messages, before.titles) == ([], titles)
    shutil.rmtree(clone_of(remote).folder)
    after = collect()
    assert after.messages == [lost(old)]
    assert after.states[str(remote.path)]["rewritten"] == []
    assert after.titles == [title for title in titles if title != "fix first try"]
    git_commands.clear()
    again = collect()
    assert (again.messages, again.states, again.titles) == ([], after.states, after.titles)
    assert Counter(git_commands)["fetch"] == 0


def test_a_clone_that_was_replaced_by_a_new_one_loses_what_the_remote_dropped(collect, rewritten, clone_of):
    remote, titles, old = rewritten
    remote.collect_garbage()
    clone = clone_of(remote)
    shutil.rmtree(clone.folder)
    clone.fetch(clone.remote_state().sha)
    after = collect()
    assert after.messages == [lost(old)]
    assert after.titles == [title for title in titles if title != "fix first try"]


def test_a_branch_rewritten_while_its_clone_is_deleted_loses_what_the_remote_dropped(collect, repositories, clone_of):
    remote = repositories[NAMES[0]]
    old = remote.commit("fix first try")
    collect()
    shutil.rmtree(clone_of(remote).folder)
    remote.rewrite("fix second try")
    remote.collect_garbage()
    after = collect()
    assert after.messages == [lost(old)]
    assert after.titles[:2] == ["fix second try", f"fix {NAMES[0]}"]


def test_a_branch_rewritten_while_its_clone_is_deleted_keeps_what_the_remote_still_has(collect, repositories, clone_of):
    remote = repositories[NAMES[0]]
    remote.commit("fix first try")
    collect()
    shutil.rmtree(clone_of(remote).folder)
    remote.rewrite("fix second try")
    after = collect()
    assert after.messages == [KEPT]
    assert after.titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]


def test_a_run_killed_after_fetching_a_rewritten_branch_loses_nothing(collect, repositories, clone_of):
    remote = repositories[NAMES[0]]
    remote.commit("fix first try")
    collect()
    remote.rewrite("fix second try")
    remote.collect_garbage()
    clone = clone_of(remote)
    clone.fetch(clone.remote_state().sha)
    after = collect()
    assert after.messages == [KEPT]
    assert after.titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]


def test_a_deleted_clone_of_a_repository_that_is_gone_is_lost_with_one_warning(
    collect, repositories, clone_of, tmp_path
):
    remote = repositories[NAMES[0]]
    before = collect()
    shutil.rmtree(clone_of(remote).folder)
    remote.path.rename(tmp_path / "away")
    after = collect()
    assert after.messages == [f"{NAMES[0]} is gone, and its clone is missing: its commits are lost"]
    assert (after.states[str(remote.path)]["state"], after.titles) == ("gone", before.titles[1:])
    again = collect()
    assert (again.messages, again.states, again.titles) == ([], after.states, after.titles)
    # It is restored.
    (tmp_path / "away").rename(remote.path)
    assert collect().titles == before.titles


def test_changes_of_newly_sampled_commits_are_unknown_while_their_repository_is_gone(collect, repositories, tmp_path):
    before = collect()
    assert (len(before.titles), len(before.changes)) == (6, 4)
    first = {change["patch_excerpt"].partition("+jane/")[2].strip() for change in before.changes}
    late, _ = (name for name in NAMES if name.removeprefix("jane/") not in first)
    repositories[late].path.rename(tmp_path / "away")
    every = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"commits_per_library": 6})})
    after = collect(study=every)
    assert after.messages == [
        f"{late} is gone, and its clone lacks some files: the changes of 1 of its sampled commits are unknown"
    ]
    assert (after.titles, after.notes["sampled"], len(after.changes)) == (before.titles, 6, 5)
    again = collect(study=every)
    assert (again.notes["note"], again.messages) == ("nothing new", [])
    (tmp_path / "away").rename(repositories[late].path)
    restored = collect(study=every)
    assert (restored.messages, len(restored.changes)) == ([], 6)


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_and_log_lines_have_the_same_order_with_any_number_of_workers(collect, monkeypatch, workers):
    with pytest.raises(DlbugError, match="fetched by https, ssh or from a path"):
        collect(Repository("http://127.0.0.1:1/none", "none"))
    many = collect(home="many")
    monkeypatch.setattr(histories, "_FETCHES", workers)
    few = collect(home="few")
    assert list(few.states) == list(many.states)
    assert few == many


def test_a_remote_that_hangs_does_not_stop_the_others(collect, silent, monkeypatch):
    monkeypatch.setattr(git, "_LS_REMOTE_SECONDS", 1)
    outcome = collect(Repository(silent, "silent"))
    assert outcome.messages == ["silent cannot be read now: git ls-remote took longer than 1 seconds and was ended"]
    assert outcome.states[silent] == {
        "state": "unread",
        "branch": None,
        "head": None,
        "rewritten": [],
        "unread": "git ls-remote took longer than 1 seconds and was ended",
    }
    assert outcome.titles == [f"fix {name}" for name in NAMES]
    assert outcome.notes["commits"] == len(NAMES)


def test_an_ls_remote_that_times_out_leaves_no_process(tmp_path, silent, monkeypatch):
    monkeypatch.setattr(git, "_LS_REMOTE_SECONDS", 1)
    with pytest.raises(GitError, match="took longer than 1 seconds"):
        Clone(tmp_path / "a.git", silent).remote_state()
    assert no_process_uses(silent)


def test_nothing_is_fetched_to_a_nearly_full_disk_and_previous_states_stay(
    collect, repositories, monkeypatch, tmp_path
):
    before = collect()
    repositories[NAMES[0]].commit("fix again")
    monkeypatch.setattr(git, "_FREE_BYTES", 1 << 60)
    after = collect()
    reason = f"less than {1 << 40} MiB are free at {tmp_path / 'home' / 'clones'}: free some space"
    assert after.messages == [f"{NAMES[0]} cannot be read now: {reason}"]
    first = str(repositories[NAMES[0]].path)
    assert after.states == before.states | {first: before.states[first] | {"unread": reason}}
    assert after.titles == before.titles
    again = collect()
    assert (again.notes["note"], again.states, again.titles) == ("nothing new", after.states, before.titles)
    monkeypatch.undo()
    assert "fix again" in collect().titles


def test_an_error_kills_the_git_processes_that_still_run(collect, silent):
    with pytest.raises(DlbugError, match="fetched by https, ssh or from a path"):
        collect(Repository("http://127.0.0.1:1/none", "none"), Repository(silent, "silent"))
    assert no_process_uses(silent)


@pytest.mark.timeout(60)
def test_an_interruption_also_kills_a_git_that_is_about_to_start(silent, tmp_path):
    begun = threading.Event()

    def late(address):
        begun.set()
        time.sleep(0.5)
        return Clone(tmp_path / "a.git", address).remote_state()

    with pytest.raises(KeyboardInterrupt), in_threads(tmp_path) as worker_map:
        worker_map(late, [silent], 1)
        begun.wait()
        raise KeyboardInterrupt
    assert no_process_uses(silent)
