"""Ctrl+C and SIGTERM end the command soon, whatever it does, and the next run resumes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.lease import Lease
from servers.stackexchange import StackExchange, corpus
from servers.stand_in import Fault
from support.commands import DLBUG, command, environment
from support.dumps import HEAD, LINE, question
from support.processes import handles_signals, in_session
from support.repositories import GitRepository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: What no message of a command that was stopped contains.
FAILURES = ("error", "failed", "FAILED", "Traceback")
STUDY = """
[study]
name = "stopped"
title = "Stopped"
seed = 1
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = ["./repository"]
[sources]
posts = "{posts}"
dump_path = "{path}"
commits = "clone"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""


@pytest.fixture
def study(tmp_path):
    """Return a function that writes the study with a source of posts, and returns the file."""
    GitRepository(tmp_path / "repository").commit("Fix it", {"a.py": "1\n"})

    def write(posts="api", path="Posts.xml"):
        file = tmp_path / "stopped.toml"
        text = STUDY.format(posts=posts, path=path)
        if posts == "api":
            text = text.replace(f'dump_path = "{path}"\n', "")
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def program(folder, name, text):
    """Write a program for the shell; return the value of PATH that finds it."""
    path = folder / "programs" / name
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"{path.parent}:{environment(None)['PATH']}"


def stop(home, number: signal.Signals, is_reached: Callable[[str, int], bool], *arguments: str, **more: str) -> None:
    """Run the command, send it a signal at a moment that its log or its process shows, and check how it ends."""
    log = home.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [DLBUG, *arguments],
            env=environment(home, **more),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
        while not is_reached(log.read_text(), process.pid):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        # A terminal sends Ctrl+C to every process of the command.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        # Three seconds on an idle machine; these tests share theirs with others.
        process.wait(timeout=30)
    output = log.read_text()
    assert (process.returncode, output.splitlines()[-1], output.count("stopped\n")) == (128 + number, "stopped", 1), (
        output
    )
    assert not [word for word in FAILURES if word in output], output
    assert in_session(process.pid) == []


def run(file, *select):
    return ("run", "--study", file, "--select", " or ".join(select))


def test_while_a_reply_is_awaited_and_the_next_run_resumes(study, tmp_path):
    home, posts = tmp_path / "home", "+group:stackoverflow"
    with StackExchange(corpus({"keras": 130}, seed=3)) as api:
        url, file = {"DLBUG_STACKEXCHANGE_URL": api.url}, study()
        api.fail(Fault("hang", method="questions", times=None))
        stop(home, signal.SIGINT, lambda *_: len(api.log) > 1, *run(file, posts), **url)
        api.faults.clear()
        # The next request must wait: the command is stopped during the wait.
        api.fail(Fault("backoff", method="questions", seconds=30))
        stop(home, signal.SIGTERM, lambda log, _: "waiting" in log, *run(file, posts), **url)
        api.faults.clear()
        done = command(home, *run(file, posts), **url)
        assert done.returncode == 0, done.stderr
        assert "raw_posts: 130 rows written, 130 new" in done.stderr


def test_while_git_runs(study, tmp_path):
    path = program(tmp_path, "git", "sleep 600 & wait")  # as git starts others
    arguments = run(study(), "+group:github")
    stop(
        tmp_path / "home", signal.SIGTERM, lambda _, process: "sleep 600" in in_session(process), *arguments, PATH=path
    )
    done = command(tmp_path / "home", *arguments)
    assert done.returncode == 0, done.stderr
    assert "fix_commits: 1 rows written" in done.stderr


def test_while_an_archive_is_unpacked(study, tmp_path):
    path = program(tmp_path, "7zz", "exec sleep 600")
    (tmp_path / "posts.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    arguments = run(study("dump", "posts.7z"), "+group:stackoverflow")
    stop(tmp_path / "home", signal.SIGINT, lambda _, process: "sleep 600" in in_session(process), *arguments, PATH=path)


def test_while_several_processes_read_a_dump(study, tmp_path):
    body = "x" * 100_000
    with (tmp_path / "Posts.xml").open("w", encoding="utf-8") as file:
        file.write(HEAD)
        file.writelines(question(number, "python", Body=body) + LINE for number in range(1, 2500))
        file.write("</posts>\n")
    arguments = run(study("dump"), "+group:stackoverflow")
    stop(
        tmp_path / "home",
        signal.SIGTERM,
        lambda _, process: any("parallel_rows" in each for each in in_session(process)),
        *arguments,
    )
    done = command(tmp_path / "home", *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_another_run_writes(tmp_path, number):
    root = tmp_path / "home"
    with Lease(Home(root, "sample").lock, "a test"):
        stop(root, number, lambda log, _: "held by a test" in log, "run", "--study", "sample")


def test_while_a_query_runs_and_while_commands_start(tmp_path):
    root = tmp_path / "home"
    assert command(root, "run", "--study", "sample", "--select", "group:reference").returncode == 0
    endless = "select count(*) from range(1000000) a, range(1000000) b where hash(a.range, b.range) = 3"
    begin = time.monotonic()
    stop(root, signal.SIGTERM, lambda *_: time.monotonic() > begin + 3, "sql", endless)
    # While the command imports what it needs.
    stop(root, signal.SIGINT, lambda _, process: handles_signals(process), "package")
    stop(root, signal.SIGTERM, lambda _, process: handles_signals(process), "labels", "export")
