"""Files of every format are read alike; what cannot be read is named."""

import json

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from support.bombs import MIB
from support.released_studies import HEADER, ROWS, csv_text, json_lines, ods, read, records, study_of
from support.workbooks import workbook, zipped

#: Library, link and labels of ROWS.
READ = [
    ("Alpha", "https://example.org/1", ["Crash"], ["Typo"], ["file", "port"], ["at night"]),
    ("Beta", "https://example.org/2", ["Hang"], None, None, None),
]


def labels_of(tmp_path, name: str, content: bytes, **release) -> list[tuple]:
    (tmp_path / name).write_bytes(content)
    rows = read(study_of(tmp_path, {"file": name, **release})).rows
    return rows.select("library", "link", "symptom", "cause", "inputs", "remark").rows()


def error_of(tmp_path, name: str, content: bytes, **release) -> str:
    with pytest.raises(DlbugError) as caught:
        labels_of(tmp_path, name, content, **release)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "release"),
    [
        ("bugs.csv", csv_text().encode(), {}),
        ("bugs.CSV", csv_text().encode(), {}),
        ("bugs.tsv", csv_text(separator="\t").encode(), {}),
        ("bugs.txt", csv_text(separator="|").encode(), {}),
        ("bugs.xlsx", workbook({"Bugs": [HEADER, *ROWS]}), {}),
        ("bugs.ods", ods({"Bugs": [HEADER, *ROWS]}), {}),
        ("bugs.json", json.dumps(records()).encode(), {"rows": "$[*]"}),
        ("bugs.json", json.dumps({"meta": 1, "bugs": records()}).encode(), {"rows": "$.bugs[*]"}),
        ("bugs.jsonl", json_lines().encode(), {}),
        ("bugs.ndjson", json_lines().encode(), {}),
    ],
)
def test_every_format_is_read_alike(tmp_path, name, content, release):
    assert labels_of(tmp_path, name, content, **release) == READ


