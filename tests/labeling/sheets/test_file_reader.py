"""What is read of a submitted file, as rows of texts, and what is noted or refused."""

import csv
import io
import json
import zipfile

import pytest

from dlbug_assets.labeling.sheets.reading.file_reader import read_file
from support.released_studies import ods
from support.workbooks import ErrorValue, workbook, zipped

QUESTIONS = dict.fromkeys(("is_bug", "root_cause", "place", "comment"), "; ")
COLUMNS = ["item_id", "rater", "batch", "bug_index", "title", "link", "pass", *QUESTIONS]
HEADER = ["item_id", "rater", "batch", "bug_index", "title", "is_bug", "root_cause", "place", "comment", "pass"]
BLANK = ["SO-1", "ann", "5", "1", "Title 1", "", "", "", "", "units"]
ROW = ["SO-1", "ann", "5", "1", "Title 1", "true", "", "line 3", "", "units"]
OTHER = ["SO-2", "ann", "5", "1", "Title 2", "false", "", "", "why", "units"]


def record(header, row):
    return {name: cell for name, cell in zip(header, row, strict=True) if cell}


READ = [(2, record(HEADER, ROW)), (3, record(HEADER, OTHER))]


@pytest.fixture
def read(tmp_path):
    """Return the rows, the reason and the notes of a file."""

    def read_content(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        *pieces, last = read_file(str(path), COLUMNS, QUESTIONS, ["ann", "bob"])
        rows = [(line, cells) for piece in pieces for line, cells in json.loads(piece)]
        outcome = json.loads(last)
        return ([] if outcome["reason"] else rows), outcome["reason"], outcome["notes"]

    return read_content


def csv_of(rows, separator=","):
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def with_column(name, cells, header=HEADER, rows=(ROW, OTHER)):
    return [[*header, name], *([*row, cell] for row, cell in zip(rows, cells, strict=True))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_of([HEADER, ROW, OTHER]).encode()),
        ("a.csv", csv_of([HEADER, ROW, OTHER], ";").encode("utf-16")),
        ("a.CSV", csv_of([HEADER, ROW, OTHER], "\t").encode("utf-16-le")),
        ("a.txt", csv_of([HEADER, ROW, OTHER], "\t").encode("utf-32")),
        ("a.tsv", csv_of([HEADER, ROW, OTHER], "\t").encode("utf-8-sig")),
        ("a.xlsx", workbook({"labels": [HEADER, ROW, OTHER], "codebook": [["dimension"]], "lists": [["place"]]})),
        ("a.ods", ods({"labels": [HEADER, ROW, OTHER], "instructions": [["Fill in"]]})),
    ],
)
def test_every_format_is_read_alike(read, name, content):
    assert read(name, content) == (READ, None, [])


def test_columns_are_found_by_names_without_case_blanks_and_hyphens_below_other_rows(read):
    header = ["Item ID", "RATER", "batch ", "Bug-Index", "Title", "is bug", "Root cause", "Place", " comment", "pass"]
    rows, reason, notes = read("a.csv", csv_of([["sep=,"], [], header, ROW, OTHER]).encode())
    assert (rows, reason, notes) == ([(4, READ[0][1]), (5, READ[1][1])], None, [])


def test_columns_may_stand_in_any_order(read):
    rows, _, _ = read("a.csv", csv_of([row[::-1] for row in (HEADER, ROW, OTHER)]).encode())
    assert rows == READ


def test_a_separator_is_that_of_the_header(read):
    row = ["SO-1", "ann", "5", "1", "a, b, c, d, e, f, g, h, i, j, k", "true", "", "line 3", "", "units"]
    rows, _, _ = read("a.csv", csv_of([["Sheet 5, of ann, for the study, of 2019,,"], HEADER, row], ";").encode())
    assert [cells["title"] for _, cells in rows] == ["a, b, c, d, e, f, g, h, i, j, k"]


@pytest.mark.parametrize("cells", [("", ""), ("line 3", ""), ("line 3", " ")])
def test_a_column_that_occurs_twice_is_read_if_its_cells_do_not_differ(read, cells):
    assert read("a.csv", csv_of(with_column("Place", cells)).encode()) == (READ, None, [])


def test_only_filled_cells_of_a_column_that_occurs_twice_are_read(read):
    rows, reason, _ = read("a.csv", csv_of(with_column("root_cause", ("Typo", "Logic"))).encode())
    assert ([cells["root_cause"] for _, cells in rows], reason) == (["Typo", "Logic"], None)


@pytest.mark.parametrize("cells", [("line 4", ""), ("", "line 3"), ("line 3", "line 3")])
def test_a_column_that_occurs_twice_with_different_cells_is_refused(read, cells):
    _, reason, _ = read("a.csv", csv_of(with_column("Place", cells)).encode())
    assert reason == "it has two columns 'place' with different cells; remove one of them"


