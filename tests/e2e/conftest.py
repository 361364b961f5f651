"""Studies run once for all tests here, by the command itself, as a user would."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Ran, command, ran

Dlbug = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dlbug(tmp_path: Path) -> Dlbug:
    """The dlbug command in a home of its own (or another one)."""

    def run(*arguments: str, home: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return command(home or tmp_path / "home", *arguments, **more)

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The study `sample`, run once from nothing."""
    done = ran("sample", tmp_path_factory.mktemp("sample"))
    assert done.result.returncode == 0, done.result.stderr
    return done
