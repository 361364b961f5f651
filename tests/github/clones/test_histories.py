"""Following many clones: what a look costs, that one that hangs does not keep the others, and what a full disk does."""

import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import git, histories
from dlbug_assets.github.clones.git import Clone, GitError, weighed
from dlbug_assets.github.clones.histories import CloneHistories
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.protocol.study import Study
from support.followed_repositories import STUDY
from support.repositories import GitRepository

pytestmark = pytest.mark.slow

NAMES = [f"jane/r{number}" for number in range(6)]


@pytest.fixture
def repositories(tmp_path):
    made = {name: GitRepository(tmp_path / name) for name in NAMES}
    for name, repository in made.items():
        repository.commit(f"fix {name}", {"a.py": f"{name}\n"})
    return made


@pytest.fixture
def follow(tmp_path, repositories, caplog):
    """Follows the repositories; returns its notes, what it logged, and what it found."""
    caplog.set_level(logging.INFO)

    def following(*further: Repository, home: str = "home", study: Study = STUDY):
        root = tmp_path / home
        histories = CloneHistories(study, study.libraries[0], Landing(root / "landing", Clock()), root / "clones")
        targets = [*further, *(Repository(str(repositories[name].path), name) for name in NAMES)]
        caplog.clear()
        notes = histories.collect(targets)
        said = caplog.messages
        following.changes = histories.changes()
        return notes, said, histories.remote_states(), histories.commits(targets)["title"].to_list()

    return following


@pytest.fixture
def ran(monkeypatch):
    """The git commands that were run."""
    commands = []

    class Noted(subprocess.Popen):
        def __init__(self, arguments, **options):
            commands.append(next(each for each in arguments[1:] if each[0] != "-" and "=" not in each))
            super().__init__(arguments, **options)

    monkeypatch.setattr(git.subprocess, "Popen", Noted)
    return commands


@pytest.fixture
def silent():
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []
        listening = threading.Thread(target=lambda: _hold(server, held), daemon=True)
        listening.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}/a.git"
        for connection in held:
            connection.close()


