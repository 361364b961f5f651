"""What many tests share: an empty home and a table to write."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse

# Proofs that several test files share say what they found when they fail.
pytest.register_assert_rewrite("support.counting", "support.collection_checks", "support.followed_repositories")

# How long an example takes is no behaviour: a busy machine must not fail it.
hypothesis.settings.register_profile("dlbug", deadline=None)
hypothesis.settings.load_profile("dlbug")


#: A folder whose files are in memory, on Linux.
_IN_MEMORY = "/dev/shm"  # noqa: S108
_GIB = 2**30


def pytest_configure() -> None:
    """Folders of tests are in memory where that has room for them and for the tests: what lands waits until the disk
    has it, and the suite would wait a quarter of its time. Who sets the variable of pytest decides otherwise."""
    if Path(_IN_MEMORY).is_dir() and not os.statvfs(_IN_MEMORY).f_flag & os.ST_NOEXEC:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if min(memory / 2, shutil.disk_usage(_IN_MEMORY).free) > 6 * _GIB:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _IN_MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end tests first: a long file that begins last would leave all cores but one idle."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _nobody_elses_instance() -> Iterator[None]:
    """Dagster remembers the storage of the instance that was opened last, even when its folder is gone."""
    with set_defs_state_storage(None):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", "tiny")


@pytest.fixture
def warehouse(home: Home):
    with Warehouse(home, "a test") as opened:
        yield opened
