"""The workbooks of 2019 are read with their irregularities; invalid ones are rejected with file and row."""

from pathlib import Path

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.table_files import read_file
from dlbug_assets.protocol.taxonomy import Category, Taxonomy
from support import release, workbooks
from support.release import KERAS_SO, TAXONOMY, TORCH_GITHUB, WRITTEN, label_rows
from support.workbooks import COMMIT, LABELS, POST_HEADER, SHA, ErrorValue, Formatted, Number, label_sheet, workbook


def read_all(folder: Path, changes: dict[str, bytes | None], taxonomy: Taxonomy = TAXONOMY) -> pl.DataFrame:
    return label_rows(release.read(workbooks.release(folder, changes), taxonomy))


def read(folder: Path, member: str, content: bytes | None) -> pl.DataFrame:
    return read_all(folder, {member: content})


def read_posts(folder: Path, *rows) -> pl.DataFrame:
    return read(folder, KERAS_SO, label_sheet(KERAS_SO, *rows))


def error_of(folder: Path, member: str, content: bytes | None) -> str:
    with pytest.raises(DlbugError) as caught:
        read(folder, member, content)
    return str(caught.value)


def test_a_row_without_irregularities(tmp_path):
    rows = read_posts(tmp_path, (7, *LABELS))
    assert rows.rows(named=True) == [
        {
            "library": "Keras",
            "source": "Stack Overflow",
            "file": KERAS_SO,
            "sheet": "Sheet1",
            "row": 2,
            "key": "7",
            "link": "https://stackoverflow.com/questions/7",
            "title": None,
            "post_id": 7,
            "repository": None,
            "commit_sha": None,
            "created_at": None,
            "rater": None,
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


def test_rows_are_in_the_order_of_the_files_not_of_the_zip(tmp_path):
    changes = {}
    for member in reversed(workbooks.MEMBERS):
        changes[member] = label_sheet(member, (1 if member.startswith("SO/") else COMMIT, *LABELS))
    rows = read_all(tmp_path, changes)
    assert rows["file"].to_list() == list(workbooks.MEMBERS)
    assert rows["library"].to_list() == ["Caffe", "Keras", "Tensorflow", "Theano", "Torch"] * 2
    assert rows["source"].to_list() == ["Stack Overflow"] * 5 + ["GitHub"] * 5


@pytest.mark.parametrize(
    "written", [50079585, Number("50079585.0"), Number("5.0079585E7"), "50079585", " 50079585 ", "50079585.0"]
)
def test_post_ids_are_read_from_numbers_and_text(tmp_path, written):
    assert read_posts(tmp_path, (written, *LABELS))["post_id"].to_list() == [50079585]


@pytest.mark.parametrize("written", ["seven", Number("7.5"), None, "-7", ""])
def test_an_invalid_post_id_is_rejected(tmp_path, written):
    message = error_of(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (7, *LABELS), (written, *LABELS)))
    assert message.startswith(f"{KERAS_SO}, sheet Sheet1, row 3: ")
    assert ("does not match" if written else "it has neither key nor link") in message


@pytest.mark.parametrize("order", [(2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
def test_swapped_columns_are_recognised_by_their_values(tmp_path, order):
    written = ("API Bug", "API Misuse (APIM) ", "Performance")
    rows = read_posts(tmp_path, (1, *(written[place] for place in order)), (2, *written))
    assert rows.select("bug_type", "root_cause", "effect").rows() == [("API Bug", "API Misuse", "Bad Performance")] * 2
    assert rows.select(WRITTEN).rows() == [written] * 2
    assert rows["swapped"].to_list() == [True, False]


def test_swapped_columns_of_one_sheet_do_not_affect_others(tmp_path):
    bug_type, root_cause, effect = LABELS
    commits = [(f"{COMMIT}#L{line}", effect, root_cause, bug_type) for line in range(1, 6)]
    changes = {
        KERAS_SO: label_sheet(KERAS_SO, (7, *LABELS)),
        TORCH_GITHUB: label_sheet(TORCH_GITHUB, *commits),
    }
    rows = read_all(tmp_path, changes)
    assert rows.select("bug_type", "root_cause", "effect").rows() == [LABELS] * 6
    assert rows["swapped"].to_list() == [False, *[True] * 5]


def test_a_row_that_fits_in_two_orders_is_rejected(tmp_path):
    both = [Category(dimension, "", name) for dimension in ("bug_type", "effect") for name in ("Race", "Leak")]
    taxonomy = Taxonomy([*TAXONOMY.categories, *both], TAXONOMY.mappings)
    as_headed = {KERAS_SO: label_sheet(KERAS_SO, (1, "Race", "API Change", "Leak"))}
    rows = read_all(tmp_path, as_headed, taxonomy)
    assert rows.select("bug_type", "effect", "swapped").rows() == [("Race", "Leak", False)]
    either = {KERAS_SO: label_sheet(KERAS_SO, (1, "Race", "Leak", "API Change"))}
    with pytest.raises(DlbugError) as caught:
        read_all(tmp_path, either, taxonomy)
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
def test_empty_cells_are_null_and_fit_any_column(tmp_path, cells, labels, swapped):
    rows = read_posts(tmp_path, (1, *cells))
    assert rows.select("bug_type", "root_cause", "effect").row(0) == labels
    assert rows["swapped"].to_list() == [swapped]


def test_labels_as_written_keep_their_whitespace(tmp_path):
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


def test_an_unknown_label_is_rejected_with_its_place(tmp_path):
    message = error_of(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, *LABELS), (2, "API Bug", "Cosmic Ray", "Crash")))
    assert f"{KERAS_SO}, sheet Sheet1, row 3" in message
    assert "root_cause 'Cosmic Ray'" in message
    assert "Crash" not in message
    assert "taxonomy.csv" in message


def test_only_the_unknown_label_of_a_swapped_row_is_reported(tmp_path):
    message = error_of(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, "Crash", "Cosmic Ray", "API Bug")))
    assert "'Cosmic Ray'" in message
    assert "'API Bug'" not in message


