"""Studies run once for all tests here, by the command itself, as a user would."""

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
    """The dlbug command in a home of its own (or another one)."""

    def run(*arguments: str, home: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return command(home or tmp_path / "home", *arguments, **more)

    return run


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Ran:
    """The study `sample`, run once from nothing: by one of the processes that test, for all of them."""
    own = tmp_path_factory.mktemp("sample")
    # What pytest-xdist's processes share is the folder that their own ones are in.
    folder = tmp_path_factory.getbasetemp().parent / "sample" if worker_id != "master" else own / "made"
    with Lease(folder / "lock", worker_id):
        kept = folder / "said.json"
        if not kept.exists():
            done = ran("sample", folder / "home")
            assert done.result.returncode == 0, done.result.stderr
            kept.write_text(json.dumps([done.result.stdout, done.result.stderr]), encoding="utf-8")
    shutil.copytree(folder / "home", own / "home")
    said = (text.replace(str(folder), str(own)) for text in json.loads(kept.read_text(encoding="utf-8")))
    return Ran(Home(own / "home", "sample"), subprocess.CompletedProcess([], 0, *said))


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
