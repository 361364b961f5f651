"""Submitted files: each row is accepted or rejected with a reason, whatever the file contains."""

import errno
import io
import json
import os
import zipfile

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets import inbox
from support import bombs
from support.filled_sheets import Loop, items_of
from support.workbooks import Formatted, workbook

LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}


@pytest.fixture(scope="session")
def new_loop(make_study, taxonomy, tmp_path_factory):
    study = make_study(checkpoints=(100,))
    items = items_of(5, study)
    return lambda file_format: Loop(study, taxonomy, items, tmp_path_factory.mktemp("loop"), file_format)


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    return Loop(study, taxonomy, items_of(5, study), tmp_path, "csv")


def test_an_empty_inbox_results_in_empty_tables_that_pass_all_checks(loop):
    loop.read()
    tables = (loop.labels, loop.rejected, loop.units, loop.disagreements, loop.decided)
    assert [table.height for table in tables] == [0] * len(tables)


def rejection(loop, name, content):
    """Submit a file; return the reason why it was rejected as a whole."""
    loop.drop(name, content)
    loop.read()
    assert loop.labels.height == 0
    ((file, line, row, reason, seen_at, entry),) = loop.rejected.rows()
    assert (file, line, entry, row) == (name, 0, 1, None)
    assert seen_at == loop.clock.now().replace(tzinfo=None)
    return reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.doc", b"hello", "files with the suffix .doc are not read; submit .xlsx, .ods, .csv, .tsv or .json"),
        ("nosuffix", b"hello", "files without a suffix are not read"),
        ("100-ann.xlsx", b"no zip", "not a valid workbook: "),
        ("100-ann.xlsx", b"", "not a valid workbook: "),
        (
            "100-ann.xlsx",
            bytes.fromhex("D0CF11E0A1B11AE1") + bytes(4096),
            "it is protected by a password, or of a format before .xlsx: remove the password and save it as .xlsx ",
        ),
        ("100-ann.csv", b"a,b\n1,2\n", "the header (item_id, rater, ..) is missing"),
        ("100-ann.csv", b"", "the header (item_id, rater, ..) is missing"),
        ("100-ann.csv", b"item_id,rater,batch\n1,2,3\n", "the column bug_index is missing"),
        ("100-ann.csv", b'item_id,"rater', "line 1 is not valid CSV: "),
        ("100-ann.json", b"{", "not a valid Label Studio export: "),
        ("100-ann.json", b"[" * 100_000, "not a valid Label Studio export: its brackets are nested too deeply"),
        (
            "100-ann.json",
            b'{"a": 1}',
            "not a valid Label Studio export: it is not a list of tasks; export the project as JSON",
        ),
    ],
)
def test_a_file_that_is_not_a_sheet_is_rejected_with_the_fix(loop, name, content, reason):
    assert rejection(loop, name, content).startswith(reason)


def test_a_zip_that_is_not_a_workbook_is_rejected(loop):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../../climbs.txt", "x")
    assert rejection(loop, "100-ann.xlsx", content.getvalue()).startswith("not a valid workbook: ")
    assert not (loop.folder.parent / "climbs.txt").exists()


HEAD = ("item_id", "rater", "batch", "bug_index", "is_bug")
ROW = ("SO-Keras-1", "ann", 100, 1, "true")


@pytest.mark.slow
def test_formatted_empty_cells_far_below_the_rows_are_ignored(loop):
    loop.drop("100-ann.xlsx", workbook({"labels": [HEAD, ROW, *[()] * 1_048_573, [Formatted()] * 10]}))
    loop.read()
    assert loop.labels.select("item_id", "is_bug", "line").rows() == [("SO-Keras-1", True, 2)]
    assert loop.rejected.rows() == []


@pytest.mark.parametrize("reference", ["", ' r="A1048576"'])
def test_a_cell_in_the_last_row_does_not_cost_the_rows_above(loop, reference):
    cell = f'<c{reference} t="inlineStr"><is><t>x</t></is></c>'
    loop.drop("100-ann.xlsx", bombs.with_rows(f'<row r="1048576">{cell}<c r="E1048576"><v>1</v></c></row>'))
    loop.read()
    assert loop.labels.select("item_id", "is_bug", "line").rows() == [("SO-Keras-1", True, 2)]
    ((line, reason),) = loop.rejected.select("line", "reason").rows()
    assert (line, reason.split(";")[0]) == (1_048_576, "item_id: unknown 'x'")


