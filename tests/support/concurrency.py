"""`make concurrency`: publish again and again while many readers have the published database open.

Runs from the command line and from the UI publish in parallel. It counts the errors and inconsistent states that the
readers see.

    PYTHONPATH=tests .venv/bin/python -m support.concurrency --publications 100 --output .artifacts/concurrency.csv
"""
# ruff: noqa: T201 - it prints a table

import argparse
import contextlib
import csv
import itertools
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from support.commands import command, ran
from support.ui_server import launch, serving, wait_for_end

#: The same for every publication: numbers and content of the rows that the runs write, and whether the recorded time of
#: the refresh is that of the rows.
STATE = (
    "select (select count(*) from stackoverflow.raw_posts) as posts, "
    "(select sum(hash(post_id, title, body_html, score)) from stackoverflow.raw_posts) as content, "
    "(select count(*) from stackoverflow.candidate_posts) as candidates, "
    "(select count(*) from analysis.finding_verdicts) as verdicts, "
    "(select last_refresh from publishing.corpus_refreshes where corpus = 'posts') "
    "= (select max(retrieved_at) from stackoverflow.raw_posts) as is_one_state"
)
REFRESHED = "select epoch_us(max(retrieved_at)) as refreshed from stackoverflow.raw_posts"

#: Opens the database repeatedly and queries it twice each time, with a pause in which publications happen. It ends when
#: it receives a line, and prints what it saw.
READER = f"""
import duckdb, json, select, sys, time
seen, states, errors, opened = set(), set(), [], 0
pause = float(sys.argv[2])
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=True)
        opened += 1
        first = connection.execute({REFRESHED!r}).fetchall()[0][0]
        states.add(tuple(map(str, connection.execute({STATE!r}).fetchall()[0])))
        time.sleep(pause)
        states.add(tuple(map(str, connection.execute({STATE!r}).fetchall()[0])))
        if connection.execute({REFRESHED!r}).fetchall()[0][0] != first:
            errors.append("the open database changed")
        seen.add(first)
        connection.close()
    except duckdb.Error as error:
        errors.append(str(error))
print(json.dumps([opened, sorted(seen), sorted(states), errors]))
"""