def test_two_values_of_one_dimension_are_rejected(tmp_path):
    message = error_of(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, "API Bug", "Hang", "Crash")))
    assert f"{KERAS_SO}, sheet Sheet1, row 2" in message
    assert "root_cause 'Hang'" in message


def test_at_most_ten_unknown_labels_are_listed(tmp_path):
    message = error_of(
        tmp_path, KERAS_SO, label_sheet(KERAS_SO, *((n, f"Gremlin {n}", *LABELS[1:]) for n in range(1, 14)))
    )
    assert message.count("'Gremlin ") == 10
    assert "3 more" in message


def test_unknown_labels_of_several_files_are_listed_together(tmp_path):
    changes = {
        KERAS_SO: label_sheet(KERAS_SO, (1, "Gremlin", "Cosmic Ray", "Crash"), (2, *LABELS)),
        TORCH_GITHUB: label_sheet(TORCH_GITHUB, (COMMIT, *LABELS), (COMMIT, *LABELS[:2], "Smoke")),
    }
    with pytest.raises(DlbugError) as caught:
        read_all(tmp_path, changes)
    assert str(caught.value).startswith(
        f"{KERAS_SO}, sheet Sheet1, row 2: unknown bug_type 'Gremlin'; "
        f"{KERAS_SO}, sheet Sheet1, row 2: unknown root_cause 'Cosmic Ray'; "
        f"{TORCH_GITHUB}, sheet Sheet1, row 3: unknown effect 'Smoke'. "
    )


@pytest.mark.parametrize("value", ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"])
def test_a_failed_formula_is_not_read_as_an_empty_cell(tmp_path, value):
    message = error_of(tmp_path, KERAS_SO, label_sheet(KERAS_SO, (1, *LABELS), (2, *LABELS[:2], ErrorValue(value))))
    assert message.startswith(f"{KERAS_SO}, sheet Sheet1, row 3: unknown effect '{value}'. ")


def test_a_failed_formula_in_another_column_is_ignored(tmp_path):
    assert read_posts(tmp_path, (1, *LABELS, ErrorValue("#N/A")))["post_id"].to_list() == [1]


def test_rows_are_numbered_as_in_the_spreadsheet(tmp_path):
    rows = read_posts(tmp_path, (1, *LABELS), (), (None, None), (2, *LABELS))
    assert rows["row"].to_list() == [2, 5]


def test_formatted_cells_without_values_are_not_rows(tmp_path):
    formatted = [(Formatted(),) * 5] * 3
    assert read_posts(tmp_path, (1, *LABELS), *formatted)["row"].to_list() == [2]
    # With a note in the last row, the reader does not drop the rows above it.
    assert read_posts(tmp_path, (1, *LABELS), *formatted, (*[Formatted()] * 5, "a note"))["row"].to_list() == [2]


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: f" {name} "])
def test_the_header_is_recognised_in_any_case_and_with_whitespace(tmp_path, change):
    content = workbook({"Sheet1": [tuple(change(name) for name in POST_HEADER), (1, *LABELS)]})
    assert read(tmp_path, KERAS_SO, content)["post_id"].to_list() == [1]


def test_other_columns_are_ignored(tmp_path):
    content = workbook({"Sheet1": [(*POST_HEADER, None, "Notes"), (1, *LABELS, None, "why?", 3)]})
    assert read(tmp_path, KERAS_SO, content).height == 1