@pytest.mark.parametrize("column", ["place", "title"])
def test_a_long_cell_costs_its_own_row_at_most(loop, column):
    cells = {"place": "", "title": ""} | {column: "x" * 200_000}
    row = f"SO-Keras-2,ann,100,1,true,{cells['place']},{cells['title']}\n"
    loop.drop("100-ann.csv", bombs.CSV + row.encode() + b"SO-Keras-3,ann,100,1,true,,\n")
    loop.read()
    assert loop.labels["item_id"].to_list() == ["SO-Keras-1", "SO-Keras-3"]
    reason = {
        "place": "place: it has more than 32,767 characters; shorten it",
        # Another title than that of the item: the row was moved or edited.
        "title": f"title: {'x' * 10}",
    }[column]
    ((line, found),) = loop.rejected.select("line", "reason").rows()
    assert line == 3
    assert found.replace("'", "").startswith(reason)
    # Of a cell that is only shown, 1,000 characters are read.
    assert all(len(content) < 1300 for content in loop.rejected["content"])


def test_no_more_than_the_limit_of_a_large_file_is_archived(loop, monkeypatch):
    monkeypatch.setattr(inbox, "LARGEST_FILE", 100)
    loop.drop("100-ann.csv", bombs.CSV * 10)
    loop.clock.advance(hours=1)
    settled, _ = inbox.settled_files(loop.inbox, loop.clock)
    for new in ["100-ann.csv"], []:
        assert inbox.receive(settled, loop.folder / "received", loop.clock) == new
    (version,) = inbox.versions(loop.folder / "received")
    assert version.path.read_bytes() == (bombs.CSV * 10)[:101]


def test_half_a_surrogate_pair_becomes_the_replacement_character(loop):
    loop.file_format = "label-studio"
    path = loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True, "place": "?", "comment": "!"})
    content = path.read_bytes().replace(b'["?"]', rb'["\ud83d"]', 1).replace(b'["!"]', rb'["\ud83d\ude00"]')
    loop.drop(path.name, content.replace(b"SO-Keras-4", rb"\ude00"))
    loop.read()
    assert loop.labels.select("place", "comment").rows() == [("\ufffd", "\U0001f600")] + [("?", "\U0001f600")] * 3
    assert [reason.split(";")[0] for reason in loop.rejected["reason"]] == ["item_id: unknown '\ufffd'"]


def test_quoted_email_addresses_are_redacted(loop):
    answers = {"is_bug": True, "place": "mail of jane@example.org", "comment": "Reviewed-by: Joe <joe@example.org>"}
    loop.submit(loop.due()["100-ann"], lambda _: answers)
    loop.drop("100-bob.csv", b"item_id,rater,batch,bug_index,is_bug\nSO-Keras-1,bob@example.org,100,1,true\n")
    loop.read()
    assert set(loop.labels.select("place", "comment").rows()) == {("mail of <e-mail>", "Reviewed-by: <e-mail>")}
    [(content, reason)] = loop.rejected.select("content", "reason").rows()
    assert json.loads(content)["rater"] == "<e-mail>"
    assert "use one of ann, bob, eve" in reason
    assert "@" not in reason


def test_hidden_files_folders_and_links_are_ignored(loop, tmp_path):
    sheet = loop.due()["100-ann"]
    loop.submit(sheet, lambda _: {"is_bug": True}, name=".100-ann")
    loop.submit(sheet, lambda _: {"is_bug": True}, name="~$100-ann")
    (loop.inbox / "folder.csv").mkdir()
    (tmp_path / "elsewhere.csv").write_text("secret")
    (loop.inbox / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    loop.read()
    assert (loop.labels.height, loop.rejected.height, loop.new) == (0, 0, [])


def test_of_sheets_that_arrive_at_once_those_of_earlier_batches_are_received_first(loop):
    for name in ("100-ann.csv", "10-ann-dimensions.csv", "5-bob.csv", "10-ann.csv", "r2-5-ann.csv"):
        loop.drop(name, b"")
    settled, _ = inbox.settled_files(loop.inbox, loop.clock)
    assert [path.name for path in settled] == [
        "5-bob.csv", "10-ann-dimensions.csv", "10-ann.csv", "100-ann.csv", "r2-5-ann.csv",
    ]  # fmt: skip


def test_the_inbox_is_never_changed(loop):
    path = loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True})
    loop.drop("junk.bin", b"junk")
    before = {path: (path.read_bytes(), path.stat()) for path in loop.inbox.iterdir()}
    loop.read()
    assert {path: (path.read_bytes(), path.stat()) for path in loop.inbox.iterdir()} == before
    # A received file still counts after it was removed from the inbox.
    path.unlink()
    loop.read()
    assert loop.labels.height == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_written_by_spreadsheets(loop, encoding, separator):
    lines = [
        ["item_id", "rater", "batch", "bug_index", "is_bug", "place", "comment"],
        ["SO-Keras-1", "ann", "100", "1", "TRUE", '"one\nline;, more"', "ähnlich"],
        ["SO-Keras-2", "ann", "100.0", "1", "no", "", "'=1+1"],
    ]
    loop.drop("100-ann.csv", "\r\n".join(separator.join(line) for line in lines).encode(encoding))
    loop.read()
    assert loop.rejected.rows() == []
    assert loop.labels.select("item_id", "bug_index", "is_bug", "place", "comment", "line").rows() == [
        ("SO-Keras-1", 1, True, "one\nline;, more", "ähnlich", 2),
        ("SO-Keras-2", 0, False, None, "=1+1", 4),
    ]


