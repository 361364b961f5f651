"""Everything that is generated for a study can be opened by its owner only, whatever the umask."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import command, environment
from support.handmade import QUEUE, Handmade, filled
from support.ui_server import launch, serving, wait_for_end

_OPEN_HISTORY = "import dagster, os; dagster.DagsterInstance.get(); print(oct(os.umask(0)))"


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    """Let new files be open to everybody, in this process and those that it starts."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def handmade(tmp_path):
    return Handmade(tmp_path)


def open_to_others(folder: Path) -> list[Path]:
    """Return the folder and everything in it that others than the owner can open."""
    return [path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077]


def test_commands_and_runs_of_the_ui_keep_their_files_private(handmade, tmp_path):
    handmade.dlbug("run")
    handmade.dlbug("labels", "export", "--format", "csv")
    sheets = [tmp_path / f"50-{rater}.csv" for rater in handmade.raters]
    for sheet in sheets:
        sheet.write_text(filled(handmade.outbox / sheet.name, lambda _: {"is_bug": "true"}), encoding="utf-8")
    handmade.dlbug("labels", "import", *map(str, sheets))
    handmade.dlbug("labels", "export")
    handmade.dlbug("package")
    created = {path.relative_to(handmade.root).parts[1] for path in handmade.root.rglob("handmade/*")}
    assert {"working.duckdb", "writer.lock", "labels", "report", "package", "dagster_home"} <= created
    assert open_to_others(handmade.root) == []
    with serving(handmade.root, str(handmade.path)) as ui:
        assert wait_for_end(ui, launch(ui, "stackoverflow_group", ("Keras", "Keras"))) == "SUCCESS"
        assert open_to_others(handmade.root) == []
    assert open_to_others(handmade.root) == []


def test_dagsters_own_servers_keep_the_history_private(handmade):
    handmade.dlbug("run", "--select", QUEUE)
    for umask in (0o000, 0o022):
        os.umask(umask)
        opened = subprocess.run(
            [sys.executable, "-c", _OPEN_HISTORY],
            env=environment(handmade.root, DAGSTER_HOME=str(handmade.root / "handmade" / "dagster_home")),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert opened.stdout == "0o77\n"


def test_an_output_that_the_user_names_has_the_mode_that_the_user_wants(handmade, tmp_path):
    handmade.dlbug("run", "--select", QUEUE)
    modes = {}
    for umask in (0o000, 0o022, 0o027):
        os.umask(umask)
        output = tmp_path / f"{umask}.csv"
        handmade.dlbug("sql", "select 1", "--output", str(output))
        modes[umask] = output.stat().st_mode & 0o777
    assert modes == {0o000: 0o666, 0o022: 0o644, 0o027: 0o640}


def test_doctor_reports_a_study_that_is_open_to_others(handmade):
    handmade.dlbug("run", "--select", QUEUE)

    def notes():
        report = command(handmade.root, "doctor", "--study", str(handmade.path)).stdout
        return [line for line in report.splitlines() if "chmod" in line]

    study, published = handmade.root / "handmade", handmade.root / "handmade.duckdb"
    study.chmod(0o755)
    published.chmod(0o644)
    assert notes() == []  # the home itself is private
    handmade.root.chmod(0o755)
    fix = f"chmod -R go= {study} {published}"
    assert notes() == [f"note  folder: its mode lets others on this machine read the study: {fix}"]
    subprocess.run(fix.split(), check=True)
    assert notes() == []
