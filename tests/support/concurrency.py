"""`make concurrency`: publications one after the other, by runs from the command line and by runs launched from the UI,
two at any time, while many readers have the published database open; what each of them met.

    .venv/bin/python tests/support/concurrency.py --publications 100 --readers 50 --output .artifacts/concurrency.csv
"""
# ruff: noqa: T201 - the table it prints is what it is for

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
from support.ui_server import ended, launched, serving

#: What every publication has in common, whatever its time: rows and content of what the runs write anew, and whether
#: the time it says it was refreshed at is that of its rows.
STATE = (
    "select (select count(*) from stackoverflow.raw_posts) as posts, "
    "(select sum(hash(post_id, title, body_html, score)) from stackoverflow.raw_posts) as content, "
    "(select count(*) from stackoverflow.candidate_posts) as candidates, "
    "(select count(*) from analysis.finding_verdicts) as verdicts, "
    "(select last_refresh from publishing.corpus_refreshes where corpus = 'posts') "
    "= (select max(retrieved_at) from stackoverflow.raw_posts) as is_one_state"
)
WHEN = "select epoch_us(max(retrieved_at)) as refreshed from stackoverflow.raw_posts"

#: Opens the database again and again, asks twice each time with a pause, so that publications fall between, until it
#: is told to end; then says what it saw.
READER = f"""
import duckdb, json, select, sys, time
seen, states, errors, opened = set(), set(), [], 0
pause = float(sys.argv[2])
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=True)
        opened += 1
        first = connection.execute({WHEN!r}).fetchall()[0][0]
        states.add(tuple(map(str, connection.execute({STATE!r}).fetchall()[0])))
        time.sleep(pause)
        states.add(tuple(map(str, connection.execute({STATE!r}).fetchall()[0])))
        if connection.execute({WHEN!r}).fetchall()[0][0] != first:
            errors.append("what it had open changed")
        seen.add(first)
        connection.close()
    except duckdb.Error as error:
        errors.append(str(error))
print(json.dumps([opened, sorted(seen), sorted(states), errors]))
"""


@dataclass
class Met:
    """What a reader met: how often it opened the database, the publications and states it saw, and errors."""

    kind: str
    opened: int = 0
    publications: set[int] = field(default_factory=set)
    states: set[tuple[str, ...]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def python_reader(home: Home, pause: float) -> Iterator[Met]:
    """A Python process that reads; what it met is there when it has ended."""
    met = Met("Python")
    process = subprocess.Popen(
        [sys.executable, "-c", READER, home.published, str(pause)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield met
    said, complaints = process.communicate("end\n", timeout=120)
    if process.returncode:
        met.errors.append(complaints)
        return
    met.opened, seen, states, met.errors = json.loads(said)
    met.publications, met.states = set(seen), {tuple(state) for state in states}


@contextlib.contextmanager
def shell_reader(home: Home, pause: float) -> Iterator[Met]:
    """DuckDB's own shell, told to open the file again and again and to ask twice each time."""
    met = Met("duckdb-cli")
    shell = Path(sys.executable).parent / "duckdb"
    process = subprocess.Popen(
        [shell, "-readonly", "-csv", "-noheader", home.published],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    over = threading.Event()

    def ask(query: str) -> str:
        process.stdin.write(f"{query};\n")
        return process.stdout.readline().strip()

    def read() -> None:
        while not over.is_set() and process.poll() is None:
            process.stdin.write(f".open --readonly {home.published}\n")
            met.opened += 1
            first = ask(WHEN)
            met.states.add(tuple(ask(STATE).split(",")))
            over.wait(pause)
            met.states.add(tuple(ask(STATE).split(",")))
            if ask(WHEN) != first:
                met.errors.append("what it had open changed")
            met.publications.add(int(first) if first.isdigit() else -1)

    reading = threading.Thread(target=read)
    reading.start()
    yield met
    over.set()
    reading.join(timeout=120)
    _, complaints = process.communicate(".quit\n", timeout=120)
    met.errors += complaints.splitlines()


@dataclass(frozen=True)
class Publication:
    """How a run that publishes ended, and what it said of locks."""

    by: str
    status: str
    complaints: str


def publish_from_command_line(home: Home) -> Publication:
    """Collect and publish by the command."""
    result = command(home.root, "run", "--select", "group:stackoverflow or group:publishing")
    complaints = [line for line in result.stderr.splitlines() if "error" in line.lower() or "lock" in line.lower()]
    return Publication("command line", "SUCCESS" if result.returncode == 0 else "FAILURE", "; ".join(complaints))


def publish_from_ui(address: str) -> Publication:
    """The same by the UI."""
    libraries = load_study("sample").library_names
    status = ended(address, launched(address, "stackoverflow_group", (libraries[0], libraries[-1])))
    return Publication("UI", status, "" if status == "SUCCESS" else "see the run's log")


def tried(home: Home, publications: int, readers: int) -> tuple[list[Publication], list[Met]]:
    """Publish so often beside so many readers, half of them Python, half DuckDB's shell."""
    left = itertools.count()

    def series(publish, *of) -> list[Publication]:
        done = []
        while next(left) < publications:
            done.append(publish(*of))
            print(f"{done[-1].by}: {done[-1].status} {done[-1].complaints}", file=sys.stderr)
        return done

    with serving(home.root) as address, contextlib.ExitStack() as stack:
        met = [
            stack.enter_context((python_reader, shell_reader)[number % 2](home, 1 + number % 7))
            for number in range(readers)
        ]
        with ThreadPoolExecutor() as both:
            futures = [
                both.submit(series, publish_from_command_line, home),
                both.submit(series, publish_from_ui, address),
            ]
            done = [publication for future in futures for publication in future.result()]
    return done, met


def main() -> int:
    """Try it; returns the exit code: 1 where anybody met an error or a state that was none."""
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
        done, met = tried(first.home, arguments.publications, arguments.readers)
    rows = []
    for by in ("command line", "UI"):
        runs = [publication for publication in done if publication.by == by]
        failed = [publication for publication in runs if publication.status != "SUCCESS"]
        rows.append([f"runs by the {by}", len(runs), "", "", "", len(failed)])
    for kind in ("Python", "duckdb-cli"):
        readers = [reader for reader in met if reader.kind == kind]
        # DuckDB's shell writes booleans in small letters.
        states = [{tuple(value.lower() for value in state) for state in reader.states} for reader in readers]
        wrong = sum(state != {tuple(value.lower() for value in expected)} for state in states)
        seen = len(set().union(*(reader.publications for reader in readers)))
        errors = sum(len(reader.errors) for reader in readers)
        rows.append([f"readers in {kind}", len(readers), sum(reader.opened for reader in readers), seen, wrong, errors])
    headings = ["who", "number", "times opened", "publications seen", "half-written states", "errors"]
    with arguments.output.open("w", newline="") as file:
        csv.writer(file).writerows([headings, *rows])
    for row in [headings, *rows]:
        print(f"{row[0]:28}", *(f"{value!s:>20}" for value in row[1:]))
    for reader in met:
        for error in reader.errors[:3]:
            print(f"{reader.kind}: {error}")
    return int(any(row[4] or row[5] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
