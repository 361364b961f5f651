"""Files that are there as a whole or not at all."""

import os
import stat

import pytest

from dlbug_assets.atomic_files import write_atomically


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    with path.open("rb") as reader:
        write_atomically(path, b"two")
        assert reader.read() == b"one"  # who has it open keeps what was there
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_its_mode_is_as_asked_for_within_what_the_process_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "public", b"")
        write_atomically(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("public", "private")] == [0o644, 0o600]


def test_where_it_cannot_be_written_what_was_there_stays(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write_atomically(path, b"one")
    assert list(tmp_path.iterdir()) == [path]
