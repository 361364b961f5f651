"""Open sessions at the address in DLBUG_SPARK.

This is a Spark master (`spark://host:7077`, `local[2]`) or a Spark Connect server (`sc://host:15002`). In scope:
sessions, and what to do if none can be opened. Out of scope: what runs in them. pyspark is not imported before a
session is requested. Only features of Spark Connect are used: DataFrames, no RDDs. Memory, cores, keys of object stores
and so on are Spark's own settings, in `spark-defaults.conf` in SPARK_CONF_DIR.

The workers run functions of this package. Their Python needs dlbug with the extra `spark`, in the same version as on
this machine. PYSPARK_PYTHON is the path of that Python; by default it is the path of the one that runs this.
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
#: Time limits of a connection, and of a session with its first executor.
_CONNECT_SECONDS = 10
_SECONDS = 120
_PORTS = {"spark": 7077, "sc": 15002}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EXCERPT = 400
_ADVICE = f"Start it, correct {VARIABLE}, or unset {VARIABLE} to work on this machine alone."

#: The open session by its address; at most one.
_sessions: dict[str, Any] = {}

T = TypeVar("T")
R = TypeVar("R")


def missing_requirements(address: str) -> Iterator[tuple[str, str]]:
    """Yield what this machine lacks for a session at an address: its name, and how to fix it."""
    if find_spec("pyspark") is None:
        yield "pyspark", f"not installed, but {VARIABLE} is set: pip install 'pyspark[connect]', or unset {VARIABLE}"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None and not address.startswith("sc://"):
        yield "Java", f"not found, but {VARIABLE} is set: install Java 17 or newer, or unset {VARIABLE}"


@contextmanager
def session(address: str) -> Iterator[Any]:
    """Open a Spark session with at least one executor, or reuse the open one.

    Executors start slowly, so the session stays open until the process ends, another address is requested or Spark
    raises an error. Raises :class:`UnreachableError` if no server responds at the address within seconds, and if there
    is no session or no executor within two minutes; :class:`DlbugError` if a requirement is missing, and for Spark's
    errors inside the context.
    """
    for name, advice in missing_requirements(address):
        raise DlbugError(f"{name}: {advice}.")
    with warnings.catch_warnings():
        # pyspark warns that it wasn't tested with a new pandas, which is not used here.
        warnings.simplefilter("ignore", FutureWarning)
        # Only if Spark is requested.
        from py4j.protocol import Py4JError  # noqa: PLC0415 # pyright: ignore[reportMissingImports]
        from pyspark.errors import PySparkException  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

        try:
            if address not in _sessions:
                _close()
                _require_listener(address)
                _sessions[address] = _open(address)
                logger.info("Spark at %s: a session is open, Spark %s", address, _sessions[address].version)
            yield _sessions[address]
        except (PySparkException, Py4JError) as error:
            _close()
            raise DlbugError(f"Spark at {address}: {_error_text(error)}. What was collected before is kept.") from None


def spark_map(spark: Any, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield the results of a function for each item, in order; each item is a task of the executors.

    The function, the items and the results are pickled. Raises the :class:`DlbugError` that a call raises, when its
    result is due.
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
        result, error = pickle.loads(outcomes[number])  # noqa: S301 - from our own function, as in Spark's own protocol
        if error is not None:
            raise error
        yield result


@atexit.register
def _close() -> None:
    """Close the open session, if there is one."""
    if not _sessions:
        return
    from py4j.protocol import Py4JError  # noqa: PLC0415 # pyright: ignore[reportMissingImports]
    from pyspark.errors import PySparkException  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

    _, spark = _sessions.popitem()
    with suppress(PySparkException, Py4JError, OSError):  # its server, or its Java, may be gone
        spark.stop()


def _outcome(function: Callable[[T], R], item: T) -> tuple[R | None, DlbugError | None]:
    try:
        return function(item), None
    except DlbugError as error:
        return None, error


def _require_listener(address: str) -> None:
    """Raise :class:`UnreachableError` if no server listens: Spark itself would retry for minutes."""
    scheme, is_remote, rest = address.partition("://")
    if not is_remote or scheme not in _PORTS:
        return
    problems = []
    for server in rest.split("/")[0].split(","):  # a standalone cluster may have standby masters
        host, _, port = server.partition(":") if not server.startswith("[") else server.rpartition(":")
        if not host or (port and not port.isdigit()):
            raise DlbugError(f"{VARIABLE}={address}: {server!r} is not host:port.")
        try:
            socket.create_connection((host.strip("[]"), int(port or _PORTS[scheme])), _CONNECT_SECONDS).close()
        except OSError as error:
            problems.append(f"{server}: {error.strerror or error}")
        else:
            return
    raise UnreachableError(f"no server responds at {VARIABLE}={address} ({'; '.join(problems)}). {_ADVICE}")


def _open(address: str) -> Any:
    """Return a session with an executor; a thread of its own opens it, so that waiting can end after the time limit."""
    opened: list[Any] = []
    errors: list[BaseException] = []

    def open_session() -> None:
        try:
            opened.append(_build(address))
            opened[0].range(1).count()  # needs an executor
        except BaseException as error:  # noqa: BLE001 - raised below, in the waiting thread
            errors.append(error)

    opener = threading.Thread(target=open_session, name="spark-session", daemon=True)
    opener.start()
    opener.join(_SECONDS)
    is_late = opener.is_alive()
    if not is_late and not errors:
        return opened[0]
    no_executor = "provides no executor (are its workers running, with a free core and the configured memory?)"
    reason = no_executor if opened else "does not respond like Spark"
    for spark in opened:
        spark.stop()
    if is_late:
        raise UnreachableError(f"{VARIABLE}={address} {reason}: waited {_SECONDS} s. {_ADVICE}")
    error = errors[0]
    if isinstance(error, Exception):
        raise UnreachableError(
            f"{VARIABLE}={address}: cannot open a session: {_error_text(error)}. {_ADVICE}"
        ) from None
    raise error


def _build(address: str) -> Any:
    from pyspark.sql import SparkSession  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

    if address.startswith("sc://"):
        return SparkSession.builder.remote(address).getOrCreate()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(address).appName("dlbug")
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF"}
    if address.startswith("local") or re.sub(r"^spark://|:\d+$", "", address) in _LOOPBACK:
        # The executors connect to this process: if all are on this machine, it listens on loopback only.
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _error_text(error: BaseException) -> str:
    """Return the essential line of a Spark error: the end of a worker's traceback, or the first informative line."""
    lines = [line.strip(": ") for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("An error occurred while calling")]
    raised = [
        line for line in lines if re.match(r"[\w.]*(Error|Exception)\b: ", line) and "org.apache.spark" not in line
    ]
    return next(iter(raised[-1:] + lines), type(error).__name__)[:_EXCERPT].removesuffix(".")
