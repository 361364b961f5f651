"""Serve Dagster's UI behind the guard, with the daemon as a child process.

`dagster dev` starts the same parts in processes of their own, where nothing can be put in front of the web server. Most
of what is used here is not public in Dagster: the version is bounded in pyproject.toml, and tests start it all.
"""

import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import dagster as dg
import uvicorn
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._serdes import serialize_value
from dagster_shared.ipc import get_ipc_shutdown_pipe, open_ipc_subprocess, send_ipc_shutdown_message

from dlbug_assets.cli.ui.guard import Guard
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import WORKSPACE

#: As `dagster-webserver` by default: the timeout of a statement (ms), the age (s) and the number of connections.
_DATABASE = (15_000, 3_600, 20)
_POLL_MILLISECONDS = 2_000
_WAIT_SECONDS = 60
_CHECK_SECONDS = 2


@dataclass(frozen=True)
class Address:
    """Where the UI listens: a host, a port, and the names under which browsers may reach it."""

    host: str
    port: int
    names: Collection[str] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> set[str]:
        """The values of the header Host that belong to it."""
        names = {"127.0.0.1", "localhost", "[::1]", f"[{self.host}]" if ":" in self.host else self.host, *self.names}
        if not self.is_loopback:
            names.add(socket.gethostname())
        # Browsers leave out the default port; behind a proxy, that is the one of the proxy.
        return {f"{name}:{self.port}" for name in names} | set(self.names) | (names if self.port == 80 else set())  # noqa: PLR2004

    def listen(self) -> socket.socket:
        """Return a listening socket; raise :class:`DlbugError` if there can be none."""
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            return socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            reason = str(error) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
            raise DlbugError(
                f"cannot listen on {self.host}:{self.port}: {reason}. Choose another --port or --host."
            ) from None


def new_token(address: Address, environ_token: str | None) -> str | None:
    """Return the token that requests need: none on loopback, unless the operator set one in DLBUG_UI_TOKEN."""
    return environ_token or (None if address.is_loopback else secrets.token_urlsafe(24))


def serve(address: Address, token: str | None, *, read_only: bool) -> None:
    """Serve the UI of the study that DLBUG_STUDY names until SIGINT or SIGTERM.

    The environment also has DAGSTER_HOME. Without ``read_only`` the daemon runs, too: schedules, sensors and queued
    runs. Raises :class:`DlbugError` if the address is in use or the daemon ends.
    """
    # Imported while the code server starts in a process of its own: each takes seconds.
    web = ThreadPoolExecutor(1).submit(import_module, "dagster_webserver.app")
    with (
        address.listen() as listener,
        dg.DagsterInstance.get() as instance,
        ProxyServerManager(instance, WorkspaceFileTarget([str(WORKSPACE)]), "warning") as code_servers,
        TemporaryDirectory() as folder,
    ):
        instance.optimize_for_webserver(*_DATABASE)
        workspace = Path(folder) / "workspace.yaml"
        workspace.write_text(yaml.dump({"load_from": code_servers.get_code_server_specs()}), encoding="utf-8")
        with WorkspaceProcessContext(
            instance,
            version=version("dagster-webserver"),
            read_only=read_only,
            workspace_load_target=WorkspaceFileTarget([str(workspace)]),
        ) as context:
            create_app = web.result().create_app_from_workspace_process_context
            app = create_app(context, live_data_poll_rate=_POLL_MILLISECONDS)
            guard = Guard(app, address.hosts, token)
            server = _Server(uvicorn.Config(guard, log_level="warning", timeout_graceful_shutdown=5))
            if read_only:
                server.run([listener])
            else:
                with _daemon(instance, workspace, server):
                    server.run([listener])


class _Server(uvicorn.Server):
    """A server that ends with SIGINT or SIGTERM, without raising the signal again: that would skip the daemon's end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(signum: int, frame: FrameType | None) -> None:
            self.handle_exit(signum, frame)

        handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def _daemon(instance: dg.DagsterInstance, workspace: Path, server: _Server) -> Iterator[None]:
    """Run the daemon while the context is open; if it ends, stop the server and raise :class:`DlbugError`."""
    shutdown_reader, shutdown_writer = get_ipc_shutdown_pipe()
    command = [
        sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace),
        "--instance-ref", serialize_value(instance.get_ref()), "--shutdown-pipe", str(shutdown_reader),
    ]  # fmt: skip
    # In a group of its own: Ctrl+C reaches this process, which then ends the daemon.
    daemon = open_ipc_subprocess(command, pass_fds=[shutdown_reader], start_new_session=True)
    os.close(shutdown_reader)
    closing = threading.Event()

    def watch() -> None:
        while not closing.wait(_CHECK_SECONDS):
            if daemon.poll() is not None:
                server.should_exit = True
                return

    watcher = threading.Thread(target=watch, name="daemon-watcher", daemon=True)
    watcher.start()
    try:
        yield
        if daemon.poll() is not None:
            raise DlbugError(f"Dagster's daemon ended with status {daemon.returncode}: see its messages above.")
    finally:
        closing.set()
        if daemon.poll() is None:
            send_ipc_shutdown_message(shutdown_writer)
        else:
            os.close(shutdown_writer)
        try:
            daemon.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
