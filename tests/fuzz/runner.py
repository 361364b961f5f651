"""Mutate and read the inputs of one kind, in this process."""

import hashlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from fuzz.kind import Kind

INPUTS = Path(__file__).parent / "inputs"


class TooSlowError(BaseException):
    """Reading takes longer than its time limit; not an Exception, so that nothing that is read by handles it."""


@dataclass
class Result:
    """Numbers of inputs, seconds, peak memory in MiB, and the failing inputs with their tracebacks."""

    kind: str
    accepted: int = 0
    refused: int = 0
    seconds: float = 0
    mebibytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + len(self.failures)


def fuzz(kind: Kind, count: int, seconds: float, seed: int, current: Path | None = None) -> tuple[Result, list[bytes]]:
    """Read ``count`` mutated inputs, or as many as there is time for; return the result and the failing inputs.

    Each input is written to the file ``current`` before it is read, so that it is known if the process ends.
    """
    result, failing = Result(kind.name), list[bytes]()
    began = time.monotonic()
    examples = kind.examples()
    for number in range(count):
        if time.monotonic() - began > seconds:
            break
        choose = random.Random(f"{seed} {kind.name} {number}")  # noqa: S311 - no secrets
        content = kind.mutate(choose, choose.choice(examples))
        if current:
            current.write_bytes(content)
        failure = read(kind, content)
        if failure is None:
            result.accepted += 1
        elif not failure:
            result.refused += 1
        else:
            result.failures[digest(content)] = failure
            failing.append(content)
    result.seconds = time.monotonic() - began
    result.mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
    return result, failing


def read(kind: Kind, content: bytes) -> str | None:
    """Read one input: return None if it is accepted, an empty text if it is refused, and else why it fails."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    problems: list[str] = []
    try:
        with _observed_threads(problems), _time_limit(kind.seconds):
            kind.read(content, folder)
    except DlbugError as error:
        if not str(error).strip() or len(str(error)) > 10_000:
            problems.append(f"a message of {len(str(error))} characters")
        outcome = ""
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - that is what the fuzzer looks for
        return traceback.format_exc(limit=-8)
    else:
        outcome = None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "\n".join(problems) or outcome


def digest(content: bytes) -> str:
    """Return the name of an input."""
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlowError(f"not read within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _observed_threads(problems: list[str]) -> Iterator[None]:
    """Collect what threads and destructors raise, of which only a traceback would be printed."""

    def note(raised: Any) -> None:
        problems.append("".join(traceback.format_exception(raised.exc_value, limit=-8)))

    before = threading.excepthook, sys.unraisablehook
    threading.excepthook = sys.unraisablehook = note
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
