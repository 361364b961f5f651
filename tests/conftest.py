"""What many tests share: an empty home and a table to write."""

from pathlib import Path

import pytest

from dlbug_assets.warehouse import Home, Warehouse


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", "tiny")


@pytest.fixture
def warehouse(home: Home):
    with Warehouse(home, "a test", say=lambda _: None) as opened:
        yield opened
