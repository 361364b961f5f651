"""Files that are made to exhaust their reader: one rejected file each, in little memory, beside which others count."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dlbug_assets.labeling.sheets.inbox import receive
from support import bombs
from support.bombs import CSV, FAR_CELLS, MIB
from support.bounded_reading import command, read_received
from support.clocks import ManualClock
from support.filled_sheets import WHEN

PAGE = os.sysconf("SC_PAGE_SIZE")
GOOD = b"item_id,rater,batch,bug_index,is_bug\nSO-Keras-4,bob,100,1,true\n"
GOODS_LABEL = ["SO-Keras-4", "bob", 2]
THE_VALID_ROW = ["SO-Keras-1", "ann", 2]

FILLED_ROWS = "it has more than 250,000 filled rows; submit an exported sheet"
NO_HEADER = "the header (item_id, rater, ..) is missing; start again from the exported sheet"
MEMORY = "it needs more than 1024 MiB of memory; "
FAR = (
    MEMORY
    + "usually a cell far below or beside the table is filled: delete the rows and columns there, and save it again"
)
TASK = (
    b'{"data":{"item_id":"%b","rater":"ann","batch":100,"bug_index":1,"pass":"units"},"annotations":[{"result":['
    b'{"from_name":"is_bug","value":{"choices":["true"]}},{"from_name":"place","value":{"text":["%b"]}}]}]}'
)


@pytest.fixture
def study(make_study):
    return make_study(checkpoints=(100,))


def archive(folder, name, content):
    """Receive a file and a good one."""
    (folder / "inbox").mkdir()
    for each, bytes_ in ((name, content), ("good.csv", GOOD)):
        (folder / "inbox" / each).write_bytes(bytes_)
    receive([folder / "inbox" / name, folder / "inbox" / "good.csv"], folder / "received", ManualClock(WHEN))


def read(folder, study):
    """Return the labels and rejected rows of what was received, and the peak of memory."""
    result = read_received(folder, study)
    assert result["peak"] < 400, result["peak"]
    assert result["labels"][-1] == GOODS_LABEL
    return result["labels"][:-1], result["rejected"]


def reason_of(folder, study, suffix, content):
    """Return the reason for which a file is rejected as a whole."""
    name = f"100-ann.{suffix}"
    archive(folder, name, content)
    labels, ((file, line, reason),) = read(folder, study)
    assert (labels, file, line) == ([], name, 0)
    return reason


@pytest.mark.parametrize("spelling", FAR_CELLS)
def test_a_far_cell_is_rejected_in_every_spelling(tmp_path, study, spelling):
    content = bombs.with_rows(FAR_CELLS[spelling])
    assert len(content) < 4000
    reason = reason_of(tmp_path, study, "xlsx", content)
    if spelling == "entity":
        assert reason.startswith("not a valid workbook: ")
    else:
        assert reason == FAR


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: bombs.with_strings(bombs.shared_strings(stated=2**32 - 1)), FAR),
        (lambda: bombs.with_strings(bombs.shared_strings(520 * MIB)), FAR),
        (bombs.with_entities, "not a valid workbook: "),
        (lambda: bombs.zipped({"xl/workbook.xml": bombs.with_rows("")}), "not a valid workbook: "),
    ],
    ids=["stated strings", "strings", "entities", "nested"],
)
@pytest.mark.slow
def test_a_workbook_that_unpacks_to_too_much_is_rejected(tmp_path, study, make, reason):
    assert reason_of(tmp_path, study, "xlsx", make()).startswith(reason)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bombs.with_wrong_sizes(50 * MIB),
        lambda: bombs.with_overlapping_parts(100_000),
        lambda: bombs.with_page("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>'),
        lambda: bombs.with_page("</sheetData>", " " * (100 * MIB) + "</sheetData>"),
    ],
    ids=["wrong sizes", "overlapping parts", "stated extent", "blanks"],
)
@pytest.mark.slow
def test_a_strange_workbook_keeps_its_valid_row(tmp_path, study, make):
    archive(tmp_path, "100-ann.xlsx", make())
    assert read(tmp_path, study) == ([THE_VALID_ROW], [])


@pytest.mark.parametrize(
    ("suffix", "make", "reason"),
    [
        ("json", lambda: b"[" * MIB, "not a valid Label Studio export: its brackets are nested too deeply; "),
        ("json", lambda: b'[{"data":' * MIB, "not a valid Label Studio export: its brackets are nested too deeply; "),
        ("json", lambda: b'["' + b"a" * (50 * MIB), "not a valid Label Studio export: Unterminated string "),
        ("json", lambda: b"[" + b"{}," * 2_000_000 + b"{}]", FILLED_ROWS),
        ("json", lambda: b"[" + b"{}," * 60_000_000 + b"{}]", MEMORY),
        ("csv", lambda: CSV + b'SO-Keras-2,ann,100,1,true,"' + b"a" * (190 * MIB) + b'",\n', MEMORY),
        ("csv", lambda: CSV + b"," * (190 * MIB), MEMORY),
        ("csv", lambda: CSV + b"\n" * (190 * MIB), "it has more than 1,048,576 rows; submit an exported sheet"),
        ("csv", lambda: CSV + b"a,b,5,1,true\n" * (8 * MIB), FILLED_ROWS),
        ("csv", lambda: CSV + (b"a,b,5,1,true," + b"x" * 30_000 + b"\n") * 3000, "its content is larger than 64 MiB; "),
        ("csv", lambda: bytes(20 * MIB), NO_HEADER),
    ],
    ids=[
        "deep", "deep objects", "endless", "2 million tasks", "60 million tasks", "field", "line", "line ends", "rows",
        "cells", "NUL bytes",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_an_endless_text_is_rejected(tmp_path, study, suffix, make, reason):
    assert reason_of(tmp_path, study, suffix, make()).startswith(reason)


@pytest.mark.slow
def test_a_task_with_an_endless_answer_is_rejected_alone(tmp_path, study):
    archive(
        tmp_path,
        "100-ann.json",
        b"[%b,%b]" % (TASK % (b"SO-Keras-0", b"a" * (190 * MIB)), TASK % (b"SO-Keras-1", b"line 1")),
    )
    labels, rejected = read(tmp_path, study)
    assert labels == [["SO-Keras-1", "ann", 2]]
    assert rejected == [["100-ann.json", 1, "place: it has more than 32,767 characters; shorten it"]]


@pytest.mark.slow
def test_as_many_rejected_rows_as_are_read_fit_into_memory(tmp_path, study):
    archive(tmp_path, "100-ann.json", b"[" + b"{}," * 249_999 + b"{}]")
    labels, rejected = read(tmp_path, study)
    assert labels == []
    assert len(rejected) == 250_000


def test_stopping_while_a_file_is_read_leaves_no_process(tmp_path, study):
    archive(tmp_path, "100-ann.json", b"[" + b"1.5," * (20 * MIB) + b"1]")
    reading = subprocess.Popen(command(tmp_path, study), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    child = wait_for(lambda: Path(f"/proc/{reading.pid}/task/{reading.pid}/children").read_text().split())[0]
    wait_for(lambda: int(Path(f"/proc/{child}/statm").read_text().split()[1]) * PAGE > 100 * MIB)
    reading.send_signal(signal.SIGINT)
    reading.wait(timeout=10)  # long before the limit of the child
    assert not Path(f"/proc/{child}").exists()


def wait_for(condition):
    """Return what a condition returns once it holds."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
