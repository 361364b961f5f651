"""Fixtures for all tests: an empty home and its warehouse."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse

# Assertions in these modules print their values when they fail.
pytest.register_assert_rewrite(
    *(f"support.{name}" for name in ("counting", "collection_checks", "collected_posts", "followed_repositories"))
)

# A busy machine must not fail an example because of the time it takes.
hypothesis.settings.register_profile("dlbug", deadline=None)
hypothesis.settings.load_profile("dlbug")

#: A folder whose files are in memory, on Linux.
_IN_MEMORY = "/dev/shm"  # noqa: S108
_GIB = 2**30


def pytest_configure() -> None:
    """Keep the tests' folders in memory if it is large enough, unless pytest's own variable is set.

    Landed files are flushed to the disk; on a real one, the suite would spend a quarter of its time waiting for it.
    """
    if Path(_IN_MEMORY).is_dir() and not os.statvfs(_IN_MEMORY).f_flag & os.ST_NOEXEC:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if min(memory / 2, shutil.disk_usage(_IN_MEMORY).free) > 6 * _GIB:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _IN_MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the end-to-end tests first: a long file that starts last would leave all cores except one idle."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                # They run several commands, which take several times as long on a busy machine.
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(autouse=True)
def _no_instance_of_another_test() -> Iterator[None]:
    """Reset the storage of the last instance, which Dagster keeps even when its folder is deleted."""
    with set_defs_state_storage(None):
        yield


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """Undo what a test changes for the whole process: commands and definitions restrict new files to their owner."""
    umask = os.umask(0o022)
    yield
    os.umask(umask)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", "tiny")


@pytest.fixture
def warehouse(home: Home):
    with Warehouse(home, "a test") as opened:
        yield opened