def test_other_sheets_are_ignored(tmp_path):
    pivot = [("Row Labels", "Count"), ("API Bug", 3)]
    second = [("Giang Bug Type", "Giang Effect", "Giang Root Cause"), ("Structural Bug.", "Crash", "Kears")]
    content = workbook({"Sheet2": pivot, "Sheet5": second, "Empty": [], "Sheet1": [POST_HEADER, (1, *LABELS)]})
    rows = read(tmp_path, KERAS_SO, content)
    assert rows.select("sheet", "row", "post_id").rows() == [("Sheet1", 2, 1)]


def test_a_missing_header_is_rejected_with_those_found(tmp_path):
    content = workbook({"Sheet1": [("Post#", "Bug Type", "Effect", "Root Cause"), (1, *LABELS)], "Other": [("x",)]})
    message = error_of(tmp_path, KERAS_SO, content)
    assert KERAS_SO in message
    assert "Post#, Bug Type, Root Cause, Effect" in message
    assert "Sheet1: Post#, Bug Type, Effect, Root Cause" in message
    assert "Other: x" in message


def test_a_header_below_the_first_row_is_rejected(tmp_path):
    content = workbook({"Sheet1": [(), POST_HEADER, (1, *LABELS)]})
    assert "Post#, Bug Type, Root Cause, Effect" in error_of(tmp_path, KERAS_SO, content)


def test_a_header_right_of_the_first_column_is_rejected(tmp_path):
    content = workbook({"Sheet1": [(None, *POST_HEADER), (None, 1, *LABELS)]})
    assert "Post#, Bug Type, Root Cause, Effect" in error_of(tmp_path, KERAS_SO, content)


def test_the_header_of_the_other_source_is_rejected(tmp_path):
    assert "GitHub Commit Links" in error_of(tmp_path, TORCH_GITHUB, workbook({"Sheet1": [POST_HEADER, (1, *LABELS)]}))


def test_two_label_sheets_are_rejected(tmp_path):
    message = error_of(tmp_path, KERAS_SO, workbook({"A": [POST_HEADER, (1, *LABELS)], "B": [POST_HEADER]}))
    assert f"{KERAS_SO}: 2 sheets" in message
    assert "A: Post#" in message
    assert "B: Post#" in message


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
def test_repository_and_commit_are_read_from_the_link(tmp_path, link):
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
def test_a_link_without_a_commit_is_rejected(tmp_path, link):
    message = error_of(tmp_path, TORCH_GITHUB, label_sheet(TORCH_GITHUB, (COMMIT, *LABELS), (link, *LABELS)))
    assert message.startswith(f"{TORCH_GITHUB}, sheet Sheet1, row 3: ")
    assert (link or "it has neither key nor link") in message


def test_a_missing_workbook_is_an_error(tmp_path):
    assert TORCH_GITHUB in error_of(tmp_path, TORCH_GITHUB, None)


def test_other_members_of_the_zip_are_not_read(tmp_path):
    path = workbooks.release(tmp_path, {"../../evil.xlsx": b"not a workbook", "SO/Notes.xlsx": b"nor this"})
    assert release.read(path).rows.height == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["release.zip"]


def test_a_workbook_that_unpacks_to_a_large_size_is_rejected(tmp_path):
    message = error_of(tmp_path, KERAS_SO, b"\0" * ((64 << 20) + 1))
    assert message == f"{KERAS_SO}: it unpacks to {(64 << 20) + 1} bytes, more than 64 MiB"


@pytest.mark.parametrize("content", [b"", b"not a workbook", workbooks.zipped({"xl/nothing.xml": b""})])
def test_a_member_that_is_not_a_workbook_is_an_error(tmp_path, content):
    assert KERAS_SO in error_of(tmp_path, KERAS_SO, content)


def test_a_truncated_zip_is_rejected(tmp_path):
    path = workbooks.release(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DlbugError, match=str(path)):
        release.read(path)


def test_a_zip_with_a_damaged_byte_is_rejected(tmp_path):
    path = workbooks.release(tmp_path)
    content = path.read_bytes()
    places = range(0, len(content), 97)
    rejected = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        # Some bytes (times, attributes) are not read. If one is, the error is ours.
        try:
            for member in workbooks.MEMBERS:
                header = POST_HEADER if member.startswith("SO/") else workbooks.COMMIT_HEADER
                layout = {"kind": "workbook", "header": header}
                list(read_file(str(path), f"dataset/{member}", layout, list(header)))
        except DlbugError:
            rejected += 1
    assert rejected > len(places) / 2


@pytest.mark.parametrize("content", [b"", b"<html>moved</html>"])
def test_a_file_that_is_not_a_zip_is_rejected(tmp_path, content):
    path = tmp_path / "release.zip"
    path.write_bytes(content)
    with pytest.raises(DlbugError, match=str(path)):
        release.read(path)