@pytest.mark.parametrize("separator", [",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "mac_roman"])
def test_separator_and_encoding_are_detected(tmp_path, separator, encoding):
    rows = [(*ROWS[0][:5], "naïve später schließlich gelöst"), ROWS[1]]
    content = csv_text(rows, separator=separator).encode(encoding)
    assert labels_of(tmp_path, "bugs.csv", content)[0][5] == ["naïve später schließlich gelöst"]


def test_semicolons_separate_cells_where_they_do_so_in_the_header(tmp_path):
    rows = [(*ROWS[0][:4], '"file;port"', ROWS[0][5]), ROWS[1]]
    assert labels_of(tmp_path, "bugs.csv", csv_text(rows, separator=";").encode()) == READ


def test_given_separator_and_encoding_are_used(tmp_path):
    rows = [(*ROWS[0][:5], "夜間"), ROWS[1]]
    content = csv_text(rows, separator="^").encode("shift_jis")
    assert labels_of(tmp_path, "bugs.csv", content, separator="^", encoding="shift_jis")[0][5] == ["夜間"]


@pytest.mark.parametrize(
    ("encoding", "release"),
    [("utf-16-le", {"encoding": "utf-8"}), ("shift_jis", {"encoding": "utf-8"}), ("cp1252", {"encoding": "ascii"})],
)
def test_a_text_in_another_encoding_is_an_error(tmp_path, encoding, release):
    content = csv_text([(*ROWS[0][:5], "夜" if encoding == "shift_jis" else "ä")]).encode(encoding)
    assert "bugs.csv: it is not text in" in error_of(tmp_path, "bugs.csv", content, **release)
    assert "set encoding to its encoding" in error_of(tmp_path, "bugs.csv", content, **release)


def test_cells_in_quotes_may_have_separators_and_lines(tmp_path):
    content = csv_text([(*ROWS[0][:5], '"one, two\nthree"'), ROWS[1]]).encode()
    (tmp_path / "bugs.csv").write_bytes(content)
    rows = read(study_of(tmp_path, {"file": "bugs.csv"})).rows
    assert rows["remark_as_written"].to_list() == [["one, two\nthree"], None]
    assert rows["row"].to_list() == [2, 4]


def test_a_header_below_a_title_is_found(tmp_path):
    content = f"Bugs of 2020,,\n\n{csv_text()}".encode()
    (tmp_path / "bugs.csv").write_bytes(content)
    assert read(study_of(tmp_path, {"file": "bugs.csv"})).rows["row"].to_list() == [4, 5]


@pytest.mark.parametrize("change", [str.upper, lambda name: f" {name} "])
def test_case_and_blanks_of_column_names_do_not_matter(tmp_path, change):
    content = csv_text(header=[change(name) for name in HEADER]).encode()
    assert labels_of(tmp_path, "bugs.csv", content) == READ


@pytest.mark.parametrize("name", ["bugs.xlsx", "bugs.ods"])
def test_the_only_sheet_with_the_columns_is_read(tmp_path, name):
    write = workbook if name.endswith("xlsx") else ods
    content = write({"Notes": [("Library", "Link")], "Bugs": [HEADER, *ROWS], "Pivot": [("Crash", "1")]})
    (tmp_path / name).write_bytes(content)
    rows = read(study_of(tmp_path, {"file": name})).rows
    assert rows.select("file", "sheet", "row").rows() == [(name, "Bugs", 2), (name, "Bugs", 3)]


def test_a_named_sheet_is_read(tmp_path):
    content = workbook({"Old": [HEADER, ROWS[1]], "New": [HEADER, *ROWS]})
    assert labels_of(tmp_path, "bugs.xlsx", content, sheet="New") == READ
    message = error_of(tmp_path, "bugs.xlsx", content)
    assert message.startswith("bugs.xlsx: 2 sheets have the columns Library, Link, Symptom, Cause, Inputs, Remark,")
    message = error_of(tmp_path, "bugs.xlsx", content, sheet="Nev")
    assert message == "bugs.xlsx: it has no sheet 'Nev' (did you mean 'New'?). Found: 'Old', 'New'"


def test_members_of_a_zip_are_read_relative_to_its_folder(tmp_path):
    content = zipped({"data/a/bugs.csv": csv_text(ROWS[:1]).encode(), "data/b.jsonl": json_lines(ROWS[1:]).encode()})
    release = {"folder": "data", "members": ["a/bugs.csv", "b.jsonl"]}
    assert labels_of(tmp_path, "release.zip", content, **release) == READ
    rows = read(study_of(tmp_path, {"file": "release.zip", **release})).rows
    assert rows["file"].to_list() == ["a/bugs.csv", "b.jsonl"]
    message = error_of(tmp_path, "release.zip", content, folder="data", member="a/bug.csv")
    assert f"{tmp_path / 'release.zip'} has no member data/a/bug.csv (did you mean 'data/a/bugs.csv'?)" in message


def test_several_files_of_a_folder_are_one_release(tmp_path):
    (tmp_path / "data").mkdir()
    for number, row in enumerate(ROWS):
        (tmp_path / "data" / f"{number}.csv").write_text(csv_text([row]), encoding="utf-8")
    rows = read(study_of(tmp_path, {"path": "data", "files": ["0.csv", "1.csv"]})).rows
    assert rows.select("library", "file", "row").rows() == [("Alpha", "0.csv", 2), ("Beta", "1.csv", 2)]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("Symptom = 'Hang'", ["Beta"]),
        ("Symptom = 'Hang' or Cause = 'Typo'", ["Alpha", "Beta"]),
        ("Cause is not null and Remark like '%night'", ["Alpha"]),
        ("\"Link\" in ('https://example.org/2')", ["Beta"]),
        ("Symptom = 'Melts'", []),
    ],
)
@pytest.mark.parametrize("name", ["bugs.xlsx", "bugs.jsonl"])
def test_a_condition_selects_rows(tmp_path, where, kept, name):
    content = json_lines().encode() if name == "bugs.jsonl" else workbook({"Bugs": [HEADER, *ROWS]})
    assert [row[0] for row in labels_of(tmp_path, name, content, where=where)] == kept


@pytest.mark.parametrize(
    "where", ["Symptom =", "Symptoms = 'Hang'", "Symptom", "(select 1)", "read_csv('/etc/passwd')"]
)
def test_an_invalid_condition_is_an_error_with_the_columns(tmp_path, where):
    message = error_of(tmp_path, "bugs.csv", csv_text().encode(), where=where)
    assert message.startswith(f"bugs.csv: where: {where!r} is not a condition on its columns: ")
    assert message.endswith("Found: 'Library', 'Link', 'Symptom', 'Cause', 'Inputs', 'Remark'")


def test_keys_and_paths_of_json_are_columns(tmp_path):
    content = {
        "A-1": {"where": {"library": "Alpha"}, "labels": [{"symptom": "Crash"}], "Root cause": "Typo"},
        "A-2": {"where": {"library": "Beta"}, "labels": [{"symptom": "Hang"}], "Root cause": None},
    }
    (tmp_path / "bugs.json").write_text(json.dumps(content), encoding="utf-8")
    columns = {
        "key": "$.*~", "library": "where.library", "symptom": "$.labels[*].symptom", "cause": "Root cause",
    }  # fmt: skip
    rows = read(study_of(tmp_path, {"file": "bugs.json", "rows": "$.*", "columns": columns})).rows
    assert rows.select("key", "library", "symptom", "cause", "row").rows() == [
        ("A-1", "Alpha", ["Crash"], ["Typo"], 1),
        ("A-2", "Beta", ["Hang"], None, 2),
    ]


