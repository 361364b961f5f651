"""Files of the inbox: whatever they hold, each row is taken or set aside with a reason, and nothing crashes."""

import errno
import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets import inbox, submissions
from dlbug_assets.labeling.sheets.validation import ROWS
from support.filled_sheets import Loop, items_of
from support.workbooks import Formatted, zipped
from support.workbooks import workbook as written_by_hand

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


def test_an_inbox_that_is_empty_gives_tables_without_rows_that_pass_every_check(loop):
    loop.read()
    made = (loop.labels, loop.rejected, loop.units, loop.disagreements, loop.decided)
    assert [table.height for table in made] == [0] * len(made)


def complaint(loop, name, content):
    """Why a file as a whole could not be read."""
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
        ("notes.txt", b"hello", "files that end in .txt are not read; hand in .xlsx, .csv or .json"),
        ("noending", b"hello", "files that end in nothing are not read"),
        ("100-ann.xlsx", b"no zip", "no workbook: "),
        ("100-ann.csv", b"a,b\n1,2\n", "no row names the columns (item_id, rater, ..)"),
        ("100-ann.csv", b"", "no row names the columns"),
        ("100-ann.csv", b"item_id,rater,batch\n1,2,3\n", "the column bug_index is missing"),
        ("100-ann.csv", b'item_id,"rater', "no CSV: "),
        ("100-ann.json", b"{", "no export of Label Studio: "),
        ("100-ann.json", b"[" * 100_000, "no export of Label Studio: its brackets are nested too deeply"),
        ("100-ann.json", b'{"a": 1}', "no export of Label Studio: it is no list of tasks; export the project as JSON"),
    ],
)
def test_a_file_that_is_no_sheet_is_named_with_the_cure(loop, name, content, reason):
    assert complaint(loop, name, content).startswith(reason)


def test_a_workbook_without_a_sheet_of_labels_is_no_sheet(loop):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("../../climbs.txt", "x")
    assert complaint(loop, "100-ann.xlsx", content.getvalue()).startswith("no workbook: ")
    assert not (loop.folder.parent / "climbs.txt").exists()


HEAD = ("item_id", "rater", "batch", "bug_index", "is_bug")
ROW = ("SO-Keras-1", "ann", 100, 1, "true")
PAGE = "xl/worksheets/sheet1.xml"


def padded(size):
    """A workbook whose sheet has that many blanks between its rows and its end; and the sheet's XML."""
    with zipfile.ZipFile(io.BytesIO(written_by_hand({"labels": [HEAD, ROW]}))) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    parts[PAGE] = parts[PAGE].replace(b"</sheetData>", b" " * size + b"</sheetData>")
    return zipped(parts), parts[PAGE]


@pytest.mark.slow
def test_a_workbook_that_unpacks_to_more_than_any_sheet_is_not_read(loop):
    content, _ = padded(100 << 20)
    assert len(content) < 1 << 20
    assert complaint(loop, "100-ann.xlsx", content) == "it unpacks to more than 100 MiB; is it a sheet at all?"


@pytest.mark.slow
def test_a_workbook_that_holds_more_than_it_says_is_read_no_further_than_that(loop):
    content, page = padded(50 << 20)
    for true, said in ((len(page), 1000), (zlib.crc32(page), zlib.crc32(page[:1000]))):
        content = content.replace(struct.pack("<L", true), struct.pack("<L", said))
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        assert made.getinfo(PAGE).file_size == 1000
    tracemalloc.start()
    assert complaint(loop, "100-ann.xlsx", content).startswith("no workbook: ")
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


def test_a_cell_far_from_all_others_is_named_since_memory_is_taken_for_what_lies_between(loop):
    content = written_by_hand({"labels": [HEAD, ROW, *[()] * 1_048_573, ("x",)]})
    reason = "its cell A1048576 is far from all others; delete what stands there and save it again"
    assert complaint(loop, "100-ann.xlsx", content) == reason


