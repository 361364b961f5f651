"""Run Spark for tests: in this process, or as a standalone cluster of processes on loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dlbug_assets.ingest.spark import missing_requirements, session

MISSING = [name for name, _ in missing_requirements("local[2]")]
needs_spark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: make test-cluster installs pyspark, apt-get Java"
)
#: For small machines and inputs: many small splits, little compilation, no servers that aren't needed.
SETTINGS = """\
spark.driver.memory 512m
spark.executor.memory 512m
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.codegen.wholeStage false
spark.sql.shuffle.partitions 2
spark.sql.files.openCostInBytes 1
spark.sql.files.maxPartitionBytes {split}
spark.master.rest.enabled false
spark.ui.enabled false
"""
#: A shared machine may stall for long.
_SECONDS = 120
_LOOPBACK = ("--host", "127.0.0.1", "--webui-port", "0")

T = TypeVar("T")


def environment(folder: Path, split: int) -> dict[str, str]:
    """Write Spark's settings to a folder and return a driver's environment; files are split into ``split`` bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spark-defaults.conf").write_text(SETTINGS.format(split=split), encoding="utf-8")
    (folder / "log4j2.properties").write_text("rootLogger.level = info\n" + _LOG, encoding="utf-8")
    return {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}


_LOG = """\
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c{1}: %m%n
"""


@contextmanager
def local_session(folder: Path) -> Iterator[Any]:
    """Open a session in this process with settings in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder, 1 << 20).items():
            patch.setenv(name, value)
        with session("local[2]") as opened:
            yield opened


class _Servers:
    """Servers of Spark with their files in a folder; ``variables`` is the environment of their clients."""

    def __init__(self, folder: Path, split: int) -> None:
        self.variables = environment(folder / "conf", split)
        self._folder = folder
        self._home = _pyspark_home()
        self._processes: list[subprocess.Popen[bytes]] = []

    def stop(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its executors, too
            process.wait()

    def _start(self, name: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [self._home / "bin" / program, *arguments],
                env=os.environ | self.variables | {"SPARK_HOME": str(self._home), "SPARK_DAEMON_MEMORY": "640m"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def _wait_for_log(self, name: str, pattern: str) -> str:
        """Wait until a server logs a pattern; return its group."""
        log = self._folder / f"{name}.log"
        match = _wait_for(lambda: re.search(pattern, log.read_text(errors="replace")), f"{pattern} in {log}")
        return match.group(1)


class ConnectServer(_Servers):
    """A Spark Connect server that runs tasks itself, on one core."""

    def __init__(self, folder: Path, split: int) -> None:
        super().__init__(folder, split)
        settings = ("spark.connect.grpc.binding.address=127.0.0.1", "spark.connect.grpc.binding.port=0")
        self._start(
            "connect", "spark-submit", "--master", "local[1]",
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            *(word for setting in settings for word in ("--conf", setting)), "spark-internal",
        )  # fmt: skip
        self.address = "sc://" + self._wait_for_log("connect", r"Spark Connect server started at: (127\.0\.0\.1:\d+)")


class Cluster(_Servers):
    """A master and its workers, with one core and one gigabyte each."""

    def __init__(self, folder: Path, split: int) -> None:
        super().__init__(folder, split)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._start("master", "spark-class", "org.apache.spark.deploy.master.Master", *_LOOPBACK, "--port", "0")
        self.address = self._wait_for_log("master", r"Starting Spark master at (spark://\S+)")
        for _ in range(2):
            self.add_worker()

    def add_worker(self) -> None:
        """Start a worker and wait until it is registered with the master."""
        number = len(self._processes)
        work = self._folder / f"work-{number}"
        arguments = (*_LOOPBACK, "--cores", "1", "--memory", "1g", "--work-dir", str(work), self.address)
        worker = "org.apache.spark.deploy.worker.Worker"
        self.workers.append(self._start(f"worker-{number}", "spark-class", worker, *arguments))
        self._wait_for_log(f"worker-{number}", r"(Successfully registered with master)")

    def kill_worker(self, run: subprocess.Popen[Any]) -> subprocess.Popen[bytes] | None:
        """Kill a worker that is running a task, and return its process; None if the run ends without a task."""
        while run.poll() is None:
            for worker in filter(_is_running_python, self.workers):
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                self.workers.remove(worker)
                return worker
            time.sleep(0.02)
        return None


def _is_running_python(worker: subprocess.Popen[bytes]) -> bool:
    """Return whether an executor of a worker runs Python code: a daemon of pyspark with a child."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    executors = children.get(worker.pid, [])
    daemons = [child for executor in executors for child in children.get(executor, [])]
    return any(children.get(daemon) for daemon in daemons)


def _pyspark_home() -> Path:
    spec = find_spec("pyspark")
    assert spec and spec.origin, "pyspark is installed if this is called"
    return Path(spec.origin).parent


def _wait_for(condition: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + _SECONDS
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {_SECONDS} s for {what}")
        time.sleep(0.02)
    return found