@pytest.mark.parametrize(
    ("column", "cells", "notes"),
    [
        ("notes", ("x", "y"), ["the column 'notes' is not read"]),
        ("coment", ("", "y"), ["the column 'coment' is not read (did you mean 'comment'?)"]),
        ("", ("", "y"), ["the column 11 has no name and is not read"]),
        ("notes", ("", " "), []),
        ("content", ("text", "text"), []),
        ("Accepted answer", ("text", "text"), []),
        ("root_cause B", ("Typo", "Typo"), []),
        ("bugs A", ("1. line 3", ""), []),
        ("ann: comment", ("x", ""), []),
    ],
)
def test_columns_that_are_not_read_are_noted_if_they_have_cells_and_no_export_shows_them(read, column, cells, notes):
    assert read("a.csv", csv_of(with_column(column, cells)).encode()) == (READ, None, notes)


def test_a_row_with_more_cells_than_the_header_has_a_problem(read):
    rows, _, _ = read("a.csv", csv_of([HEADER, [*ROW, "more"], [*OTHER, "", " "]]).encode())
    problem = "it has more cells than the header; put cells with separators in quotes"
    assert rows == [(2, READ[0][1] | {"problem": problem}), READ[1]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (csv_of([[csv_of([row]).strip()] for row in (HEADER, ROW)]), "its header is a single cell, "),
        (csv_of([HEADER]) + csv_of([[csv_of([row]).strip()] for row in (ROW, OTHER)]), "line 2 is a single cell, "),
        (csv_of([HEADER], ";") + csv_of([ROW, OTHER]), "line 2 is a single cell, or is separated by another "),
        (csv_of([HEADER[::-1]], "\t") + csv_of([ROW[::-1]], ";"), "line 2 is a single cell, or is separated by "),
        ("item_id,batch\n", "the column rater is missing; start again from the exported sheet"),
        ("a,b\n", "the header (item_id, rater, ..) is missing; start again from the exported sheet"),
        ('item_id,"rater', "line 1 is not valid CSV: unexpected end of data; "),
    ],
)
def test_text_that_is_not_a_table_is_refused(read, content, reason):
    assert read("a.csv", content.encode())[1].startswith(reason)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.zip", b"PK", "it is an archive; unpack it and submit the sheets in it"),
        ("a.tar.gz", b"", "it is an archive; unpack it and submit the sheets in it"),
        ("a.xls", b"", "files with the suffix .xls are not read; submit .xlsx, .ods, .csv, .tsv or .json"),
        ("a", b"", "files without a suffix are not read; submit .xlsx, .ods, .csv, .tsv or .json"),
        (
            "a.csv",
            workbook({"labels": [HEADER, ROW]}),
            "its content is a workbook or an archive; give the file the suffix of its format",
        ),
        (
            "a.ods",
            bytes.fromhex("D0CF11E0A1B11AE1"),
            "it is protected by a password, or of a format before .xlsx: remove the password and save it as .xlsx "
            "again",
        ),
        (
            "a.csv",
            csv_of(with_column("lead_time", (3, 4), [*HEADER, "annotator"], ([*ROW, 1], [*OTHER, 1]))).encode(),
            "it is a table that Label Studio exports, in which several answers are one cell; export the project as "
            "JSON",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_fix(read, name, content, reason):
    assert read(name, content) == ([], reason, [])


@pytest.mark.parametrize("make", [lambda sheets: ("a.xlsx", workbook(sheets)), lambda sheets: ("a.ods", ods(sheets))])
def test_the_only_sheet_with_answers_is_read_and_others_with_rows_are_noted(read, make):
    sheets = {"Export Summary": [["made by"]], "labels": [HEADER, BLANK], "labels (2)": [HEADER, ROW, OTHER]}
    notes = ["the sheet 'Export Summary' is not read", "the sheet 'labels' is not read"]
    assert read(*make(sheets)) == (READ, None, notes)


def test_places_and_is_bug_are_no_answers_where_bugs_are_rated(read):
    shown = ["SO-1", "ann", "5", "1", "Title 1", "true", "", "line 3", "", "dimensions"]
    rated = ["SO-1", "ann", "5", "1", "Title 1", "true", "Typo", "line 3", "", "dimensions"]
    rows, reason, _ = read("a.xlsx", workbook({"labels": [HEADER, shown], "copy": [HEADER, rated]}))
    assert (rows, reason) == ([(2, record(HEADER, rated))], None)


def test_a_workbook_with_answers_in_several_sheets_is_refused(read):
    _, reason, _ = read("a.xlsx", workbook({"labels": [HEADER, ROW], "copy": [HEADER, OTHER]}))
    assert reason == (
        "its sheets 'labels', 'copy' all have answers; keep those that count in one, and delete the others"
    )


def test_the_first_sheet_is_read_if_none_has_answers(read):
    rows, _, notes = read("a.xlsx", workbook({"labels": [HEADER, BLANK], "empty": [], "copy": [HEADER, BLANK]}))
    assert (rows, notes) == ([(2, record(HEADER, BLANK))], ["the sheet 'copy' is not read"])


@pytest.mark.parametrize("value", ["#NAME?", "#DIV/0!", "Err:508"])
def test_a_failed_formula_is_a_problem_instead_of_a_blank(read, value):
    row = [*ROW[:7], ErrorValue(value), *ROW[8:]]
    (line, cells), other = read("a.xlsx", workbook({"labels": [HEADER, row, OTHER]}))[0]
    problem = f"place: its formula failed ({value}); write the text after an apostrophe"
    assert ((line, cells), other) == ((2, READ[0][1] | {"place": value, "problem": problem}), READ[1])


def test_a_failed_formula_of_libreoffice_is_a_problem_instead_of_a_blank(read):
    with zipfile.ZipFile(io.BytesIO(ods({"labels": [HEADER, [*ROW[:7], "#NAME?", *ROW[8:]]]}))) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    space = b"urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"
    parts["content.xml"] = (
        parts["content.xml"]
        .replace(b"<office:document-content ", b'<office:document-content xmlns:calcext="%b" ' % space)
        .replace(
            b' office:value-type="string"><text:p>#NAME?',
            b' office:value-type="string" office:string-value="" calcext:value-type="error"><text:p>#NAME?',
        )
    )
    assert b"calcext:value-type" in parts["content.xml"]
    ((_, cells),) = read("a.ods", zipped(parts))[0]
    assert cells["problem"] == "place: its formula failed (#NAME?); write the text after an apostrophe"


def test_texts_beside_the_answers_are_cut_and_only_a_long_answer_is_a_problem(read):
    rows, _, _ = read(
        "a.csv",
        csv_of(
            [HEADER, [*ROW[:4], "t" * 200_000, *ROW[5:]], [*OTHER[:8], "c" * 32_767, "units"], [*ROW[:7], "p" * 32_768]]
        ).encode(),
    )
    assert [cells["title"] for _, cells in rows] == ["t" * 1000, "Title 2", "Title 1"]
    assert rows[1][1]["comment"] == "c" * 32_767
    assert [cells.get("problem") for _, cells in rows] == [
        None,
        None,
        "place: it has more than 32,767 characters; shorten it",
    ]
    assert rows[2][1]["place"] == "p" * 100


COMMENTS = {
    "cp1251": ["ошибка в слое", "строка 3, неверная размерность тензора", "модель не сходится"],
    "cp1252": ["Größe der Tensoren stimmt nicht", "die Schleife läuft endlos, möglicherweise „falsch“"],
    "mac_roman": ["la dimension de la dernière couche est erronée", "perte très élevée après l'entraînement"],
    "cp1250": ["błędny kształt tensora, zła funkcja straty", "model się nie uczy, źle dobrana szybkość"],
    "gb18030": ["张量的形状不正确，需要修改最后一层", "模型不收敛，学习率太高"],  # noqa: RUF001
    "cp932": ["テンソルの形が正しくありません", "学習率が高すぎるのでモデルが収束しません"],
}


@pytest.mark.parametrize("encoding", COMMENTS)
def test_encodings_of_spreadsheets_are_detected_and_noted(read, encoding):
    rows = [[*ROW[:8], comment, "units"] for comment in COMMENTS[encoding]]
    found, reason, notes = read("a.csv", csv_of([HEADER, *rows], ";").encode(encoding))
    assert [cells["comment"] for _, cells in found] == COMMENTS[encoding]
    assert reason is None
    assert notes == [f"its text was read as {encoding.replace('_', '-')}"]


@pytest.mark.parametrize(
    "content",
    [
        csv_of([HEADER, [*ROW[:8], "Müll", "units"]]).encode("mac_roman"),
        csv_of([HEADER, [*ROW[:8], "Größe, schließlich", "units"]]).encode().replace(b"\xc3\x9f", b"\xc3", 1),
    ],
    ids=["one word", "damaged UTF-8"],
)
def test_an_encoding_that_is_not_clear_is_asked_for(read, content):
    _, reason, notes = read("a.csv", content)
    assert reason == "the encoding of its text is not clear; save it as CSV UTF-8, or as .xlsx"
    assert notes == []
