"""The published database: replaced as a whole, read while it is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.published import open_published
from support.small_disks import mount, unmount
from support.tiny_tables import SPEC, Program, bugs, content


def test_publishing_replaces_the_file_and_open_readers_keep_the_old_one(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    warehouse.publish()
    reader = open_published(home)
    warehouse.replace(SPEC, bugs((2, "Torch")))
    warehouse.publish()
    assert reader.execute("select bug from analysis.bugs").fetchall() == [(1,)]
    reader.close()
    newer = open_published(home)
    assert newer.execute("select bug from analysis.bugs").fetchall() == [(2,)]
    newer.close()
    assert {path.name for path in home.root.iterdir()} == {"tiny", "tiny.duckdb"}


def test_the_published_file_is_read_only_for_readers(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    warehouse.publish()
    reader = open_published(home)
    with pytest.raises(duckdb.InvalidInputException):
        reader.execute("delete from analysis.bugs")
    reader.close()


def test_the_published_file_opens_in_duckdbs_own_shell(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    path = warehouse.publish()
    shell = Path(sys.executable).parent / "duckdb"
    result = subprocess.run(
        [shell, "-readonly", "-csv", path, "from analysis.bugs"], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.splitlines() == ["bug,library", "1,Keras"]


def test_opening_fails_with_the_fix_before_the_first_publication(home):
    with pytest.raises(DlbugError, match="tiny.duckdb does not exist yet. `dlbug run --study tiny` creates it"):
        open_published(home)


ANALYST = """
    import sys
    from pathlib import Path
    from dlbug_assets.layout import Home
    from dlbug_assets.warehouse.published import open_published
    connection = open_published(Home(Path(sys.argv[1]), "tiny"))
    print("open", flush=True)
    for line in sys.stdin:
        print(connection.execute("select min(bug), max(bug), count(*) from analysis.bugs").fetchall(), flush=True)
"""


def test_a_reader_neither_blocks_a_publication_nor_is_affected_by_it(home):
    with Warehouse(home, "a test") as warehouse:
        warehouse.replace(SPEC, bugs((0, "Keras"), (1, "Keras")))
        warehouse.publish()
        analyst = Program(ANALYST, home.root)
        assert analyst.read_line() == "open\n"
        for number in range(2, 12):
            warehouse.replace(SPEC, bugs((number, "Keras"), (number + 1, "Keras")))
            warehouse.publish()
            analyst.write_line()
            assert analyst.read_line() == "[(0, 1, 2)]\n"
        assert analyst.finish() == (0, "")


def test_a_full_disk_is_an_error_and_the_old_publication_is_kept(tmp_path):
    home = Home(tmp_path / "disk", "tiny")
    mount(home.root, "size=8m")
    try:
        with Warehouse(home, "a test") as warehouse:
            warehouse.replace(SPEC, bugs((1, "Keras")))
            warehouse.publish()
        filler = home.root / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(os.urandom(1 << 16))
                file.flush()
        with (
            pytest.raises(DlbugError, match=r"(?s)No space left.*room|Free some disk space"),
            Warehouse(home, "a test") as warehouse,
        ):
            many = pl.DataFrame({"bug": range(200_000), "library": [os.urandom(8).hex() for _ in range(200_000)]})
            warehouse.replace(SPEC, many)
            warehouse.publish()
        reader = open_published(home)
        assert reader.execute("from analysis.bugs").fetchall() == [(1, "Keras")]
        reader.close()
        filler.unlink()
        with Warehouse(home, "a test") as warehouse:
            assert content(warehouse) == [(1, "Keras")]
    finally:
        unmount(home.root)


def test_a_read_only_folder_is_an_error_and_the_old_publication_is_kept(tmp_path):
    home = Home(tmp_path / "disk", "tiny")
    mount(home.root)
    try:
        with Warehouse(home, "a test") as warehouse:
            warehouse.replace(SPEC, bugs((1, "Keras")))
            warehouse.publish()
        mount(home.root, "remount,ro")
        with (
            pytest.raises(DlbugError, match="Read-only file system. Make the folder writable, or set DLBUG_HOME"),
            Warehouse(home, "a test") as warehouse,
        ):
            warehouse.replace(SPEC, bugs((2, "Torch")))
        reader = open_published(home)
        assert reader.execute("from analysis.bugs").fetchall() == [(1, "Keras")]
        reader.close()
    finally:
        unmount(home.root)
