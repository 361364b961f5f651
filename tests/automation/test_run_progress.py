"""The progress of a run: drawn on a terminal, and nowhere else."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from dlbug_assets.automation.run_progress import duration

RUN_TWICE = """
import os, sys, time
import dagster as dg
from dlbug_assets.automation.run_progress import drawn_progress
from dlbug_assets.automation.step_log import progress, terminal

@dg.op
def first():
    time.sleep(0.1)

@dg.op(ins={"after": dg.In(dg.Nothing)})
def second():
    time.sleep(2.5)

@dg.job(logger_defs={"progress": progress})
def job():
    second(after=first())

with dg.DagsterInstance.local_temp(sys.argv[1]) as instance, drawn_progress(instance, terminal(), os.environ):
    for _ in range(2):
        job.execute_in_process(instance=instance, run_config={"loggers": {"progress": {}}})
"""


def on_a_terminal(folder: Path, columns: int, **environ: str) -> str:
    """Run the job twice in a process whose standard error is a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        ["timeout", "60", sys.executable, "-c", RUN_TWICE, str(folder)],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0, written
    return written.decode()


@pytest.mark.slow
def test_a_terminal_shows_the_step_and_what_is_left_once_the_job_has_run_before(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path, 80, TERM="xterm")
    drawn = [line for line in re.split(r"\r\x1b\[K|\r\n", written) if "step" in line]
    assert re.fullmatch(r"  step 1 of 2, \d s so far, first", drawn[0])
    of_second = next(place for place, line in enumerate(drawn) if line.endswith(", second"))
    second_run = next(place for place, line in enumerate(drawn) if place > of_second and line.endswith(", first"))
    earlier, later = drawn[:second_run], drawn[second_run:]
    assert {line.split(", ")[0] for line in earlier} == {"  step 1 of 2", "  step 2 of 2"}
    assert not any("left" in line for line in earlier)
    # How long the steps take depends on the machine, but time passes, and less is left of it.
    shown = [
        re.fullmatch(r"  step ([12]) of 2, (\d+) s so far, about (\d+) s left(, first|, second)?", line)
        for line in later
    ]
    assert all(shown), later
    steps, past, left = ([int(found[group]) for found in shown if found] for group in (1, 2, 3))
    assert steps == sorted(steps)
    assert past == sorted(past)
    assert left == sorted(left, reverse=True)
    assert past[-1] >= 2 > past[0]
    assert left[0] >= 2
    assert written.endswith("\r\x1b[K")  # the line is erased at the end


@pytest.mark.slow
def test_the_line_is_never_wider_than_the_terminal(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path, 20, TERM="xterm")
    drawn = [line for line in re.split(r"\r\x1b\[K|\r\n", written) if "step" in line]
    assert max(map(len, drawn)) == 19


@pytest.mark.slow
def test_a_terminal_that_cannot_redraw_gets_lines_only(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path, 80, TERM="dumb")
    assert "\x1b" not in written
    assert written.count("done    second") == 2


@pytest.mark.slow
def test_a_pipe_gets_lines_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_TWICE, str(tmp_path)],
        env={**os.environ, "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [["done", "first"], ["done", "second"]] * 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (65, "1 min 5 s"), (3599.7, "1 h 0 min"), (7380, "2 h 3 min")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text
