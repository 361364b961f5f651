"""Real Spark for tests: in this process, or as a standalone cluster of processes on loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlbug_assets.ingest.spark import lacking

LACKING = [what for what, _ in lacking("local[2]")]
needs_spark = pytest.mark.skipif(
    bool(LACKING), reason=f"{' and '.join(LACKING)} not installed: make test-cluster has pyspark, apt-get Java"
)
#: Small machines and small inputs: many small splits, few compilers, nothing that listens but what must.
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
#: A machine that several share may stand still for long.
_SECONDS = 120
_LOOPBACK = ("--host", "127.0.0.1", "--webui-port", "0")


def variables(folder: Path, split: int) -> dict[str, str]:
    """The environment of a driver: Spark's settings in a folder, dumps split into so many bytes."""
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


class _Servers:
    """Servers of Spark in a folder; ``variables`` are the environment of who uses them."""

    def __init__(self, folder: Path, split: int) -> None:
        self.variables = variables(folder / "conf", split)
        self._folder = folder
        self._home = Path(str(find_spec("pyspark").origin)).parent
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

    def _said(self, name: str, pattern: str) -> str:
        log = self._folder / f"{name}.log"
        return _eventually(lambda: re.search(pattern, log.read_text(errors="replace")), f"{pattern} in {log}").group(1)


class ConnectServer(_Servers):
    """A Spark Connect server that does the work itself, on a core."""

    def __init__(self, folder: Path, split: int) -> None:
        super().__init__(folder, split)
        settings = ("spark.connect.grpc.binding.address=127.0.0.1", "spark.connect.grpc.binding.port=0")
        self._start(
            "connect", "spark-submit", "--master", "local[1]",
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            *(word for setting in settings for word in ("--conf", setting)), "spark-internal",
        )  # fmt: skip
        self.address = "sc://" + self._said("connect", r"Spark Connect server started at: (127\.0\.0\.1:\d+)")


class Cluster(_Servers):
    """A master and its workers, a core and a gigabyte each."""

    def __init__(self, folder: Path, split: int) -> None:
        super().__init__(folder, split)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._start("master", "spark-class", "org.apache.spark.deploy.master.Master", *_LOOPBACK, "--port", "0")
        self.address = self._said("master", r"Starting Spark master at (spark://\S+)")
        for _ in range(2):
            self.add_worker()

    def add_worker(self) -> None:
        """Start a worker, and wait until the master knows it."""
        number = len(self._processes)
        work = self._folder / f"work-{number}"
        arguments = (*_LOOPBACK, "--cores", "1", "--memory", "1g", "--work-dir", str(work), self.address)
        worker = "org.apache.spark.deploy.worker.Worker"
        self.workers.append(self._start(f"worker-{number}", "spark-class", worker, *arguments))
        self._said(f"worker-{number}", r"(Successfully registered with master)")

    def lose_worker(self) -> subprocess.Popen[bytes]:
        """End a worker that is running a task, without a warning; returns its process."""
        worker = _eventually(lambda: next(filter(_is_running_python, self.workers), None), "a worker with a task")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)
        return worker


def _is_running_python(worker: subprocess.Popen[bytes]) -> bool:
    """Whether an executor of a worker has a Python at work: a daemon of pyspark with a child."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    executors = children.get(worker.pid, [])
    daemons = [child for executor in executors for child in children.get(executor, [])]
    return any(children.get(daemon) for daemon in daemons)


def _eventually(look: Callable[[], object], what: str):
    deadline = time.monotonic() + _SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {_SECONDS} s for {what}")
        time.sleep(0.02)
    return found