@pytest.mark.slow
def test_formats_far_below_the_rows_do_no_harm(loop):
    loop.drop("100-ann.xlsx", written_by_hand({"labels": [HEAD, ROW, *[()] * 1_048_573, [Formatted()] * 10]}))
    loop.read()
    assert loop.labels.select("item_id", "is_bug", "line").rows() == [("SO-Keras-1", True, 2)]
    assert loop.rejected.rows() == []


def test_half_a_surrogate_pair_in_an_export_stands_as_the_replacement_character(loop):
    loop.file_format = "label-studio"
    path = loop.hand_in(loop.due()["100-ann"], lambda _: {"is_bug": True, "place": "?", "comment": "!"})
    content = path.read_bytes().replace(b'["?"]', rb'["\ud83d"]', 1).replace(b'["!"]', rb'["\ud83d\ude00"]')
    loop.drop(path.name, content.replace(b"SO-Keras-4", rb"\ude00"))
    loop.read()
    assert loop.labels.select("place", "comment").rows() == [("\ufffd", "\U0001f600")] + [("?", "\U0001f600")] * 3
    assert [reason.split(";")[0] for reason in loop.rejected["reason"]] == ["item_id: unknown '\ufffd'"]


def test_addresses_that_raters_quote_reach_no_table(loop):
    answers = {"is_bug": True, "place": "mail of jane@example.org", "comment": "Reviewed-by: Joe <joe@example.org>"}
    loop.hand_in(loop.due()["100-ann"], lambda _: answers)
    loop.drop("100-bob.csv", b"item_id,rater,batch,bug_index,is_bug\nSO-Keras-1,bob@example.org,100,1,true\n")
    loop.read()
    assert set(loop.labels.select("place", "comment").rows()) == {("mail of <e-mail>", "Reviewed-by: <e-mail>")}
    [(content, reason)] = loop.rejected.select("content", "reason").rows()
    assert json.loads(content)["rater"] == "<e-mail>"
    assert "use one of ann, bob, eve" in reason
    assert "@" not in reason


