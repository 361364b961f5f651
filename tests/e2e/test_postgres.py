"""The history of runs in a real PostgreSQL, as several machines share it, written by the dlbug command."""

import os
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlbug_assets.layout import Home
from support.commands import Ran, command

PASSWORD = "planted-password"  # noqa: S105 - of a server that exists during the tests only
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path(shutil.which("initdb") or "/nowhere").parent)
SETTINGS = """\
storage:
  postgres:
    postgres_db:
      scheme: postgresql+psycopg2
      hostname: 127.0.0.1
      port: {port}
      username: dlbug
      password: {{env: DLBUG_POSTGRES_PASSWORD}}
      db_name: postgres
"""

pytestmark = [
    pytest.mark.skipif(
        find_spec("dagster_postgres") is None, reason="dagster-postgres is not installed: make test-cluster installs it"
    ),
    pytest.mark.skipif(
        not (PROGRAMS / "initdb").exists(), reason="PostgreSQL is not installed: apt-get install postgresql"
    ),
]


class Server:
    """A PostgreSQL server on a free port of loopback."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dlbug-postgres-"))
        # PostgreSQL does not run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", "data", "-U", "dlbug", "-A", "scram-sha-256", "--pwfile", "password", "--no-sync")

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    def query(self, query: str) -> list[tuple]:
        import psycopg2  # noqa: PLC0415 - where it is missing, these tests are skipped

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="dlbug", password=PASSWORD, dbname="postgres"
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file, because the running server would keep a pipe open.
        with (self.folder / "output").open("a") as output:
            subprocess.run(
                [PROGRAMS / program, *arguments], cwd=self.folder, user=self._user, check=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip


@pytest.fixture(scope="module")
def server():
    started = Server()
    started.start()
    yield started
    started.stop()
    shutil.rmtree(started.folder)


@pytest.fixture
def home(tmp_path, server):
    home = Home(tmp_path / "home", "sample")
    home.dagster_home.mkdir(parents=True)
    (home.dagster_home / "dagster.local.yaml").write_text(SETTINGS.format(port=server.port))
    return home


def test_the_history_of_a_run_is_stored_in_postgresql(home, server):
    select = "+group:stackoverflow"
    arguments = ("run", "--study", "sample", "--select", select)
    ran = Ran(home, command(home.root, *arguments, DLBUG_POSTGRES_PASSWORD=PASSWORD))
    assert ran.result.returncode == 0, ran.result.stderr
    assert server.query("select status, count(*) from runs group by 1") == [("SUCCESS", 1)]
    libraries = ran.query("select count(distinct library) from stackoverflow.raw_posts").item()
    materializations = """select count(*) from event_logs
        where dagster_event_type = 'ASSET_MATERIALIZATION' and asset_key = '["stackoverflow", "raw_posts"]'"""
    assert server.query(materializations) == [(libraries,)]
    assert not (home.dagster_home / "history").exists()
    # The settings do not contain the password.
    assert PASSWORD not in "".join(file.read_text() for file in home.dagster_home.glob("*.yaml"))


def test_a_rejected_password_is_one_message_with_that_of_the_server(home):
    result = command(home.root, "run", "--study", "sample", DLBUG_POSTGRES_PASSWORD=PASSWORD[1:])
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    message = f"cannot write the history of runs to the storage in {home.dagster_home / 'dagster.local.yaml'}: "
    assert message in result.stderr
    assert 'password authentication failed for user "dlbug"' in result.stderr
