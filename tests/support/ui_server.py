"""Start the web UI and its daemon as users do, and send queries to them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from dlbug_assets.automation.schedules import RANGE_END, RANGE_START
from support.commands import DLBUG, environment

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def graphql(address: str, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Send a GraphQL query; return the data of the reply."""
    request = urllib.request.Request(  # noqa: S310 - a server of our own on loopback
        f"{address}/graphql",
        json.dumps({"query": query, "variables": variables or {}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        return json.load(reply)["data"]


@contextlib.contextmanager
def serving(
    root: Path | None,
    study: str = "sample",
    cwd: Path | None = None,
    program: Path = DLBUG,
    arguments: Sequence[str] = (),
    **more: str,
) -> Iterator[str]:
    """Run `dlbug ui` for a study, with ``arguments``, while the context is open, and yield its address.

    The other parameters are those of :func:`support.commands.command`.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [program, "ui", "--study", study, "--port", str(port), *arguments],
            env=environment(root, **more),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while not _answers(address):
                assert server.poll() is None, log.seek(0) or log.read()
                assert time.monotonic() < deadline, log.seek(0) or log.read()
                time.sleep(0.5)
            yield address
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(timeout=60)


def _answers(address: str) -> bool:
    try:
        return bool(graphql(address, "{ version }"))
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.UNAUTHORIZED  # it needs a token
    except (urllib.error.URLError, ConnectionError):
        return False


def launch(address: str, job: str, libraries: tuple[str, str]) -> str:
    """Launch a job over a range of libraries, as the UI does; return the run's id."""
    tags = {RANGE_START: libraries[0], RANGE_END: libraries[1]}
    params = {
        "selector": {"repositoryLocationName": "dlbug_assets", "repositoryName": "__repository__", "jobName": job},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    return graphql(address, _LAUNCH, {"params": params})["launchRun"]["run"]["runId"]


def wait_for_end(address: str, run_id: str) -> str:
    """Wait until a run has ended; return its status."""
    while True:
        status = graphql(address, _STATUS, {"id": run_id})["runOrError"]["status"]
        if status in ("SUCCESS", "FAILURE", "CANCELED"):
            return status
        time.sleep(0.5)
