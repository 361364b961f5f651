"""Files and folders are replaced as a whole or not at all."""

import os
import stat

import pytest

from dlbug_assets.atomic_files import open_atomically, write_atomically, write_folder
from dlbug_assets.errors import DlbugError
from support.small_disks import mount, unmount


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    with path.open("rb") as reader:
        write_atomically(path, b"two")
        assert reader.read() == b"one"  # an open file keeps its content
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_subject_to_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "public", b"")
        write_atomically(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("public", "private")] == [0o644, 0o600]


def test_a_failed_write_leaves_no_file_behind(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write_atomically(path, b"one")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reason", [OSError, KeyboardInterrupt])
def test_a_write_in_pieces_that_does_not_end_leaves_the_file_unchanged(tmp_path, reason):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(reason), open_atomically(path) as file:
        file.write(b"new")
        raise reason
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "sample" / "report"
    write_folder(folder, {"index.html": b"old", "figures/a.svg": b"a"})
    with (folder / "index.html").open("rb") as reader:
        write_folder(folder, {"index.html": b"new", "tables/b.csv": b"b"})
        assert reader.read() == b"old"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"index.html": b"new", "tables/b.csv": b"b"}
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_a_folder_is_restored_after_a_crash_between_the_two_renames(tmp_path):
    write_folder(tmp_path / "report", {"index.html": b"old"})
    (tmp_path / "report").rename(tmp_path / "report.older")
    with pytest.raises(DlbugError):
        write_folder(tmp_path / "report", {"index.html": b"new", "index.html/in a file": b""})
    assert (tmp_path / "report" / "index.html").read_bytes() == b"old"


def test_a_full_disk_is_an_error_and_the_old_folder_is_kept(tmp_path):
    disk = tmp_path / "disk"
    mount(disk, "size=1m")
    try:
        write_folder(disk / "report", {"index.html": b"old", "figures/a.svg": b"a"})
        with pytest.raises(
            DlbugError, match=r"^cannot write .*report: No space left on device\. The previous content is unchanged"
        ):
            write_folder(disk / "report", {"index.html": b"new", "figures/b.png": bytes(2_000_000)})
        assert (disk / "report" / "index.html").read_bytes() == b"old"
        assert (disk / "report" / "figures" / "a.svg").read_bytes() == b"a"
        assert [path.name for path in disk.iterdir()] == ["report"]
    finally:
        unmount(disk)


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DlbugError, match=f"^cannot write {tmp_path}/home/report: "):
        write_folder(tmp_path / "home" / "report", {"index.html": b"page"})
