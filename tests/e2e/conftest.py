"""Studies run once for all tests here, by the command itself, as a user would."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from running import Ran, command, ran

from dlbug_assets.study import PROJECT

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


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Kept where people look at them: .artifacts/screenshots of the checkout."""
    folder = PROJECT / ".artifacts" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a real browser; tests that need one are skipped where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(90_000)
        yield opened
        browser.close()
