import pytest

from dlbug_assets.atomic_files import write_folder
from dlbug_assets.errors import DlbugError
from support.small_disks import mount, unmount


def test_a_folder_takes_the_place_of_the_older_one_as_a_whole(tmp_path):
    folder = tmp_path / "sample" / "report"
    write_folder(folder, {"index.html": b"old", "figures/a.svg": b"a"})
    with (folder / "index.html").open("rb") as reader:
        write_folder(folder, {"index.html": b"new", "tables/b.csv": b"b"})
        assert reader.read() == b"old"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"index.html": b"new", "tables/b.csv": b"b"}
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_where_a_run_ended_between_the_two_renames_the_older_one_is_found_again(tmp_path):
    write_folder(tmp_path / "report", {"index.html": b"old"})
    (tmp_path / "report").rename(tmp_path / "report.older")
    with pytest.raises(DlbugError):
        write_folder(tmp_path / "report", {"index.html": b"new", "index.html/in a file": b""})
    assert (tmp_path / "report" / "index.html").read_bytes() == b"old"


def test_on_a_full_disk_the_older_one_stays_and_the_message_says_what_to_do(tmp_path):
    disk = tmp_path / "disk"
    mount(disk, "size=1m")
    try:
        write_folder(disk / "report", {"index.html": b"old", "figures/a.svg": b"a"})
        with pytest.raises(DlbugError, match=r"^cannot write .*report: No space left on device\. What was there"):
            write_folder(disk / "report", {"index.html": b"new", "figures/b.png": bytes(2_000_000)})
        assert (disk / "report" / "index.html").read_bytes() == b"old"
        assert (disk / "report" / "figures" / "a.svg").read_bytes() == b"a"
        assert [path.name for path in disk.iterdir()] == ["report"]
    finally:
        unmount(disk)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DlbugError, match=f"^cannot write {tmp_path}/home/report: "):
        write_folder(tmp_path / "home" / "report", {"index.html": b"page"})