def test_what_is_no_file_of_a_rater_is_left_alone(loop, tmp_path):
    sheet = loop.due()["100-ann"]
    loop.hand_in(sheet, lambda _: {"is_bug": True}, name=".100-ann")
    loop.hand_in(sheet, lambda _: {"is_bug": True}, name="~$100-ann")
    (loop.inbox / "folder.csv").mkdir()
    (tmp_path / "elsewhere.csv").write_text("secret")
    (loop.inbox / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    loop.read()
    assert (loop.labels.height, loop.rejected.height, loop.new) == (0, 0, [])


def test_the_inbox_is_never_changed(loop):
    path = loop.hand_in(loop.due()["100-ann"], lambda _: {"is_bug": True})
    loop.drop("junk.bin", b"junk")
    before = {path: (path.read_bytes(), path.stat()) for path in loop.inbox.iterdir()}
    loop.read()
    assert {path: (path.read_bytes(), path.stat()) for path in loop.inbox.iterdir()} == before
    # Taken out of the inbox, what was received still counts.
    path.unlink()
    loop.read()
    assert loop.labels.height == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(loop, encoding, separator):
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
    loop.hand_in(loop.due()["100-ann"], lambda _: {"is_bug": True}, name=name)
    loop.read()
    assert (loop.labels.height, loop.rejected.height) == (5, 0)


def test_files_count_in_the_order_of_their_arrival_whatever_the_clock_says(loop):
    sheet = loop.due()["100-ann"]
    for answer in (True, False, True):
        loop.hand_in(sheet, lambda _, answer=answer: {"is_bug": answer})
        loop.read()
        loop.clock.advance(hours=-1)
    assert set(loop.labels.filter(~pl.col("superseded"))["is_bug"]) == {True}
    assert loop.labels.filter("superseded").height == 10


def test_a_full_disk_is_reported_and_leaves_the_file_in_the_inbox(loop, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    loop.hand_in(loop.due()["100-ann"], lambda _: {"is_bug": True})
    monkeypatch.setattr(submissions, "write_whole", full)
    with pytest.raises(DlbugError, match=r"cannot receive .*/100-ann.csv: No space left on device. It stays in "):
        loop.read()
    assert [path.name for path in loop.inbox.iterdir()] == ["100-ann.csv"]


@pytest.mark.parametrize("name", ["inbox", "received"])
def test_a_file_where_a_folder_is_expected_is_named(loop, name):
    (loop.folder / name).write_bytes(b"in the way")
    with pytest.raises(DlbugError, match=f"cannot open the folder {loop.folder}/{name}: Not a directory. Make it a "):
        loop.read()


def test_what_was_received_and_cannot_be_read_is_named(loop):
    loop.hand_in(loop.due()["100-ann"], lambda _: {"is_bug": True})
    loop.read()
    (version,) = inbox.versions(loop.folder / "received")
    version.path.unlink()
    version.path.mkdir()
    with pytest.raises(DlbugError, match=f"cannot read {version.path}: Is a directory. Make it and its "):
        loop.read()


def test_handing_in_copies_a_file_whole_and_settled(loop, tmp_path):
    path = tmp_path / "elsewhere" / "100-ann.csv"
    path.parent.mkdir()
    path.write_text("item_id")
    inbox.hand_in([path], loop.folder, loop.clock)
    settled, growing = inbox.waiting(loop.inbox, loop.clock)
    assert (settled, growing) == ([loop.inbox / "100-ann.csv"], [])
    with pytest.raises(DlbugError, match=r"cannot hand in .*nowhere.csv: No such file"):
        inbox.hand_in([tmp_path / "nowhere.csv"], loop.folder, loop.clock)


def test_handing_in_loses_no_file_of_the_same_name(loop, tmp_path):
    """Two raters may call theirs alike, and one may lie in the inbox that no run has seen yet."""
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sheet.csv").write_text(name)
    anns, bobs = tmp_path / "ann" / "sheet.csv", tmp_path / "bob" / "sheet.csv"
    with pytest.raises(DlbugError, match=r"ann/sheet.csv and .*bob/sheet.csv have the same name"):
        inbox.hand_in([anns, bobs], loop.folder, loop.clock)
    inbox.hand_in([anns], loop.folder, loop.clock)
    inbox.hand_in([bobs], loop.folder, loop.clock)
    assert (loop.inbox / "sheet.csv").read_text() == "bob"
    assert [version.path.read_text() for version in inbox.versions(loop.folder / "received")] == ["ann"]


#: Half a surrogate pair as JSON writes it; other formats can hold no such thing, for them these are six letters.
LONE = r"\ud83d"
CELLS = st.one_of(
    st.sampled_from([
        "", "SO-Keras-0", "SO-Keras-1", "ann", "bob", "eve", "100", "1", "0", "true", "false", "units", "dimensions",
        "Crash", "Structural Logic Bug", "Data Bug", "=1+1", "'", "1e9", "-1", "99999999999", "\x00", LONE, " ann ",
    ]),
    st.text(max_size=8),
)  # fmt: skip
MUTATIONS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15), CELLS), max_size=8)


