"""The authors' release as a source: finding it, reading it with all its dirt, and its tables."""

import contextlib
import hashlib
import http.server
import importlib
import os
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.taxonomy import Category, Taxonomy, load_taxonomy
from support import workbooks
from support.release import raw_cells, release_path
from support.workbooks import COMMIT, LABELS, POST_HEADER, SHA, ErrorValue, Formatted, Number, label_sheet, workbook

TAXONOMY = load_taxonomy()
KERAS_SO = "SO/Keras_SO_Final.xlsx"
TORCH_GITHUB = "Github/Torch_Github_Final.xlsx"
WRITTEN = ["bug_type_as_written", "root_cause_as_written", "effect_as_written"]


def read(folder: Path, member: str, content: bytes | None) -> pl.DataFrame:
    return releases.read(workbooks.release(folder, {member: content}), TAXONOMY)


def read_posts(folder: Path, *rows) -> pl.DataFrame:
    return read(folder, KERAS_SO, label_sheet(KERAS_SO, *rows))


def refusal(folder: Path, member: str, content: bytes | None) -> str:
    with pytest.raises(DlbugError) as caught:
        read(folder, member, content)
    return str(caught.value)


# --- finding the release ---------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_release(monkeypatch) -> bytes:
    """A few bytes that count as the release in this test: what is asked here is where it is taken from."""
    content = b"as if it were the release"
    module = importlib.import_module("dlbug_assets.releases.locate")
    monkeypatch.setattr(module, "SIZE", len(content))
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(content).hexdigest())
    return content