def stored(clone):
    """The kinds of what a clone holds."""
    return subprocess.run(
        ["git", f"--git-dir={clone.folder}", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip


def is_talked_to_by_nobody(address):
    """Whether no process has the address among its arguments; one that was killed takes a moment to go."""
    deadline = time.monotonic() + 30
    while address in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _hold(server, held):
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            return


def test_where_nothing_changed_each_repository_costs_one_look_and_nothing_else(follow, ran):
    follow()
    ran.clear()
    notes, said, _, _ = follow()
    assert Counter(ran)["ls-remote"] == len(NAMES)
    looks = len(NAMES)
    assert ran[:looks] == ["ls-remote"] * looks
    assert notes == {"kind": "clone", "repositories": len(NAMES), "note": "nothing new"}
    assert said == []


def test_a_refresh_of_hundreds_of_unchanged_repositories_starts_git_once_for_each(tmp_path, monkeypatch):
    """Counted by a git that writes down how it is started, also by git itself."""
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
    targets = [Repository(str(tmp_path / str(number)), f"jane/{number}") for number in range(count)]
    notes = histories.collect(targets)
    assert (notes["repositories"], notes["commits"]) == (count, count)
    assert log.read_text().count(" fetch --quiet ") == count
    log.unlink()
    assert histories.collect(targets)["note"] == "nothing new"
    started = log.read_text().splitlines()
    assert len(started) == count
    assert all(" ls-remote --symref -- file:///" in line for line in started)


def test_what_clones_take_is_told(follow, tmp_path):
    folder = tmp_path / "home" / "clones" / "of another library.git"
    folder.mkdir(parents=True)
    (folder / "pack").write_bytes(bytes(3 << 20))
    assert follow()[0]["MiB of clones"] == 3
    assert weighed(folder.parent)[0] == len(NAMES) + 1
    assert weighed(tmp_path / "none") == (0, 0)


def test_what_changed_is_fetched_and_the_rest_is_looked_at_alone(follow, repositories, ran):
    follow()
    repositories[NAMES[3]].commit("fix again")
    ran.clear()
    _, _, _, titles = follow()
    assert Counter(ran)["fetch"] == 1
    assert titles == [
        title for name in NAMES for title in (["fix again"] if name == NAMES[3] else []) + [f"fix {name}"]
    ]


def test_a_clone_that_was_deleted_is_fetched_again(follow, tmp_path, ran):
    before = follow()
    shutil.rmtree(next((tmp_path / "home" / "clones").iterdir()))
    ran.clear()
    assert follow()[2:] == before[2:]
    assert Counter(ran)["fetch"] == 1


def test_a_clone_that_was_deleted_and_only_begun_again_is_fetched(follow, repositories, clone_of):
    before = follow()
    clone = clone_of(repositories[NAMES[0]])
    shutil.rmtree(clone.folder)
    subprocess.run(["git", "init", "--quiet", "--bare", str(clone.folder)], check=True)
    assert follow()[2:] == before[2:]


def test_a_clone_whose_references_were_packed_is_there(follow, repositories, clone_of, ran, tmp_path):
    before = follow()
    clone = clone_of(repositories[NAMES[0]])
    subprocess.run(["git", f"--git-dir={clone.folder}", "pack-refs", "--all"], check=True)
    repositories[NAMES[0]].path.rename(tmp_path / "away")
    ran.clear()
    assert follow()[1::2] == before[1::2]
    assert Counter(ran)["fetch"] == 0


def test_nobody_but_the_owner_can_look_into_clones_not_even_into_those_from_before(follow, repositories, clone_of):
    follow()
    first, second = (clone_of(repositories[name]).folder for name in NAMES[:2])
    assert {folder.stat().st_mode & 0o777 for folder in (first, second)} == {0o700}
    first.chmod(0o755)
    second.chmod(0o755)
    repositories[NAMES[0]].commit("fix again")
    follow()
    assert {folder.stat().st_mode & 0o777 for folder in (first, second)} == {0o700}


@pytest.fixture
def rewritten(follow, repositories):
    """A repository whose branch was rewritten after it was fetched; its titles; and what its branch left."""
    made = repositories[NAMES[0]]
    old = made.commit("fix first try")
    follow()
    made.rewrite("fix second try")
    _, said, _, titles = follow()
    assert said == [f"{NAMES[0]}: its branch was rewritten; the earlier commits are kept"]
    assert titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]
    return made, titles, old


@pytest.fixture
def clone_of(tmp_path):
    """The clone of a repository."""

    def found(made):
        folders = (tmp_path / "home" / "clones").iterdir()
        origin = f"url = file://{made.path}\n"
        (folder,) = (folder for folder in folders if origin in (folder / "config").read_text())
        return Clone(folder, str(made.path))

    return found


def is_lost(sha):
    return (
        f"{NAMES[0]}: its branch was rewritten, and the earlier commits are neither in its clone nor at the remote: "
        f"commits that only {sha} reached are lost"
    )


def test_what_a_rewritten_branch_left_is_fetched_again_with_its_clone(follow, rewritten, clone_of):
    made, titles, _ = rewritten
    before = follow()
    shutil.rmtree(clone_of(made).folder)
    for _ in range(2):
        notes, said, looks, found = follow()
        assert (notes["note"], said, looks, found) == ("nothing new", [], before[2], titles)
    assert set(stored(clone_of(made))) == {"commit"}


def test_what_the_remote_dropped_is_lost_with_the_clone_and_that_is_said_once(follow, rewritten, clone_of, ran):
    made, titles, old = rewritten
    made.collect_garbage()
    assert follow()[1:] == ([], follow()[2], titles)
    shutil.rmtree(clone_of(made).folder)
    _, said, looks, found = follow()
    assert said == [is_lost(old)]
    assert looks[str(made.path)]["rewritten"] == []
    assert found == [title for title in titles if title != "fix first try"]
    ran.clear()
    assert follow()[1:] == ([], looks, found)
    assert Counter(ran)["fetch"] == 0


def test_a_clone_that_was_fetched_again_without_what_it_had_is_no_obstacle(follow, rewritten, clone_of):
    made, titles, old = rewritten
    made.collect_garbage()
    clone = clone_of(made)
    shutil.rmtree(clone.folder)
    clone.fetch(clone.look().sha)
    _, said, _, found = follow()
    assert said == [is_lost(old)]
    assert found == [title for title in titles if title != "fix first try"]


def test_a_branch_that_is_rewritten_while_its_clone_is_deleted_is_lost_and_that_is_said(follow, repositories, clone_of):
    made = repositories[NAMES[0]]
    old = made.commit("fix first try")
    follow()
    shutil.rmtree(clone_of(made).folder)
    made.rewrite("fix second try")
    made.collect_garbage()
    _, said, _, titles = follow()
    assert said == [is_lost(old)]
    assert titles[:2] == ["fix second try", f"fix {NAMES[0]}"]


def test_a_branch_that_is_rewritten_while_its_clone_is_deleted_is_kept_where_the_remote_still_has_it(
    follow, repositories, clone_of
):
    made = repositories[NAMES[0]]
    made.commit("fix first try")
    follow()
    shutil.rmtree(clone_of(made).folder)
    made.rewrite("fix second try")
    _, said, _, titles = follow()
    assert said == [f"{NAMES[0]}: its branch was rewritten; the earlier commits are kept"]
    assert titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]


def test_a_run_that_was_killed_after_it_fetched_a_rewritten_branch_loses_nothing(follow, repositories, clone_of):
    made = repositories[NAMES[0]]
    made.commit("fix first try")
    follow()
    made.rewrite("fix second try")
    made.collect_garbage()
    clone = clone_of(made)
    clone.fetch(clone.look().sha)
    _, said, _, titles = follow()
    assert said == [f"{NAMES[0]}: its branch was rewritten; the earlier commits are kept"]
    assert titles[:3] == ["fix second try", f"fix {NAMES[0]}", "fix first try"]


