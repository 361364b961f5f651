"""The next step is a command that works when it is copied."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlbug_assets.cli.printing.next_step import command

DLBUG = Path(sys.executable).with_name("dlbug")


def copied_from_new(folder: Path, name: str, path: str) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Create a study in a folder, and run in a shell the doctor's version of the command that was printed."""
    environ = {**os.environ, "PATH": path, "DLBUG_HOME": str(folder / "home")}
    new = subprocess.run(
        [DLBUG, "new", name], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    printed = new.stdout.rpartition("then ")[2].strip()
    doctor = printed.replace(" run ", " doctor ")  # it reads the same study, and needs a second instead of a minute
    return printed, subprocess.run(
        ["sh", "-c", doctor], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", [os.defpath, f"{DLBUG.parent}{os.pathsep}{os.defpath}"])
def test_the_command_that_new_prints_runs_for_a_path_with_blanks(tmp_path: Path, path: str) -> None:
    (tmp_path / "my studies").mkdir()
    printed, done = copied_from_new(tmp_path, "my studies/own", path)
    assert printed.endswith(" run --study 'my studies/own'")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"Next: {printed}\n")


def test_the_program_is_called_by_its_name_where_the_shell_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(DLBUG.parent))
    assert command("run", "--study", "a b") == "dlbug run --study 'a b'"


def test_the_program_is_called_by_its_path_where_the_shell_does_not_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(DLBUG.parent.parent.parent)
    assert command("ui") == f"{DLBUG.relative_to(Path.cwd())} ui"