@dataclass
class Reader:
    """The record of a reader: how often it opened the database, the publications and states it saw, and errors."""

    kind: str
    opened: int = 0
    publications: set[int] = field(default_factory=set)
    states: set[tuple[str, ...]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def python_reader(home: Home, pause: float) -> Iterator[Reader]:
    """Read by a Python process while the context is open; the record is filled in when it has ended."""
    reader = Reader("Python")
    process = subprocess.Popen(
        [sys.executable, "-c", READER, home.published, str(pause)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield reader
    stdout, stderr = process.communicate("end\n", timeout=120)
    if process.returncode:
        reader.errors.append(stderr)
        return
    reader.opened, seen, states, reader.errors = json.loads(stdout)
    reader.publications, reader.states = set(seen), {tuple(state) for state in states}


@contextlib.contextmanager
def shell_reader(home: Home, pause: float) -> Iterator[Reader]:
    """Read by DuckDB's own shell while the context is open, in the same way."""
    reader = Reader("duckdb-cli")
    shell = Path(sys.executable).parent / "duckdb"
    process = subprocess.Popen(
        [shell, "-readonly", "-csv", "-noheader", home.published],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    stdin, stdout = process.stdin, process.stdout
    assert stdin
    assert stdout
    over = threading.Event()

    def ask(query: str) -> str:
        stdin.write(f"{query};\n")
        return stdout.readline().strip()

    def read() -> None:
        while not over.is_set() and process.poll() is None:
            stdin.write(f".open --readonly {home.published}\n")
            reader.opened += 1
            first = ask(REFRESHED)
            reader.states.add(tuple(ask(STATE).split(",")))
            over.wait(pause)
            reader.states.add(tuple(ask(STATE).split(",")))
            if ask(REFRESHED) != first:
                reader.errors.append("the open database changed")
            reader.publications.add(int(first) if first.isdigit() else -1)

    thread = threading.Thread(target=read)
    thread.start()
    yield reader
    over.set()
    thread.join(timeout=120)
    _, stderr = process.communicate(".quit\n", timeout=120)
    reader.errors += stderr.splitlines()


@dataclass(frozen=True)
class Publication:
    """The status of a run that publishes, and its messages about errors and locks."""

    by: str
    status: str
    messages: str


def publish_from_command_line(home: Home) -> Publication:
    """Collect and publish by the dlbug command."""
    result = command(home.root, "run", "--select", "group:stackoverflow or group:publishing")
    messages = [line for line in result.stderr.splitlines() if "error" in line.lower() or "lock" in line.lower()]
    return Publication("command line", "SUCCESS" if result.returncode == 0 else "FAILURE", "; ".join(messages))


def publish_from_ui(address: str) -> Publication:
    """Collect and publish by a job that is launched in the UI."""
    libraries = load_study("sample").library_names
    status = wait_for_end(address, launch(address, "stackoverflow_group", (libraries[0], libraries[-1])))
    return Publication("UI", status, "" if status == "SUCCESS" else "see the run's log")


def publish_beside_readers(home: Home, publications: int, readers: int) -> tuple[list[Publication], list[Reader]]:
    """Publish beside readers, half of them in Python and half in DuckDB's shell; return what they recorded."""
    counter = itertools.count()

    def series(publish, *of) -> list[Publication]:
        done = []
        while next(counter) < publications:
            done.append(publish(*of))
            print(f"{done[-1].by}: {done[-1].status} {done[-1].messages}", file=sys.stderr)
        return done

    with serving(home.root) as address, contextlib.ExitStack() as stack:
        records = [
            stack.enter_context((python_reader, shell_reader)[number % 2](home, 1 + number % 7))
            for number in range(readers)
        ]
        with ThreadPoolExecutor() as both:
            futures = [
                both.submit(series, publish_from_command_line, home),
                both.submit(series, publish_from_ui, address),
            ]
            done = [publication for future in futures for publication in future.result()]
    return done, records


def main() -> int:
    """Publish beside readers; return the exit code: 1 if one of them saw an error or an inconsistent state."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publications", type=int, default=100)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--output", type=Path, default=Path(".artifacts/concurrency.csv"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dlbug-concurrency-") as folder:
        first = ran("sample", Path(folder))
        assert first.result.returncode == 0, first.result.stderr
        expected = tuple(str(value) for value in first.query(STATE).row(0))
        done, records = publish_beside_readers(first.home, arguments.publications, arguments.readers)
    rows = []
    for by in ("command line", "UI"):
        runs = [publication for publication in done if publication.by == by]
        failed = [publication for publication in runs if publication.status != "SUCCESS"]
        rows.append([f"runs by the {by}", len(runs), "", "", "", len(failed)])
    for kind in ("Python", "duckdb-cli"):
        readers = [reader for reader in records if reader.kind == kind]
        # DuckDB's shell writes booleans in lower case.
        states = [{tuple(value.lower() for value in state) for state in reader.states} for reader in readers]
        wrong = sum(state != {tuple(value.lower() for value in expected)} for state in states)
        seen = len(set().union(*(reader.publications for reader in readers)))
        errors = sum(len(reader.errors) for reader in readers)
        rows.append([f"readers in {kind}", len(readers), sum(reader.opened for reader in readers), seen, wrong, errors])
    headings = ["who", "number", "times opened", "publications seen", "inconsistent states", "errors"]
    with arguments.output.open("w", newline="") as file:
        csv.writer(file).writerows([headings, *rows])
    for row in [headings, *rows]:
        print(f"{row[0]:28}", *(f"{value!s:>20}" for value in row[1:]))
    for reader in records:
        for error in reader.errors[:3]:
            print(f"{reader.kind}: {error}")
    return int(any(row[4] or row[5] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