@pytest.mark.parametrize("name", ["100-ann", "100-ann (2)", "100-ann.final", "my answers"])
def test_a_file_may_be_renamed(loop, name):
    loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True}, name=name)
    loop.read()
    assert (loop.labels.height, loop.rejected.height) == (5, 0)


def test_files_count_in_order_of_arrival_even_if_the_clock_goes_back(loop):
    sheet = loop.due()["100-ann"]
    for answer in (True, False, True):
        loop.submit(sheet, lambda _, answer=answer: {"is_bug": answer})
        loop.read()
        loop.clock.advance(hours=-1)
    assert set(loop.labels.filter(~pl.col("superseded"))["is_bug"]) == {True}
    assert loop.labels.filter("superseded").height == 10


def test_a_full_disk_is_reported_and_leaves_the_file_in_the_inbox(loop, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True})
    monkeypatch.setattr(inbox, "write_atomically", full)
    with pytest.raises(DlbugError, match=r"cannot receive .*/100-ann.csv: No space left on device. It stays in "):
        loop.read()
    assert [path.name for path in loop.inbox.iterdir()] == ["100-ann.csv"]


@pytest.mark.parametrize("name", ["inbox", "received"])
def test_a_file_in_place_of_a_folder_is_reported(loop, name):
    (loop.folder / name).write_bytes(b"in the way")
    with pytest.raises(DlbugError, match=f"cannot open the folder {loop.folder}/{name}: Not a directory. Make it a "):
        loop.read()


def test_an_unreadable_received_file_is_reported(loop):
    loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True})
    loop.read()
    (version,) = inbox.versions(loop.folder / "received")
    version.path.unlink()
    version.path.mkdir()
    with pytest.raises(DlbugError, match=f"cannot read {version.path}: Is a directory. Make it and its "):
        loop.read()


def test_submitting_copies_a_file_that_is_settled_at_once(loop, tmp_path):
    path = tmp_path / "elsewhere" / "100-ann.csv"
    path.parent.mkdir()
    path.write_text("item_id")
    inbox.submit([path], loop.folder, loop.clock)
    settled, growing = inbox.settled_files(loop.inbox, loop.clock)
    assert (settled, growing) == ([loop.inbox / "100-ann.csv"], [])
    with pytest.raises(DlbugError, match=r"cannot copy .*nowhere.csv into the inbox: No such file"):
        inbox.submit([tmp_path / "nowhere.csv"], loop.folder, loop.clock)


def test_submitting_keeps_other_files_of_the_same_name(loop, tmp_path):
    """Two raters may use the same name, and one of their files may not have been received yet."""
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sheet.csv").write_text(name)
    anns, bobs = tmp_path / "ann" / "sheet.csv", tmp_path / "bob" / "sheet.csv"
    with pytest.raises(DlbugError, match=r"ann/sheet.csv and .*bob/sheet.csv have the same name"):
        inbox.submit([anns, bobs], loop.folder, loop.clock)
    inbox.submit([anns], loop.folder, loop.clock)
    inbox.submit([bobs], loop.folder, loop.clock)
    assert (loop.inbox / "sheet.csv").read_text() == "bob"
    assert [version.path.read_text() for version in inbox.versions(loop.folder / "received")] == ["ann"]


#: Half a surrogate pair as written in JSON; in other formats these are six characters.
LONE = r"\ud83d"
CELLS = st.one_of(
    st.sampled_from([
        "", "SO-Keras-0", "SO-Keras-1", "ann", "bob", "eve", "100", "1", "0", "true", "false", "units", "dimensions",
        "Crash", "Structural Logic Bug", "Data Bug", "=1+1", "'", "1e9", "-1", "99999999999", "\x00", LONE, " ann ",
    ]),
    st.text(max_size=8),
)  # fmt: skip
MUTATIONS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15), CELLS), max_size=8)


