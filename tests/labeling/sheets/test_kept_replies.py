"""What was read of a version is kept, and used only as long as it would be read in the same way."""

import os

import pytest

from dlbug_assets.labeling.sheets.inbox import receive, versions
from dlbug_assets.labeling.sheets.kept_replies import KeptReplies
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.clocks import ManualClock
from support.filled_sheets import WHEN, Loop, items_of

REPLY = b'[[2, {"item_id": "a"}]]\n{"reason": null, "notes": []}\n'


@pytest.fixture
def version(tmp_path):
    """Return a received version, whose reply is kept by a reader of one column."""
    path = tmp_path / "5-ann.csv"
    path.write_text("item_id\na\n")
    receive([path], tmp_path / "received", ManualClock(WHEN))
    (received,) = versions(tmp_path / "received")
    kept(tmp_path).keep(received, REPLY)
    return received


def kept(folder, columns=("item_id",)):
    return KeptReplies(folder / "read", columns=list(columns))


def test_a_reply_is_found_again(version, tmp_path):
    assert kept(tmp_path).find(version) == REPLY


def test_a_version_is_read_again_for_other_columns(version, tmp_path):
    assert kept(tmp_path, ("item_id", "place")).find(version) is None


def test_a_version_is_read_again_if_its_file_was_replaced(version, tmp_path):
    stat = version.path.stat()
    os.utime(version.path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert kept(tmp_path).find(version) is None


@pytest.mark.parametrize("damage", [lambda reply: reply[:-1], lambda reply: reply.replace(b'"a"', b'"b"'),
                                    lambda _: b"", lambda reply: b"\n" + reply])  # fmt: skip
def test_a_damaged_reply_is_not_used(version, tmp_path, damage):
    path = tmp_path / "read" / version.folder.name
    path.write_bytes(damage(path.read_bytes()))
    assert kept(tmp_path).find(version) is None


def test_nothing_is_kept_where_nothing_can_be_written(version, tmp_path):
    (tmp_path / "file").write_text("in the way")
    replies = KeptReplies(tmp_path / "file" / "read", columns=[])
    replies.keep(version, REPLY)
    assert replies.find(version) is None


def test_labels_are_the_same_whether_they_are_read_or_kept(study, tmp_path):
    loop = Loop(study, load_taxonomy(study), items_of(8, study), tmp_path, "xlsx")
    for name, sheet in loop.due().items():
        loop.submit(sheet, lambda row: {"is_bug": row["item_id"] != "SO-Keras-1", "place": "größer als | 3"}, name)
    loop.drop("notes.csv", b"hello")
    loop.read()
    read = loop.labels, loop.rejected, loop.receipts
    assert [frame.height for frame in read] == [16, 1, 3]
    kept_files = {path: path.stat().st_ino for path in (tmp_path / "read").iterdir()}
    assert len(kept_files) == 3
    loop.read()
    assert all(
        frame.equals(before) for frame, before in zip((loop.labels, loop.rejected, loop.receipts), read, strict=True)
    )
    assert {path: path.stat().st_ino for path in (tmp_path / "read").iterdir()} == kept_files
