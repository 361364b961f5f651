"""Spark, where DLBUG_SPARK names a master (`spark://host:7077`, `local[2]`) or a Connect server (`sc://host:15002`).

What belongs here: sessions, and what to do where none can be had. What doesn't: what runs in them. Nothing of pyspark
is imported before a session is wanted. Only what Spark Connect has too is used: DataFrames, no RDDs. Memory, cores,
keys of object stores and the like are Spark's own settings: `spark-defaults.conf` in SPARK_CONF_DIR.

The workers run functions of this package, so that the Python that PYSPARK_PYTHON names there (here it is this one,
unless that is set) needs dlbug with the extra `spark`, in the version of this machine.
"""

import atexit
import logging
import os
import pickle
import re
import shutil
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, TypeVar

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import UnreachableError

logger = logging.getLogger(__name__)

VARIABLE = "DLBUG_SPARK"
#: How long a connection may take, and a session with its first executor.
_CONNECT_SECONDS = 10
_SECONDS = 120
_PORTS = {"spark": 7077, "sc": 15002}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EXCERPT = 400
_CURE = f"Start it, correct {VARIABLE}, or unset {VARIABLE} to work on this machine alone."

#: The session that is open, by its address: one at most.
_open: dict[str, Any] = {}

T = TypeVar("T")
R = TypeVar("R")


def lacking(address: str) -> Iterator[tuple[str, str]]:
    """What this machine lacks for a session at an address: the thing, and what to do about it."""
    if find_spec("pyspark") is None:
        yield "pyspark", f"not installed, but {VARIABLE} is set: pip install 'pyspark[connect]', or unset {VARIABLE}"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None and not address.startswith("sc://"):
        yield "Java", f"not found, but {VARIABLE} is set: install Java 17 or newer, or unset {VARIABLE}"


@contextmanager
def session(address: str) -> Iterator[Any]:
    """A Spark session that has at least one executor. It stays open for whoever wants it next, to the end of the
    process, as executors take their time to start; one at another address, or an error of Spark, ends it.

    Raises :class:`UnreachableError` where nobody answers at the address within seconds, and where no session or no
    executor can be had within two minutes; :class:`DlbugError` where something is lacking, and for what Spark complains
    of in the context.
    """
    for what, cure in lacking(address):
        raise DlbugError(f"{what}: {cure}.")
    with warnings.catch_warnings():
        # pyspark says of each new pandas that it has not been tried with all of it; no pandas is used here.
        warnings.simplefilter("ignore", FutureWarning)
        from py4j.protocol import Py4JError  # noqa: PLC0415 - only where Spark is asked for
        from pyspark.errors import PySparkException  # noqa: PLC0415

        try:
            if address not in _open:
                _close()
                _insist_on_a_listener(address)
                _open[address] = _opened(address)
                logger.info("Spark at %s: a session is open, Spark %s", address, _open[address].version)
            yield _open[address]
        except (PySparkException, Py4JError) as error:
            _close()
            raise DlbugError(f"Spark at {address}: {_said(error)}. What was collected before is kept.") from None


def each(spark: Any, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``function`` of each item, computed by the executors, a task each; in the order of the items.

    What goes there and comes back is pickled. Where a call raises :class:`DlbugError`, it is raised here.
    """
    if not items:
        return

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa  # noqa: PLC0415 - on the executor

        for batch in batches:
            numbers = batch.column(0).to_pylist()
            outcomes = [pickle.dumps(_outcome(function, items[number])) for number in numbers]
            yield pa.RecordBatch.from_pydict({"number": numbers, "outcome": outcomes})

    tasks = spark.range(0, len(items), 1, len(items))
    outcomes = {row.number: row.outcome for row in tasks.mapInArrow(work, "number long, outcome binary").collect()}
    for number in range(len(items)):
        result, error = pickle.loads(outcomes[number])  # noqa: S301 - by our own function, as Spark's own protocol does
        if error is not None:
            raise error
        yield result


@atexit.register
def _close() -> None:
    """End the session that is open, if there is one."""
    if not _open:
        return
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    _, spark = _open.popitem()
    with suppress(PySparkException, Py4JError, OSError):  # its server, or its Java, may be gone
        spark.stop()


def _outcome(function: Callable[[T], R], item: T) -> tuple[R | None, DlbugError | None]:
    try:
        return function(item), None
    except DlbugError as error:
        return None, error


def _insist_on_a_listener(address: str) -> None:
    """Raise where nobody listens: Spark itself would try for minutes."""
    scheme, is_remote, rest = address.partition("://")
    if not is_remote or scheme not in _PORTS:
        return
    problems = []
    for place in rest.split("/")[0].split(","):  # a standalone cluster may have masters in reserve
        host, _, port = place.partition(":") if not place.startswith("[") else place.rpartition(":")
        if not host or (port and not port.isdigit()):
            raise DlbugError(f"{VARIABLE}={address}: {place!r} is no host:port.")
        try:
            socket.create_connection((host.strip("[]"), int(port or _PORTS[scheme])), _CONNECT_SECONDS).close()
        except OSError as error:
            problems.append(f"{place}: {error.strerror or error}")
        else:
            return
    raise UnreachableError(f"nobody answers at {VARIABLE}={address} ({'; '.join(problems)}). {_CURE}")


def _opened(address: str) -> Any:
    """A session with an executor. It is made in a thread of its own: where nothing comes of it, nobody waits for it."""
    made: list[Any] = []
    failed: list[BaseException] = []

    def make() -> None:
        try:
            made.append(_built(address))
            made[0].range(1).count()  # needs an executor
        except BaseException as error:  # noqa: BLE001 - raised below, by who waits for it
            failed.append(error)

    maker = threading.Thread(target=make, name="spark-session", daemon=True)
    maker.start()
    maker.join(_SECONDS)
    is_late = maker.is_alive()
    if not is_late and not failed:
        return made[0]
    idle = "gives no executor (are its workers up, with a core and the memory asked for free?)"
    reason = idle if made else "does not talk as Spark does"
    for spark in made:
        spark.stop()
    if is_late:
        raise UnreachableError(f"{VARIABLE}={address} {reason}: waited {_SECONDS} s. {_CURE}")
    if isinstance(failed[0], Exception):
        raise UnreachableError(f"{VARIABLE}={address}: no session can be had: {_said(failed[0])}. {_CURE}") from None
    raise failed[0]


def _built(address: str) -> Any:
    from pyspark.sql import SparkSession  # noqa: PLC0415

    if address.startswith("sc://"):
        return SparkSession.builder.remote(address).getOrCreate()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(address).appName("dlbug")
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF"}
    if address.startswith("local") or re.sub(r"^spark://|:\d+$", "", address) in _LOOPBACK:
        # The executors talk back to this process: where all are on this machine, nobody else has to hear it.
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _said(error: BaseException) -> str:
    """What matters of an error of Spark: the end of a worker's traceback, or the first line that says something."""
    lines = [line.strip(": ") for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("An error occurred while calling")]
    told = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b: ", line) and "org.apache.spark" not in line]
    return next(iter(told[-1:] + lines), type(error).__name__)[:_EXCERPT].removesuffix(".")