def test_numbers_and_truth_values_of_json_are_texts(tmp_path):
    rows = [{"id": 7, "Library": "Alpha", "Symptom": True}]
    columns = {"key": "id", "library": "Library", "symptom": {"column": "Symptom", "map": {"true": "Crash"}}}
    (tmp_path / "bugs.json").write_text(json.dumps(rows), encoding="utf-8")
    found = read(study_of(tmp_path, {"file": "bugs.json", "rows": "$[*]", "columns": columns})).rows
    assert found.select("key", "symptom", "symptom_as_written").rows() == [("7", ["Crash"], ["true"])]


@pytest.mark.parametrize(
    ("name", "content", "release"),
    [
        ("bugs.csv", csv_text(header=("Library", "Link", "Symptoms", *HEADER[3:])).encode(), {}),
        ("bugs.xlsx", workbook({"Bugs": [("Library", "Link", "Symptoms", *HEADER[3:]), *ROWS]}), {}),
    ],
)
def test_a_missing_column_is_an_error_with_the_nearest_and_all(tmp_path, name, content, release):
    assert error_of(tmp_path, name, content, **release) == (
        f"{name}: it has no column 'Symptom', which releases.0.columns.symptom of {tmp_path / 'study.toml'} names (did "
        "you mean 'Symptoms'?). "
        "Found: 'Library', 'Link', 'Symptoms', 'Cause', 'Inputs', 'Remark'"
    )


def test_a_missing_key_of_json_is_an_error_with_the_nearest_and_all(tmp_path):
    renamed = [{("Symptoms" if name == "Symptom" else name): cell for name, cell in row.items()} for row in records()]
    assert error_of(tmp_path, "bugs.json", json.dumps(renamed).encode(), rows="$[*]") == (
        f"bugs.json: none of its rows has 'Symptom', which releases.0.columns.symptom of {tmp_path / 'study.toml'} "
        "names (did you mean 'Symptoms'?). "
        "Found: 'Library', 'Link', 'Symptoms', 'Cause', 'Inputs', 'Remark'"
    )


@pytest.mark.parametrize(
    ("name", "content", "release", "message"),
    [
        ("bugs.csv", b"", {}, "it has no column 'Library', which releases.0."),
        ("bugs.csv", csv_text(header=(*HEADER[:5], "Link")).encode(), {}, "it has no column 'Remark'"),
        ("bugs.csv", csv_text(header=(*HEADER, "Link")).encode(), {}, "it has two columns 'Link': rename one of them"),
        ("bugs.csv", f"{csv_text()}Alpha,x,Crash,Typo,file,at night,more\n".encode(), {}, "line 4 has more cells than"),
        ("bugs.csv", f'{csv_text()}"Alpha,x'.encode(), {}, "line 4 is not valid CSV: unexpected end of data"),
        ("bugs.xlsx", b"", {}, "it cannot be read as a workbook"),
        ("bugs.xlsx", b"not a workbook", {}, "it cannot be read as a workbook"),
        ("bugs.ods", zipped({"content.xml": b"<"}), {}, "it cannot be read as a workbook"),
        ("bugs.json", b"[", {"rows": "$[*]"}, "it is not valid JSON: "),
        ("bugs.json", b"\xff", {"rows": "$[*]"}, "it is not valid JSON: "),
        ("bugs.json", b"[" * MIB, {"rows": "$[*]"}, "it is not valid JSON: "),
        ("bugs.json", b"[" + b"{}," * 3_000_000 + b"{}]", {"rows": "$[*]"}, "it has more than 2,000,000 values"),
        ("bugs.json", b"{}", {"rows": "$.bugs[*]"}, "rows: nothing is at $.bugs[*]"),
        ("bugs.jsonl", b'{"a": 1}\n{"a"', {}, "line 2 is not valid JSON: "),
        ("release.zip", b"<html>moved</html>", {"member": "bugs.csv"}, "cannot be read as a zip: File is not"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path, name, content, release, message):
    found = error_of(tmp_path, name, content, **release)
    assert found.startswith(f"{release.get('member', name)}: ")
    assert message in found


@pytest.mark.parametrize("name", ["bugs.csv", "bugs.jsonl"])
def test_more_rows_than_any_study_has_are_an_error(tmp_path, name):
    content = csv_text(ROWS[:1] * 250_001) if name == "bugs.csv" else json_lines(ROWS[:1]) * 250_001
    assert error_of(tmp_path, name, content.encode()) == f"{name}: it has more than 250,000 rows"


def test_rows_without_any_of_the_columns_are_left_out(tmp_path):
    content = csv_text([ROWS[0], ("",) * 6, ROWS[1]]).encode()
    (tmp_path / "bugs.csv").write_bytes(content)
    assert read(study_of(tmp_path, {"file": "bugs.csv"})).rows["row"].to_list() == [2, 4]


def test_a_file_without_rows_is_an_empty_release(tmp_path):
    (tmp_path / "bugs.csv").write_text(csv_text([]), encoding="utf-8")
    rows = read(study_of(tmp_path, {"file": "bugs.csv"})).rows
    assert rows.is_empty()
    assert rows.schema["inputs"] == pl.List(pl.String)
