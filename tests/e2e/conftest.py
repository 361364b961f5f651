"""Fixtures of the end-to-end tests, which run the dlbug command as a user would."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from dlbug_assets.layout import PROJECT, Home
from dlbug_assets.warehouse.lease import Lease
from support.commands import Ran, command, ran

Dlbug = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dlbug(tmp_path: Path) -> Dlbug:
    """Return a function that runs the dlbug command, by default in a home of its own."""

    def run(*arguments: str, home: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return command(home or tmp_path / "home", *arguments, **more)

    return run


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Ran:
    """Run the study `sample` in an empty home, once for all test processes; return a copy per module of tests."""
    own = tmp_path_factory.mktemp("sample")
    # pytest-xdist's processes share the parent of their temporary folders.
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "sample"
    with Lease(folder / "lock", worker_id):
        output = folder / "output.json"
        if not output.exists():
            done = ran("sample", folder / "home")
            assert done.result.returncode == 0, done.result.stderr
            output.write_text(json.dumps([done.result.stdout, done.result.stderr]), encoding="utf-8")
    shutil.copytree(folder / "home", own / "home")
    texts = (text.replace(str(folder), str(own)) for text in json.loads(output.read_text(encoding="utf-8")))
    return Ran(Home(own / "home", "sample"), subprocess.CompletedProcess([], 0, *texts))


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder of screenshots, .artifacts/screenshots of the checkout."""
    folder = PROJECT / ".artifacts" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page() -> Iterator[Page]:
    """Yield a page of a real browser; skip the test if none is installed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(90_000)
        yield opened
        browser.close()