def test_the_clone_of_a_repository_that_is_gone_cannot_be_had_again_and_that_is_said_once(
    follow, repositories, clone_of, tmp_path
):
    made = repositories[NAMES[0]]
    before = follow()[3]
    shutil.rmtree(clone_of(made).folder)
    made.path.rename(tmp_path / "away")
    _, said, looks, titles = follow()
    assert said == [f"{NAMES[0]} is gone, and its clone is missing: its commits are lost"]
    assert (looks[str(made.path)]["state"], titles) == ("gone", before[1:])
    assert follow()[1:] == ([], looks, titles)
    # It may come back.
    (tmp_path / "away").rename(made.path)
    assert follow()[3] == before


def test_what_commits_drawn_late_change_is_unknown_where_their_repository_is_gone_until_it_comes_back(
    follow, repositories, tmp_path
):
    titles = follow()[3]
    assert (len(titles), follow.changes.height) == (6, 4)
    first = {change["patch_excerpt"].partition("+jane/")[2].strip() for change in follow.changes.to_dicts()}
    late, _ = (name for name in NAMES if name.removeprefix("jane/") not in first)
    repositories[late].path.rename(tmp_path / "away")
    every = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"commits_per_library": 6})})
    notes, said, _, found = follow(study=every)
    assert said == [
        f"{late} is gone, and its clone lacks some files: the changes of 1 of its sampled commits are unknown"
    ]
    assert (found, notes["drawn"], follow.changes.height) == (titles, 6, 5)
    assert follow(study=every)[:2] == ({"kind": "clone", "repositories": 6, "note": "nothing new"}, [])
    (tmp_path / "away").rename(repositories[late].path)
    assert follow(study=every)[1] == []
    assert follow.changes.height == 6


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_and_words_are_in_the_same_order_however_many_work(follow, monkeypatch, workers):
    gone = [Repository("http://127.0.0.1:1/none", "none")]
    with pytest.raises(DlbugError, match="fetched by https, ssh or from a path"):
        follow(*gone)
    many = follow(home="many")
    monkeypatch.setattr(histories, "_AT_A_TIME", workers)
    few = follow(home="few")
    assert list(few[2]) == list(many[2])
    assert few == many


def test_a_remote_that_hangs_is_left_and_the_others_go_on(follow, silent, monkeypatch):
    monkeypatch.setattr(git, "_LOOK_SECONDS", 1)
    notes, said, looks, titles = follow(Repository(silent, "silent"))
    assert said == ["silent cannot be read now: git ls-remote took longer than 1 seconds and was ended"]
    assert looks[silent] == {"state": None, "branch": None, "head": None, "rewritten": []}
    assert titles == [f"fix {name}" for name in NAMES]
    assert notes["commits"] == len(NAMES)


def test_of_a_look_that_hangs_no_process_is_left(tmp_path, silent, monkeypatch):
    monkeypatch.setattr(git, "_LOOK_SECONDS", 1)
    with pytest.raises(GitError, match="took longer than 1 seconds"):
        Clone(tmp_path / "a.git", silent).look()
    assert is_talked_to_by_nobody(silent)


def test_on_a_disk_that_is_nearly_full_nothing_is_fetched_and_what_is_known_stays(follow, repositories, monkeypatch):
    before = follow()
    repositories[NAMES[0]].commit("fix again")
    monkeypatch.setattr(git, "_FREE_BYTES", 1 << 60)
    _, said, looks, titles = follow()
    assert len(said) == 1
    assert said[0].startswith(f"{NAMES[0]} cannot be read now: only ")
    assert said[0].endswith(": free 1 GiB")
    assert (looks, titles) == before[2:]
    monkeypatch.undo()
    assert "fix again" in follow()[3]


def test_an_interruption_ends_what_hangs(follow, silent):
    """The first remote goes wrong while another one hangs: nobody waits for that."""
    with pytest.raises(DlbugError, match="fetched by https, ssh or from a path"):
        follow(Repository("http://127.0.0.1:1/none", "none"), Repository(silent, "silent"))
    assert is_talked_to_by_nobody(silent)


@pytest.mark.timeout(60)
def test_what_an_interrupted_worker_is_about_to_start_is_ended_too(silent, tmp_path):
    begun = threading.Event()

    def late(address):
        begun.set()
        time.sleep(0.5)
        return Clone(tmp_path / "a.git", address).look()

    with pytest.raises(KeyboardInterrupt), histories.in_threads(tmp_path) as each:
        each(late, [silent], 1)
        begun.wait()
        raise KeyboardInterrupt
    assert is_talked_to_by_nobody(silent)