#: DLBUG_MUTATIONS=250 makes it two thousand files.
@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("DLBUG_MUTATIONS", "6")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutations=MUTATIONS, noise=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3))
@pytest.mark.parametrize("file_format", ["xlsx", "csv", "label-studio", "json"])
@pytest.mark.parametrize("which", ["units", "dimensions"])
def test_mutated_files_lose_no_row_and_crash_nothing(new_loop, file_format, which, mutations, noise):
    loop = new_loop("label-studio" if file_format == "json" else file_format)
    sheet = loop.due()["100-ann"]
    changes = [{} for _ in sheet.rows]
    names = list(sheet.rows[0])
    for row, column, cell in mutations:
        value = cell.replace("\x00", "?") if file_format == "xlsx" else cell
        changes[row][names[column % len(names)]] = value
    answers = {"is_bug": True, "pass": which} | (LOGIC if which == "dimensions" else {})
    filled = iter(changes)
    path = loop.hand_in(sheet, lambda _: answers | next(filled))
    if path.suffix == ".json":
        loop.drop(path.name, path.read_bytes().replace(rb"\\ud83d", rb"\ud83d"))
    if file_format == "json" or (file_format == "csv" and noise):
        content = bytearray(path.read_bytes())
        for place, piece in noise:
            content[place : place + len(piece)] = piece
        loop.drop(path.name, bytes(content))
        loop.read()
        return  # what is no row any more cannot be counted; nothing crashed
    loop.read()
    kept = loop.labels.height + loop.rejected.height + loop.counts["blank"] + loop.counts["undecided"]
    kept += loop.counts["unchanged"]
    if file_format == "label-studio" and which == "units":
        # One answer per task, whatever its rows say.
        assert kept >= 1
    elif file_format == "xlsx":
        assert kept >= len(sheet.rows)  # and the spare rows, which are blank
    elif file_format != "label-studio":
        assert kept == len(sheet.rows)
    assert loop.rejected["reason"].null_count() == 0


@pytest.mark.slow
def test_rows_by_the_thousand_are_all_there(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    items = items_of(2500, study)
    loop = Loop(study, taxonomy, items, tmp_path, "csv")
    sheet = loop.due()["100-ann"]
    for number in range(4):
        answer = {"is_bug": True, "place": f"line {number}"}
        loop.hand_in(sheet, lambda _, answer=answer: answer, name=f"100-ann ({number})")
    loop.read()
    assert loop.labels.height == 10_000
    assert loop.labels.filter(~pl.col("superseded")).height == 2500


def test_each_bug_of_a_task_that_cannot_be_taken_is_told_by_itself(loop):
    loop.file_format = "label-studio"
    loop.hand_in(loop.due()["100-ann"], lambda row: [{"rater": "zoe", "is_bug": True, "place": "a"}] * 2)
    loop.read()
    assert loop.rejected.select("line", "entry").rows()[:4] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_exports_of_label_studio_hold_their_traps(loop):
    sheet = loop.due()["100-ann"]
    loop.file_format = "label-studio"
    path = loop.hand_in(sheet, lambda _: {"is_bug": True})
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
    said = loop.labels.select("item_id", "is_bug", "superseded").rows()
    assert said == [("SO-Keras-1", False, False)]
    assert loop.labels["labelled_at"].null_count() == 0
    assert [(line, reason.split(":")[0]) for line, reason in loop.rejected.select("line", "reason").rows()] == [
        (3, "is_bug"), (4, "annotation"), (5, "task"),
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", None]), st.sampled_from([True, False, None]), st.sampled_from([0, 1, 2, None]),
            st.sampled_from(["x", "y", None]),
        ),
        max_size=14,
    )
)  # fmt: skip
def test_what_repeats_the_last_answer_is_left_out_and_an_answer_that_turns_takes_back_the_others(said):
    rows = pl.DataFrame(
        [
            {"item_id": item, "rater": "ann", "batch": 5, "pass": "units", "is_bug": is_bug, "bug_index": index,
             "place": place, "line": line}
            for line, (item, is_bug, index, place) in enumerate(said)
        ],
        schema=ROWS,
    )  # fmt: skip
    # as one would do it by hand, row by row
    stands: dict = {}
    kept = []
    for line, (item, is_bug, index, place) in enumerate(said):
        of_item = stands.setdefault(item, {})
        if of_item.get(index) == (is_bug, place):
            continue
        stands[item] = {other: answer for other, answer in of_item.items() if answer[0] == is_bug}
        stands[item][index] = (is_bug, place)
        kept.append(line)
    assert submissions.without_repeated(rows)["line"].to_list() == kept