@contextlib.contextmanager
def serving(content: bytes, status: int = 200, announced: int | None = None):
    """The address of a loopback server with one answer, and the list of paths asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            # The client hangs up once it has seen that the file is too long.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dataset.zip", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_named_file_is_taken(tmp_path, tiny_release):
    named = tmp_path / "mine.zip"
    named.write_bytes(tiny_release)
    assert releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path / "artifact") == named
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize("name", ["nowhere.zip", "."])
def test_a_name_that_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(DlbugError) as caught:
        releases.locate({"DLBUG_ARTIFACT": str(tmp_path / name)}, tmp_path)
    assert f"DLBUG_ARTIFACT names {tmp_path / name}, which is not a file" in str(caught.value)
    assert "https://lab-design.github.io/papers/ESEC-FSE-19/dataset.zip" in str(caught.value)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content[:-1] + b"?"])
def test_a_cut_or_altered_file_is_refused_with_both_hashes(tmp_path, tiny_release, change):
    content = change(tiny_release)
    named = tmp_path / "mine.zip"
    named.write_bytes(content)
    with pytest.raises(DlbugError) as caught:
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)
    for said in (str(named), hashlib.sha256(tiny_release).hexdigest(), hashlib.sha256(content).hexdigest()):
        assert said in str(caught.value)
    assert f"{len(content)} bytes" in str(caught.value)
    assert f"{len(tiny_release)} bytes" in str(caught.value)


def test_a_huge_file_is_refused_unread(tmp_path):
    named = tmp_path / "mine.zip"
    with named.open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte: reading it would end the process
    with pytest.raises(DlbugError, match=f"{1 << 40} bytes"):
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    named = tmp_path / "mine.zip"
    named.touch(mode=0o000)
    with pytest.raises(DlbugError, match=str(named)):
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)


def test_it_is_downloaded_once(tmp_path, tiny_release):
    folder = tmp_path / "home" / "artifact"
    with serving(tiny_release) as (address, asked):
        first = releases.locate({}, folder, address)
        second = releases.locate({}, folder, address)
    assert first == second == folder / "islam2019-dataset.zip"
    assert first.read_bytes() == tiny_release
    assert asked == ["/dataset.zip"]
    assert list(folder.iterdir()) == [first]


def test_a_spoilt_earlier_download_is_refused_and_not_asked_for_again(tmp_path, tiny_release):
    spoilt = tmp_path / "islam2019-dataset.zip"
    spoilt.write_bytes(b"half")
    with serving(tiny_release) as (address, asked), pytest.raises(DlbugError, match=f"{spoilt} .*Delete it"):
        releases.locate({}, tmp_path, address)
    assert asked == []


def test_two_downloads_at_once_both_end_well(tmp_path, tiny_release):
    with serving(tiny_release) as (address, _), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: releases.locate({}, tmp_path, address), range(32)))
    assert set(found) == {tmp_path / "islam2019-dataset.zip"}
    assert list(tmp_path.iterdir()) == found[:1]


@pytest.mark.parametrize("change", [lambda content: content + b"and more", lambda content: b"<html>moved</html>"])
def test_a_download_of_something_else_is_not_kept(tmp_path, tiny_release, change):
    with serving(change(tiny_release)) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert hashlib.sha256(tiny_release).hexdigest() in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_off_is_not_kept(tmp_path, tiny_release):
    with serving(tiny_release[:5], announced=len(tiny_release)) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_says_how_to_go_on(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/dataset.zip"
        with pytest.raises(DlbugError) as caught:
            releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert "refused" in str(caught.value)
    assert "set DLBUG_ARTIFACT" in str(caught.value)


def test_an_error_page_is_refused(tmp_path):
    with serving(b"gone", status=404) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert "Not Found" in str(caught.value)


def test_a_server_that_speaks_no_http_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/dataset.zip"
        with pytest.raises(DlbugError, match=address):
            releases.locate({}, tmp_path, address)
        thread.join()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org/dataset.zip", "http://[broken/x"])
def test_only_web_addresses_are_asked(tmp_path, address):
    with pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)


# --- reading hand-made workbooks -------------------------------------------------------------------------------------


def test_a_row_as_it_should_be(tmp_path):
    rows = read_posts(tmp_path, (7, *LABELS))
    assert rows.rows(named=True) == [
        {
            "library": "Keras",
            "source": "Stack Overflow",
            "file": KERAS_SO,
            "sheet": "Sheet1",
            "row": 2,
            "link": "https://stackoverflow.com/questions/7",
            "post_id": 7,
            "repository": None,
            "commit_sha": None,
            "bug_type": "API Bug",
            "root_cause": "API Change",
            "effect": "Crash",
            "bug_type_as_written": "API Bug",
            "root_cause_as_written": "API Change",
            "effect_as_written": "Crash",
            "swapped": False,
            "mapped": None,
        }
    ]


def test_files_come_in_their_order_whatever_the_zips_order(tmp_path):
    changes = {}
    for member in reversed(workbooks.MEMBERS):
        changes[member] = label_sheet(member, (1 if member.startswith("SO/") else COMMIT, *LABELS))
    rows = releases.read(workbooks.release(tmp_path, changes), TAXONOMY)
    assert rows["file"].to_list() == list(workbooks.MEMBERS)
    assert rows["library"].to_list() == ["Caffe", "Keras", "Tensorflow", "Theano", "Torch"] * 2
    assert rows["source"].to_list() == ["Stack Overflow"] * 5 + ["GitHub"] * 5


@pytest.mark.parametrize(
    "written", [50079585, Number("50079585.0"), Number("5.0079585E7"), "50079585", " 50079585 ", "50079585.0"]
)
def test_a_post_number_in_every_way_a_cell_holds_one(tmp_path, written):
    assert read_posts(tmp_path, (written, *LABELS))["post_id"].to_list() == [50079585]


@pytest.mark.parametrize("written", ["seven", Number("7.5"), None, "-7", ""])
def test_what_is_no_post_number_is_refused(tmp_path, written):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (7, *LABELS), (written, *LABELS)))
    assert said.startswith(f"{KERAS_SO}, sheet Sheet1, row 3: ")
    assert "is no post number" in said


@pytest.mark.parametrize("order", [(2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
def test_swapped_columns_are_recognised_by_their_values(tmp_path, order):
    written = ("API Bug", "API Misuse (APIM) ", "Performance")
    rows = read_posts(tmp_path, (1, *(written[place] for place in order)), (2, *written))
    assert rows.select("bug_type", "root_cause", "effect").rows() == [("API Bug", "API Misuse", "Bad Performance")] * 2
    assert rows.select(WRITTEN).rows() == [written] * 2
    assert rows["swapped"].to_list() == [True, False]


def test_a_sheet_that_is_swapped_throughout_is_put_right_alone(tmp_path):
    bug_type, root_cause, effect = LABELS
    commits = [(f"{COMMIT}#L{line}", effect, root_cause, bug_type) for line in range(1, 6)]
    changes = {
        KERAS_SO: label_sheet(KERAS_SO, (7, *LABELS)),
        TORCH_GITHUB: label_sheet(TORCH_GITHUB, *commits),
    }
    rows = releases.read(workbooks.release(tmp_path, changes), TAXONOMY)
    assert rows.select("bug_type", "root_cause", "effect").rows() == [LABELS] * 6
    assert rows["swapped"].to_list() == [False, *[True] * 5]


def test_a_row_that_two_swaps_explain_is_refused(tmp_path):
    both = [Category(dimension, "", name) for dimension in ("bug_type", "effect") for name in ("Race", "Leak")]
    taxonomy = Taxonomy([*TAXONOMY.categories, *both], TAXONOMY.mappings)
    as_headed = workbooks.release(tmp_path, {KERAS_SO: label_sheet(KERAS_SO, (1, "Race", "API Change", "Leak"))})
    rows = releases.read(as_headed, taxonomy)
    assert rows.select("bug_type", "effect", "swapped").rows() == [("Race", "Leak", False)]
    either = workbooks.release(tmp_path, {KERAS_SO: label_sheet(KERAS_SO, (1, "Race", "Leak", "API Change"))})
    with pytest.raises(DlbugError) as caught:
        releases.read(either, taxonomy)
    assert str(caught.value).startswith(f"{KERAS_SO}, sheet Sheet1, row 2: ")
    assert "root_cause 'Leak', effect 'API Change'" in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "labels", "swapped"),
    [
        (("API Bug", "API Change", None), ("API Bug", "API Change", None), False),
        (("API Bug", "API Change", "  "), ("API Bug", "API Change", None), False),
        ((None, None, None), (None, None, None), False),
        ((None, "Crash", "API Change"), (None, "API Change", "Crash"), True),
        (("Crash", "API Change", None), (None, "API Change", "Crash"), True),
        (("Crash", None, None), (None, None, "Crash"), True),
        ((None, "API Bug", None), ("API Bug", None, None), True),
    ],
)
def test_empty_cells_stay_empty_and_fit_any_column(tmp_path, cells, labels, swapped):
    rows = read_posts(tmp_path, (1, *cells))
    assert rows.select("bug_type", "root_cause", "effect").row(0) == labels
    assert rows["swapped"].to_list() == [swapped]


def test_what_was_written_is_kept_with_its_blanks(tmp_path):
    written = ("data  Bug", "Structure Ineffciency (SI) ", " crash")
    rows = read_posts(tmp_path, (1, *written))
    assert rows.select(WRITTEN).row(0) == written
    assert rows.select("bug_type", "root_cause", "effect").row(0) == ("Data Bug", "Structure Inefficiency", "Crash")


def test_mapped_labels_are_marked(tmp_path):
    rows = read_posts(
        tmp_path,
        (1, "Logic Bug", "Absence of the training process monitoring", "Crash"),
        (2, "Coding Bug", "Absence of backward compatibility while versioning", "Crash"),
        (3, "Crash", "API Change", "Logic Bug"),
    )
    assert rows["mapped"].to_list() == ["bug_type; root_cause", "root_cause", "bug_type"]
    assert rows["bug_type"].to_list() == ["Structural Logic Bug", "Coding Bug", "Structural Logic Bug"]


def test_an_unknown_label_is_named_with_its_place(tmp_path):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, *LABELS), (2, "API Bug", "Cosmic Ray", "Crash")))
    assert f"{KERAS_SO}, sheet Sheet1, row 3" in said
    assert "root_cause 'Cosmic Ray'" in said
    assert "Crash" not in said
    assert "taxonomy.csv" in said


def test_an_unknown_label_in_a_swapped_row_is_named_alone(tmp_path):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, "Crash", "Cosmic Ray", "API Bug")))
    assert "'Cosmic Ray'" in said
    assert "'API Bug'" not in said


def test_two_values_of_one_dimension_are_refused(tmp_path):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, "API Bug", "Hang", "Crash")))
    assert f"{KERAS_SO}, sheet Sheet1, row 2" in said
    assert "root_cause 'Hang'" in said


def test_many_unknown_labels_are_listed_up_to_ten(tmp_path):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, *((n, "Gremlin", *LABELS[1:]) for n in range(1, 14))))
    assert said.count("'Gremlin'") == 10
    assert "3 more" in said


def test_unknown_labels_of_several_files_are_listed_together(tmp_path):
    changes = {
        KERAS_SO: label_sheet(KERAS_SO, (1, "Gremlin", "Cosmic Ray", "Crash"), (2, *LABELS)),
        TORCH_GITHUB: label_sheet(TORCH_GITHUB, (COMMIT, *LABELS), (COMMIT, *LABELS[:2], "Smoke")),
    }
    with pytest.raises(DlbugError) as caught:
        releases.read(workbooks.release(tmp_path, changes), TAXONOMY)
    assert str(caught.value).startswith(
        f"{KERAS_SO}, sheet Sheet1, row 2: nobody knows bug_type 'Gremlin', root_cause 'Cosmic Ray'; "
        f"{TORCH_GITHUB}, sheet Sheet1, row 3: nobody knows effect 'Smoke'. "
    )


@pytest.mark.parametrize("value", ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"])
def test_a_failed_formula_is_no_empty_cell(tmp_path, value):
    said = refusal(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, *LABELS), (2, *LABELS[:2], ErrorValue(value))))
    assert said.startswith(f"{KERAS_SO}, sheet Sheet1, row 3: nobody knows effect '{value}'. ")


def test_a_failed_formula_beside_the_labels_is_ignored(tmp_path):
    assert read_posts(tmp_path, (1, *LABELS, ErrorValue("#N/A")))["post_id"].to_list() == [1]


def test_rows_are_numbered_as_in_the_spreadsheet(tmp_path):
    rows = read_posts(tmp_path, (1, *LABELS), (), (None, None), (2, *LABELS))
    assert rows["row"].to_list() == [2, 5]


def test_formatted_cells_without_values_are_no_rows(tmp_path):
    formatted = [(Formatted(),) * 5] * 3
    assert read_posts(tmp_path, (1, *LABELS), *formatted)["row"].to_list() == [2]
    # The note at the end keeps the reader from trimming the rows above it.
    assert read_posts(tmp_path, (1, *LABELS), *formatted, (*[Formatted()] * 5, "a note"))["row"].to_list() == [2]


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: f" {name} "])
def test_a_header_is_known_in_any_case_and_between_blanks(tmp_path, change):
    content = workbook({"Sheet1": [tuple(change(name) for name in POST_HEADER), (1, *LABELS)]})
    assert read(tmp_path, KERAS_SO, content)["post_id"].to_list() == [1]


def test_columns_beside_the_labels_are_ignored(tmp_path):
    content = workbook({"Sheet1": [(*POST_HEADER, None, "Notes"), (1, *LABELS, None, "why?", 3)]})
    assert read(tmp_path, KERAS_SO, content).height == 1


def test_working_material_is_ignored_wherever_the_label_sheet_is(tmp_path):
    pivot = [("Row Labels", "Count"), ("API Bug", 3)]
    second = [("Giang Bug Type", "Giang Effect", "Giang Root Cause"), ("Structural Bug.", "Crash", "Kears")]
    content = workbook({"Sheet2": pivot, "Sheet5": second, "Empty": [], "Sheet1": [POST_HEADER, (1, *LABELS)]})
    rows = read(tmp_path, KERAS_SO, content)
    assert rows.select("sheet", "row", "post_id").rows() == [("Sheet1", 2, 1)]


def test_a_missing_header_is_refused_with_what_was_found(tmp_path):
    content = workbook({"Sheet1": [("Post#", "Bug Type", "Effect", "Root Cause"), (1, *LABELS)], "Other": [("x",)]})
    said = refusal(tmp_path, KERAS_SO, content)
    assert KERAS_SO in said
    assert "Post#, Bug Type, Root Cause, Effect" in said
    assert "Sheet1: Post#, Bug Type, Effect, Root Cause" in said
    assert "Other: x" in said


def test_a_header_below_the_first_row_is_refused(tmp_path):
    content = workbook({"Sheet1": [(), POST_HEADER, (1, *LABELS)]})
    assert "Post#, Bug Type, Root Cause, Effect" in refusal(tmp_path, KERAS_SO, content)


def test_a_header_beside_the_first_column_is_refused(tmp_path):
    content = workbook({"Sheet1": [(None, *POST_HEADER), (None, 1, *LABELS)]})
    assert "Post#, Bug Type, Root Cause, Effect" in refusal(tmp_path, KERAS_SO, content)


def test_the_other_sources_header_is_refused(tmp_path):
    assert "GitHub Commit Links" in refusal(tmp_path, TORCH_GITHUB, workbook({"Sheet1": [POST_HEADER, (1, *LABELS)]}))


def test_two_label_sheets_are_refused(tmp_path):
    said = refusal(tmp_path, KERAS_SO, workbook({"A": [POST_HEADER, (1, *LABELS)], "B": [POST_HEADER]}))
    assert f"{KERAS_SO}: 2 sheets" in said
    assert "A: Post#" in said
    assert "B: Post#" in said


@pytest.mark.parametrize(
    "link",
    [
        COMMIT,
        f"{COMMIT}#diff-0123456789abcdef0123456789abcdefR12",
        f"https://github.com/someone/project/blob/{SHA}/models/net.py#L7",
        f"http://github.com/someone/project/commit/{SHA}",
        f"  {COMMIT} ",
    ],
)
def test_a_link_gives_repository_and_commit(tmp_path, link):
    rows = read(tmp_path, TORCH_GITHUB, label_sheet(TORCH_GITHUB, (link, *LABELS)))
    assert rows.select("link", "repository", "commit_sha", "post_id").row(0) == (
        link.strip(),
        "someone/project",
        SHA,
        None,
    )


@pytest.mark.parametrize(
    "link",
    [
        f"https://github.com/someone/project/commit/{SHA[:39]}",
        f"https://github.com/someone/project/commit/{SHA}0",
        f"https://github.com/someone/commit/{SHA}",
        "https://github.com/someone/project/blob/master/net.py",
        f"https://example.org/someone/project/commit/{SHA}",
        "see mail",
        None,
    ],
)
def test_a_link_without_a_commit_is_refused(tmp_path, link):
    said = refusal(tmp_path, TORCH_GITHUB, label_sheet(TORCH_GITHUB, (COMMIT, *LABELS), (link, *LABELS)))
    assert said.startswith(f"{TORCH_GITHUB}, sheet Sheet1, row 3: ")
    assert (link or "''") in said


def test_a_missing_member_is_named(tmp_path):
    assert TORCH_GITHUB in refusal(tmp_path, TORCH_GITHUB, None)


def test_other_members_are_not_opened(tmp_path):
    path = workbooks.release(tmp_path, {"../../evil.xlsx": b"not a workbook", "SO/Notes.xlsx": b"nor this"})
    assert releases.read(path, TAXONOMY).height == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["release.zip"]


def test_a_member_that_swells_is_refused(tmp_path):
    said = refusal(tmp_path, KERAS_SO, b"\0" * ((5 << 20) + 1))
    assert KERAS_SO in said
    assert str((5 << 20) + 1) in said


@pytest.mark.parametrize("content", [b"", b"no workbook", workbooks.zipped({"xl/nothing.xml": b""})])
def test_a_member_that_is_no_workbook_is_named(tmp_path, content):
    assert KERAS_SO in refusal(tmp_path, KERAS_SO, content)


def test_a_zip_cut_short_is_refused(tmp_path):
    path = workbooks.release(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DlbugError, match=str(path)):
        releases.read(path, TAXONOMY)


def test_a_zip_with_damaged_bytes_is_refused_wherever_the_damage_is(tmp_path):
    path = workbooks.release(tmp_path)
    content = path.read_bytes()
    places = range(0, len(content), 97)
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        # Some bytes (times, attributes) mean nothing; where one matters, the message is ours and names a file.
        try:
            releases.read(path, TAXONOMY)
        except DlbugError as error:
            refused += 1
            assert "release.zip" in str(error) or "_Final.xlsx" in str(error)
    assert refused > len(places) / 2


@pytest.mark.parametrize("content", [b"", b"<html>moved</html>"])
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "release.zip"
    path.write_bytes(content)
    with pytest.raises(DlbugError, match=str(path)):
        releases.read(path, TAXONOMY)


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path) -> pl.DataFrame:
    fork = COMMIT.replace("someone", "other")
    return releases.read(
        workbooks.release(
            tmp_path,
            {
                KERAS_SO: label_sheet(KERAS_SO, (7, *LABELS), (8, *LABELS), (7, "Data Bug", *LABELS[1:])),
                "SO/TF_SO_Final.xlsx": label_sheet("SO/TF_SO_Final.xlsx", (7, "API Bug", "API Change", None)),
                TORCH_GITHUB: label_sheet(
                    TORCH_GITHUB,
                    (f"{COMMIT}#L1", *LABELS),
                    (fork, "Crash", "API Change (APIC)", "Logic Bug"),
                    (COMMIT, *LABELS),
                    (f"{COMMIT}#L1", *LABELS),
                ),
            },
        ),
        TAXONOMY,
    )


def test_items_are_distinct_within_a_library(rows):
    items = releases.items(rows)
    assert items["item_id"].to_list() == ["SO-Keras-7", "SO-Keras-8", "SO-Tensorflow-7", f"GH-Torch-{SHA}"]
    assert items.row(3, named=True) == {
        "item_id": f"GH-Torch-{SHA}",
        "source": "GitHub",
        "library": "Torch",
        "title": None,
        "link": f"{COMMIT}#L1",
        "created_at": None,
        "year": None,
        "repository": "someone/project",
        "commit_sha": SHA,
        "post_id": None,
    }
    assert items.schema["created_at"] == pl.Datetime("us")
    assert items.schema["year"] == pl.Int32


def test_every_row_is_a_bug_numbered_within_its_item(rows):
    labels = releases.labels(rows)
    assert labels["bug_id"].to_list() == [
        "SO-Keras-7#1",
        "SO-Keras-8#1",
        "SO-Keras-7#2",
        "SO-Tensorflow-7#1",
        *(f"GH-Torch-{SHA}#{n}" for n in (1, 2, 3, 4)),
    ]
    assert labels.row(5, named=True) == {
        "bug_id": f"GH-Torch-{SHA}#2",
        "item_id": f"GH-Torch-{SHA}",
        "source": "GitHub",
        "library": "Torch",
        "bug_index": 2,
        "bug_type": "Structural Logic Bug",
        "root_cause": "API Change",
        "effect": "Crash",
        "stage": None,
        "antipattern": None,
        "created_at": None,
        "year": None,
        "repository": "other/project",
        "commit_sha": SHA,
        "decided_by": "artifact",
        "bug_type_as_written": "Logic Bug",
        "root_cause_as_written": "API Change (APIC)",
        "effect_as_written": "Crash",
        "link": COMMIT.replace("someone", "other"),
        "provenance": f"{TORCH_GITHUB}, sheet Sheet1, row 3",
    }


def test_a_unit_is_a_bug_and_its_link(rows):
    units = releases.units(releases.labels(rows))
    assert units.columns == ["item_id", "bug_index", "place", "frozen_by", "frozen_in"]
    assert units.row(2) == ("SO-Keras-7", 2, "https://stackoverflow.com/questions/7", "artifact", None)
    assert units.schema["frozen_in"] == pl.Int32


def test_posts_are_numbers_and_links(rows):
    posts = releases.posts(rows, "Keras")
    assert dict(posts.schema) == {
        "library": pl.String,
        "post_id": pl.Int64,
        "title": pl.String,
        "body_html": pl.String,
        "tags": pl.List(pl.String),
        "score": pl.Int64,
        "view_count": pl.Int64,
        "answer_count": pl.Int64,
        "accepted_answer_id": pl.Int64,
        "created_at": pl.Datetime("us"),
        "last_activity_at": pl.Datetime("us"),
        "owner_hash": pl.String,
        "link": pl.String,
        "content_license": pl.String,
        "in_scope": pl.Boolean,
        "deleted_at": pl.Datetime("us"),
    }
    known = posts.select("library", "post_id", "link", "in_scope")
    assert known.rows() == [("Keras", n, f"https://stackoverflow.com/questions/{n}", True) for n in (7, 8)]
    assert posts.drop(known.columns).null_count().row(0) == (2,) * 12
    assert releases.posts(rows, "Caffe").is_empty()


def test_commits_are_distinct_repository_and_sha_pairs(rows):
    assert releases.commits(rows, "Torch").rows(named=True) == [
        {"library": "Torch", "full_name": name, "sha": SHA, "url": f"https://github.com/{name}/commit/{SHA}"}
        for name in ("someone/project", "other/project")
    ]
    assert releases.commits(rows, "Keras").is_empty()


def test_dirt_is_counted(rows):
    assert releases.dirt(rows) == {
        "label_rows": 8,
        "rows_with_swapped_columns": 1,
        "empty_cells": 1,
        "labels_spelled_otherwise": 2,
        "labels_mapped": 1,
        "distinct_items": 4,
        "rows_that_repeat_a_link": 2,
        "rows_that_repeat_link_and_labels": 1,
    }


def test_an_empty_release_has_empty_tables(tmp_path):
    rows = releases.read(workbooks.release(tmp_path), TAXONOMY)
    labels = releases.labels(rows)
    assert releases.items(rows).is_empty()
    assert labels.is_empty()
    assert releases.units(labels).is_empty()
    assert set(releases.dirt(rows).values()) == {0}


# --- the authors' release itself: numbers in brackets are the list of known dirt in its README ---------------------


@pytest.fixture(scope="module")
def path() -> Path:
    return release_path()


@pytest.fixture(scope="module")
def released(path) -> pl.DataFrame:
    return releases.read(releases.locate({"DLBUG_ARTIFACT": str(path)}, path.parent), TAXONOMY)


def counts(rows: pl.DataFrame, *columns: str) -> dict:
    """Value (or tuple of values) of these columns -> number of rows."""
    return dict(Counter(rows[columns[0]] if len(columns) == 1 else rows.select(columns).iter_rows()))


def written_as(released: pl.DataFrame, column: str, label: str) -> pl.DataFrame:
    return released.filter(pl.col(column) == label)


LABEL_ROWS = {
    "SO/Caffe_SO_Final.xlsx": 35,
    "SO/Keras_SO_Final.xlsx": 162,
    "SO/TF_SO_Final.xlsx": 166,
    "SO/Theano_SO_Final.xlsx": 27,
    "SO/Torch_SO_Final.xlsx": 25,
    "Github/Caffe_Github_Final.xlsx": 26,
    "Github/Keras_Github_Final.xlsx": 350,
    "Github/TF_Github_Final.xlsx": 100,
    "Github/Theano_Github_Final.xlsx": 35,
    "Github/Torch_Github_Final.xlsx": 46,
}


def test_released_rows_per_file_and_sheet(released):
    assert counts(released, "file", "sheet") == {
        (file, "Sheet3" if "Theano_Github" in file else "Sheet1"): number for file, number in LABEL_ROWS.items()
    }
    assert counts(released, "source") == {"Stack Overflow": 415, "GitHub": 557}
    for file, numbers in released.group_by("file").agg("row").rows():
        assert numbers == list(range(2, LABEL_ROWS[file] + 2))


def test_the_download_address_serves_what_locate_expects(path, tmp_path):
    with serving(path.read_bytes()) as (address, _):
        assert releases.locate({}, tmp_path, address).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("file", LABEL_ROWS)
def test_a_second_reader_sees_the_same_cells(path, released, file):
    ours = released.filter(pl.col("file") == file)
    _, *cells = raw_cells(path, file, ours["sheet"][0])
    for row, (identity, *labels) in zip(ours.rows(named=True), cells, strict=True):
        written = [row[column] for column in WRITTEN]
        assert sorted(written, key=str) == sorted(labels, key=str)
        assert (written != labels) is row["swapped"]
        if row["post_id"] is None:
            assert row["link"] == identity.strip()
        else:
            assert row["post_id"] == int(float(identity))


def test_released_swaps(released):  # [1, 2]
    swapped = released.filter("swapped")
    assert counts(swapped, "file") == {"Github/TF_Github_Final.xlsx": 100, "SO/Keras_SO_Final.xlsx": 1}
    single = swapped.filter(pl.col("source") == "Stack Overflow")
    assert single.select("row", "post_id").rows() == [(155, 50079585)]


def test_released_empty_cells(released):  # [3]
    empty = released.filter(pl.any_horizontal(pl.col(WRITTEN).is_null()))
    assert empty.select("file", "row").rows() == [("Github/Keras_Github_Final.xlsx", row) for row in (256, 257)]
    assert empty.select(WRITTEN).null_count().row(0) == (0, 0, 2)


def test_released_trailing_blanks(released):  # [4]; the one in a swapped row stands under Effect in the sheet
    ends = released.filter(pl.col("root_cause_as_written").str.ends_with(" "))
    assert counts(ends, "source", "library") == {
        ("Stack Overflow", "Caffe"): 22,
        ("Stack Overflow", "Keras"): 73 + 1,
        ("Stack Overflow", "Tensorflow"): 64,
        ("Stack Overflow", "Theano"): 11,
        ("Stack Overflow", "Torch"): 8,
        ("GitHub", "Caffe"): 11,
        ("GitHub", "Keras"): 104,
        ("GitHub", "Tensorflow"): 17,
        ("GitHub", "Theano"): 14,
        ("GitHub", "Torch"): 25,
    }
    assert counts(ends.filter(pl.col("source") == "Stack Overflow"), "swapped")[True] == 1
    assert set(ends["root_cause_as_written"]) == {
        "Incorrect Model Parameter or Structure (IPS) ",
        "Structure Ineffciency (SI) ",
    }
    for column in ("bug_type_as_written", "effect_as_written"):
        assert not released[column].str.ends_with(" ").any()


@pytest.mark.parametrize(
    ("column", "label", "expected"),
    [
        ("bug_type_as_written", "data Bug", {("GitHub", "Keras"): 5}),  # [6]
        ("bug_type_as_written", "SB.Data Flow Bug", {("GitHub", "Theano"): 4}),  # [7]
        ("bug_type_as_written", "SB.CSB", {("GitHub", "Caffe"): 1, ("GitHub", "Torch"): 2}),  # [8]
        ("bug_type_as_written", "NMSB.CSB", {("GitHub", "Torch"): 3}),  # [8]
        ("bug_type_as_written", "Structural Bug.Logic Bugs", {("GitHub", "Torch"): 1}),  # [9]
        ("root_cause_as_written", "Structure Ineffciency (SI) (non functional)", {("GitHub", "Torch"): 1}),  # [10]
        ("effect_as_written", "Performance", {("GitHub", "Keras"): 48}),  # [11]
        ("bug_type_as_written", "Logic Bug", {("GitHub", "Keras"): 1}),  # [13]
        ("bug_type_as_written", "Coding Bug", {("GitHub", "Keras"): 1}),  # [13]
    ],
)
def test_released_spellings(released, column, label, expected):
    assert counts(written_as(released, column, label), "source", "library") == expected


def test_released_spellings_share_a_row_or_a_category(released):  # [9, 10, 11]
    for column, label in (
        ("bug_type_as_written", "Structural Bug.Logic Bugs"),
        ("root_cause_as_written", "Structure Ineffciency (SI) (non functional)"),
    ):
        assert written_as(released, column, label)["row"].to_list() == [39]
    slow_keras = released.filter(
        (pl.col("file") == "Github/Keras_Github_Final.xlsx") & (pl.col("effect") == "Bad Performance")
    )
    assert slow_keras["effect_as_written"].unique().to_list() == ["Performance"]


@pytest.mark.parametrize(
    ("dimension", "label", "category", "places"),
    [
        ("bug_type", "Logic Bug", "Structural Logic Bug", [80]),  # [13]
        (  # [14]
            "root_cause",
            "Combination of parameters can lead to suboptimal performance",
            "Incorrect Model Parameter or Structure",
            [258, 261, 321, *range(327, 333), 335, 336, 337, 339],
        ),
        ("root_cause", "Absence of backward compatibility while versioning", "API Change", [256, 257, 266]),  # [15]
        (  # [16]
            "root_cause",
            "Absence of suggestions in chosing hyper parameters",
            "Incorrect Model Parameter or Structure",
            [80],
        ),
        ("root_cause", "Absence of the training process monitoring", "Confusion with Computation Model", [81]),  # [16]
    ],
)
def test_released_labels_outside_the_taxonomy(released, dimension, label, category, places):
    written = written_as(released, f"{dimension}_as_written", label)
    assert written["row"].to_list() == places
    assert set(written["file"]) == {"Github/Keras_Github_Final.xlsx"}
    assert set(written[dimension]) == {category}
    assert written["mapped"].str.contains(dimension).all()


def test_released_labels_before_and_after_mapping(released):  # [13 to 16]
    mapped = released.filter(pl.col("mapped").is_not_null())
    assert counts(mapped, "mapped") == {"bug_type; root_cause": 1, "root_cause": 17}
    keras = released.filter(pl.col("file") == "Github/Keras_Github_Final.xlsx")
    before = {
        name: keras.filter((pl.col(dimension) == name) & ~pl.col("mapped").fill_null("").str.contains(dimension)).height
        for dimension, name in MAPPED_TO
    }
    after = {name: keras.filter(pl.col(dimension) == name).height for dimension, name in MAPPED_TO}
    assert before == {
        "Structural Logic Bug": 7,
        "Incorrect Model Parameter or Structure": 88,
        "API Change": 180,
        "Confusion with Computation Model": 1,
    }
    assert after == {
        "Structural Logic Bug": 8,
        "Incorrect Model Parameter or Structure": 102,
        "API Change": 183,
        "Confusion with Computation Model": 2,
    }
    coding = written_as(released, "bug_type_as_written", "Coding Bug")
    assert coding.select("row", "bug_type", "mapped").rows() == [(81, "Coding Bug", "root_cause")]


MAPPED_TO = (
    ("bug_type", "Structural Logic Bug"),
    ("root_cause", "Incorrect Model Parameter or Structure"),
    ("root_cause", "API Change"),
    ("root_cause", "Confusion with Computation Model"),
)


def test_released_bugs_against_table_1(released):  # [17]
    printed = pl.read_csv(SEEDS / "table1.csv").select("library", "so_bugs", "gh_bugs")
    differing = {}
    for library, *bugs in printed.filter(pl.col("library").is_in(TAXONOMY.names("library"))).rows():
        for source, number in zip(("Stack Overflow", "GitHub"), bugs, strict=True):
            found = released.filter((pl.col("library") == library) & (pl.col("source") == source)).height
            if found != number:
                differing[source, library] = (number, found)
    assert differing == {("GitHub", "Keras"): (348, 350)}


def test_released_commits(released):  # [18]
    numbers = {library: releases.commits(released, library).height for library in TAXONOMY.names("library")}
    assert numbers == {"Caffe": 17, "Keras": 51, "Tensorflow": 28, "Theano": 18, "Torch": 29}


def test_released_posts_that_recur(released):  # [19]
    posts = released.filter(pl.col("source") == "Stack Overflow")
    assert posts["post_id"].n_unique() == 391
    recurring = posts.group_by("post_id").agg(pl.len(), pl.col("library").unique().sort()).filter(pl.col("len") > 1)
    both = recurring.filter(pl.col("library").list.len() == 2)
    assert recurring.height == 22
    assert {tuple(pair) for pair in both["library"]} == {("Keras", "Tensorflow")}
    assert counts(both, "len") == {2: 18, 3: 2}
    assert recurring.filter(pl.col("library").list.len() == 1).height == 2
    within = {
        library: posts.filter(pl.col("library") == library).height - releases.posts(released, library).height
        for library in TAXONOMY.names("library")
    }
    assert within == {"Caffe": 0, "Keras": 2, "Tensorflow": 2, "Theano": 0, "Torch": 0}


def test_released_commits_that_recur(released):  # [20]
    commits = released.filter(pl.col("source") == "GitHub")
    assert commits.select("library", "link").n_unique() == 405
    assert commits.select("repository", "commit_sha").n_unique() == 143
    assert commits["commit_sha"].n_unique() == 142
    forked = commits.filter(pl.col("commit_sha") == "d91c0adc5ccd34f6e346fdeddc0a2ce7085a4ffb")
    assert counts(forked, "repository") == {"dishen12/keras_frcnn": 66, "FrodeWY/keras-frcnn": 59}


def test_released_rows_that_repeat(released):  # [21]
    commits = released.filter(pl.col("source") == "GitHub")
    exact = commits.filter(~pl.struct("library", "link", *WRITTEN).is_first_distinct())
    again = commits.filter(~pl.struct("library", "link").is_first_distinct())
    assert counts(exact, "library") == {"Keras": 94}
    assert counts(again, "library") == {"Keras": 150, "Caffe": 2}
    triples = commits.select("library", "link", *WRITTEN).unique().group_by("library", "link").len()
    assert counts(triples.filter(pl.col("len") > 1), "library") == {"Keras": 55, "Caffe": 1}


def test_released_rows_per_commit(released):  # [22]
    commits = released.filter(pl.col("source") == "GitHub")
    sizes = commits.group_by("library", "repository", "commit_sha").len().sort("len", descending=True)
    assert (sizes["len"].min(), sizes["len"].max()) == (1, 66)
    largest = sizes.head(4)
    assert (set(largest["library"]), largest["len"].sum()) == ({"Keras"}, 193)


def test_released_kinds_of_link(released):  # [23]
    links = released.filter(pl.col("source") == "GitHub").with_columns(
        kind=pl.when(pl.col("link").str.contains("/blob/"))
        .then(pl.lit("blob"))
        .when(pl.col("link").str.contains("#"))
        .then(pl.lit("commit with a fragment"))
        .otherwise(pl.lit("commit"))
    )
    assert counts(links, "kind") == {"commit with a fragment": 500, "commit": 32, "blob": 25}
    assert counts(links.filter(pl.col("kind") == "blob"), "library") == {"Keras": 23, "Torch": 2}
    assert links.filter(pl.col("commit_sha").str.contains("^[0-9a-f]{40}$")).height == 557


def test_released_dirt_and_tables(released):
    assert releases.dirt(released) == {
        "label_rows": 972,
        "rows_with_swapped_columns": 101,
        "empty_cells": 2,
        "labels_spelled_otherwise": 1422,
        "labels_mapped": 19,
        "distinct_items": 553,
        "rows_that_repeat_a_link": 152 + 4,
        "rows_that_repeat_link_and_labels": 94 + 1,
    }
    labels = releases.labels(released)
    assert labels.height == labels["bug_id"].n_unique() == 972
    # 391 posts, 20 of them in two libraries, and 142 shas, none of them in two libraries.
    assert counts(releases.items(released), "source") == {"Stack Overflow": 391 + 20, "GitHub": 142}
    assert {library: releases.posts(released, library).shape for library in TAXONOMY.names("library")} == {
        "Caffe": (35, 16),
        "Keras": (160, 16),
        "Tensorflow": (164, 16),
        "Theano": (27, 16),
        "Torch": (25, 16),
    }
    assert {releases.commits(released, library).width for library in TAXONOMY.names("library")} == {4}
    assert releases.units(labels).select("item_id", "bug_index").n_unique() == 972
