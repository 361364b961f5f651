"""A function in a child process: its pieces, its errors, and each limit."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits

LIMITS = Limits(memory=256 << 20, seconds=20, reply=4 << 20)


def child(name, limits=LIMITS, **more):
    return ChildProcess(f"support.child_functions:{name}", limits, **more)


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_pieces_that_the_function_yields_arrive_in_order():
    with child("echo") as process:
        assert list(process.call(text="é", times=3)) == ["é".encode()] * 3
        assert list(process.call(text="b", times=0)) == []


def test_one_process_answers_many_calls_and_ends_with_the_context():
    with child("process") as process:
        (first,), (second,) = process.call(), process.call()
        assert first == second != str(os.getpid()).encode()
        assert is_running(int(first))
    assert not is_running(int(first))


def test_an_error_of_the_function_is_raised_and_the_process_goes_on():
    with child("refuse") as process:
        for _ in range(2):
            with pytest.raises(DlbugError, match=r"\Arow 7: not a number\Z") as error:
                list(process.call(reason="row 7: not a number"))
            assert not isinstance(error.value, LimitError)


def test_any_other_exception_ends_the_process_but_the_next_call_has_a_new_one():
    with child("fail") as process:
        for _ in range(2):
            with pytest.raises(LimitError, match=r"exit status 1 \(ZeroDivisionError: no such thing\)"):
                list(process.call())


def test_memory_is_limited():
    with child("allocate") as process:
        assert list(process.call(size=1 << 20)) == [b"1048576"]
        with pytest.raises(LimitError, match=r"\Ait needs more than 256 MiB of memory\Z"):
            list(process.call(size=1 << 30))
        assert list(process.call(size=1 << 20)) == [b"1048576"]


def test_another_thread_can_stop_a_call_and_all_later_ones():
    with child("wait") as process:
        timer = threading.Timer(1.0, process.stop)
        timer.start()
        began = time.monotonic()
        with pytest.raises(LimitError, match="ended with signal SIGKILL"):
            list(process.call(seconds=60))
        assert time.monotonic() - began < LIMITS.seconds
        timer.join()
        with pytest.raises(LimitError, match="it was stopped"):
            list(process.call(seconds=0))


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("memory allocation of 549755813888 bytes failed", "it needs more than 256 MiB of memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "it needs more than 256 MiB of memory"),
        ("RuntimeError: can't start new thread", "it needs more than 256 MiB of memory"),
        ("assertion failed", r"the process that reads it ended with signal SIGABRT \(assertion failed\)"),
        ("", "the process that reads it ended with signal SIGABRT"),
    ],
)
def test_an_abort_is_an_error_with_its_reason(printed, reason):
    with child("abort") as process, pytest.raises(LimitError, match=rf"\A{reason}\Z"):
        list(process.call(message=printed))


@pytest.mark.parametrize("name", ["wait", "compute"])
def test_time_is_limited(name):
    with child(name, Limits(256 << 20, 0.5)) as process, pytest.raises(LimitError, match="longer than 0.5 seconds"):
        list(process.call(seconds=600))


def test_the_time_in_which_the_caller_works_does_not_count():
    with child("echo", Limits(256 << 20, 1.0)) as process:
        for piece in process.call(text="a", times=3):
            assert piece == b"a"
            time.sleep(0.5)


def test_the_size_of_a_reply_is_limited():
    with child("echo") as process, pytest.raises(LimitError, match=r"\Aits content is larger than 4 MiB\Z"):
        list(process.call(text="x" * (3 << 20), times=1000))


def test_a_large_piece_arrives_whole():
    with child("echo") as process:
        assert b"".join(process.call(text="x" * (3 << 20), times=1)) == b"x" * (3 << 20)


def test_files_are_written_only_up_to_their_limit(tmp_path):
    with child("write") as process, pytest.raises(LimitError, match="File too large"):
        list(process.call(path=str(tmp_path / "a"), size=1))
    with child("write", largest_file=1000) as process:
        assert list(process.call(path=str(tmp_path / "b"), size=1000)) == [b"done"]
    assert (tmp_path / "b").stat().st_size == 1000


def test_what_the_process_prints_does_not_block_it():
    with child("chatter") as process:
        assert list(process.call(size=1 << 20)) == [b"done"]


def test_a_caller_that_stops_reading_ends_the_process():
    with child("process") as process:
        pieces = process.call()
        number = int(next(pieces))
        pieces.close()
        assert not is_running(number)


def test_a_process_that_was_killed_between_calls_fails_the_next_call_only():
    with child("process") as process:
        (number,) = process.call()
        os.kill(int(number), signal.SIGKILL)
        with pytest.raises(LimitError, match="ended with signal SIGKILL"):
            list(process.call())
        (other,) = process.call()
        assert other != number


def test_variables_of_the_environment_do_not_decide_what_is_imported(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported')", encoding="ascii")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with child("echo") as process:
        assert list(process.call(text="a", times=1)) == [b"a"]


def test_a_folder_of_its_own_is_private_and_deleted_with_the_process():
    with child("keep", largest_file=1, with_folder=True) as process:
        ((number, path),) = (piece.decode().split() for piece in process.call(seconds=0))
        folder = Path(path).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert Path(path).read_bytes() == b"x"
        os.kill(int(number), signal.SIGKILL)
        with pytest.raises(LimitError, match="SIGKILL"):
            list(process.call(seconds=0))
        assert not folder.exists()
        ((_, path),) = (piece.decode().split() for piece in process.call(seconds=0))
        assert Path(path).parent != folder
    assert not Path(path).parent.exists()


def test_without_a_writable_folder_for_temporary_files_the_fix_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with child("keep", with_folder=True) as process, pytest.raises(DlbugError, match="Set TMPDIR to a writable folder"):
        list(process.call(seconds=0))


CALLER = """
from dlbug_assets.ingest.child_process import ChildProcess, Limits
process = ChildProcess("support.child_functions:keep", Limits(256 << 20, 600), 1, with_folder=True)
pieces = process.call(seconds=600)
print(next(pieces).decode(), flush=True)
input()
"""


def test_a_process_whose_caller_is_killed_ends_and_deletes_its_folder():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as caller:
        assert caller.stdout
        number, path = caller.stdout.readline().split()
        assert Path(path).exists()
        caller.kill()
    deadline = time.monotonic() + 20
    while is_running(int(number)) or Path(path).parent.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_does_not_start_is_not_the_fault_of_an_input():
    reason = (
        r"\Acannot start a child process: the process that reads it ended with exit status 1 \(AttributeError: .*\)\. "
    )
    with child("no_such_function") as process:
        for _ in range(2):
            with pytest.raises(DlbugError, match=reason) as error:
                list(process.call())
            assert not isinstance(error.value, LimitError)
