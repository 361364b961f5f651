"""A process that does not react to signals in time is ended together with the processes that it started."""

import signal
import subprocess
import sys
import textwrap

import pytest

from support.processes import in_session

ENDLESS = "select count(*) from range(1000000) a, range(1000000) b where hash(a.range, b.range) = 3"
#: Computes in DuckDB for ever, which keeps signals from Python code, beside a process that never ends.
PROGRAM = f"""
    import subprocess, sys
    import duckdb
    from dlbug_assets.cli.stopping import stoppable

    with stoppable():
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
        print("computing", flush=True)
        duckdb.sql({ENDLESS!r}).fetchall()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_cannot_react_is_ended(number):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"computing\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (128 + number, b"", b"stopped\n")
        assert in_session(process.pid) == []
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("pass", (0, b"")), ("raise SystemExit('error: why')", (1, b"error: why\n")), ("raise SystemExit(3)", (3, b""))],
)
def test_a_process_that_is_not_stopped_ends_as_without(text, expected):
    program = f"from dlbug_assets.cli.stopping import stoppable\nwith stoppable():\n    {text}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == expected
