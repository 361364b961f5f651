"""Completion by the shell, in a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import command

BIN = Path(sys.executable).parent
#: Completes a line as the Tab key does, and prints what bash would offer.
PRESS_TAB = """
eval "$(dlbug completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_dlbug_completion dlbug
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def offered(tmp_path):
    """Return what bash offers for the words of a line, the last of which is incomplete."""

    def press_tab(*words):
        program = PRESS_TAB.format(words=" ".join(f"'{word}'" for word in ("dlbug", *words)))
        environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "DLBUG_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
        done = subprocess.run(
            ["bash", "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.split()

    return press_tab


def test_commands_and_options_are_completed(offered):
    assert offered("ver") == ["verify"]
    assert offered("labels", "ex") == ["export"]
    assert offered("run", "--swe") == ["--sweep"]
    assert offered("sql", "--format", "") == ["table", "csv", "json", "parquet"]


def test_names_of_studies_are_completed(offered, tmp_path):
    assert offered("run", "--study", "is") == ["islam2019"]
    assert command(tmp_path / "home", "new", "isles", cwd=tmp_path).returncode == 0
    assert offered("run", "--study", "is") == ["islam2019", "isles"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_that_they_can_read(tmp_path, shell):
    done = command(tmp_path, "completion", shell)
    assert done.returncode == 0
    assert "_DLBUG_COMPLETE" in done.stdout
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True, timeout=60)


def test_another_shell_is_an_error(tmp_path):
    done = command(tmp_path, "completion", "tcsh")
    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