#: DLBUG_MUTATIONS=250 tests two thousand files.
@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("DLBUG_MUTATIONS", "6")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutations=MUTATIONS, noise=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3))
@pytest.mark.parametrize("file_format", ["xlsx", "csv", "label-studio", "json"])
@pytest.mark.parametrize("which", ["units", "dimensions"])
def test_mutated_files_lose_no_row(new_loop, file_format, which, mutations, noise):
    loop = new_loop("label-studio" if file_format == "json" else file_format)
    sheet = loop.due()["100-ann"]
    changes = [{} for _ in sheet.rows]
    names = list(sheet.rows[0])
    for row, column, cell in mutations:
        value = cell.replace("\x00", "?") if file_format == "xlsx" else cell
        changes[row][names[column % len(names)]] = value
    answers = {"is_bug": True, "pass": which} | (LOGIC if which == "dimensions" else {})
    filled = iter(changes)
    path = loop.submit(sheet, lambda _: answers | next(filled))
    if path.suffix == ".json":
        loop.drop(path.name, path.read_bytes().replace(rb"\\ud83d", rb"\ud83d"))
    if file_format == "json" or (file_format == "csv" and noise):
        content = bytearray(path.read_bytes())
        for place, piece in noise:
            content[place : place + len(piece)] = piece
        loop.drop(path.name, bytes(content))
        loop.read()
        return  # rows that are not readable any more cannot be counted
    loop.read()
    # A check of labeling.receipts counts what became of each row.
    kept = loop.receipts["rows"].sum()
    taken, refused = loop.receipts.select(pl.col("taken") + pl.col("changed"), "refused").sum().row(0)
    assert (taken, refused) == (loop.labels.height, loop.rejected.height)
    if file_format == "label-studio" and which == "units":
        # One answer per task, whatever its rows contain.
        assert kept >= 1
    elif file_format == "xlsx":
        assert kept >= len(sheet.rows)  # and the spare rows, which are blank
    elif file_format != "label-studio":
        assert kept == len(sheet.rows)
    assert loop.rejected["reason"].null_count() == 0


@pytest.mark.slow
def test_thousands_of_rows_are_all_read(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    items = items_of(2500, study)
    loop = Loop(study, taxonomy, items, tmp_path, "csv")
    sheet = loop.due()["100-ann"]
    for number in range(4):
        answer = {"is_bug": True, "place": f"line {number}"}
        loop.submit(sheet, lambda _, answer=answer: answer, name=f"100-ann ({number})")
    loop.read()
    assert loop.labels.height == 10_000
    assert loop.labels.filter(~pl.col("superseded")).height == 2500


def test_each_rejected_bug_of_a_task_has_its_own_entry(loop):
    loop.file_format = "label-studio"
    loop.submit(loop.due()["100-ann"], lambda row: [{"rater": "zoe", "is_bug": True, "place": "a"}] * 2)
    loop.read()
    assert loop.rejected.select("line", "entry").rows()[:4] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_special_cases_of_label_studio_exports(loop):
    sheet = loop.due()["100-ann"]
    loop.file_format = "label-studio"
    path = loop.submit(sheet, lambda _: {"is_bug": True})
    tasks = json.loads(path.read_bytes())
    first, second, third, fourth, fifth = tasks
    first["annotations"][0]["was_cancelled"] = True  # skipped
    second["annotations"].append(json.loads(json.dumps(second["annotations"][0])))  # labelled twice
    second["annotations"][1]["result"][0]["value"] = {"choices": ["false"]}
    third["annotations"][0]["result"][0]["value"] = {"choices": ["true", "false"]}  # two values of a single choice
    fourth["annotations"][0]["result"][0]["from_name"] = "unheard_of"
    del fifth["data"]
    os.unlink(path)  # noqa: PTH108
    loop.drop(path.name, json.dumps(tasks).encode())
    loop.read()
    answers = loop.labels.select("item_id", "is_bug", "superseded").rows()
    assert answers == [("SO-Keras-1", False, False)]
    assert loop.labels["labelled_at"].null_count() == 0
    assert [(line, reason.split(":")[0]) for line, reason in loop.rejected.select("line", "reason").rows()] == [
        (3, "is_bug"), (4, "annotation"), (5, "task"),
    ]  # fmt: skip
