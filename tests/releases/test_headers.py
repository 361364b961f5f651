"""The columns of a file of any format, before anybody has said what they mean."""

import json

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.releases.headers import read_columns
from support.released_studies import ods
from support.workbooks import workbook

ROWS = (("", "Bugs of 2020", ""), ("Link", " Symptom ", "Note"), ("x:1", "Crash", ""), ("x:2", "Crash", "at  night"))
COLUMNS = {"Link": ["x:1", "x:2"], "Symptom": ["Crash"], "Note": ["at night"]}
RECORDS = [{"Link": "x:1", "Symptom": "Crash"}, {"Link": "x:2", "Symptom": "Crash", "Note": "at night"}]


def columns_of(tmp_path, content, kind):
    path = tmp_path / "bugs"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [tuple(json.loads(line).values()) for line in read_columns(str(path), kind)]


@pytest.mark.parametrize(
    ("content", "kind", "sheet", "rows"),
    [
        ("".join(";".join(row) + "\n" for row in ROWS), "csv", None, None),
        (workbook({"Empty": [], "Bugs": ROWS}), "workbook", "Bugs", None),
        (ods({"Bugs": ROWS}), "workbook", "Bugs", None),
        (json.dumps(RECORDS), "json", None, "$[*]"),
        (json.dumps({"n": 2, "all bugs": {"a": RECORDS[0], "b": RECORDS[1]}}), "json", None, '$["all bugs"].*'),
        ("\n".join(map(json.dumps, RECORDS)), "json lines", None, None),
    ],
)  # fmt: skip
def test_columns_are_listed_with_some_values(tmp_path, content, kind, sheet, rows):
    assert columns_of(tmp_path, content, kind) == [(sheet, rows, COLUMNS)]


def test_objects_in_objects_may_be_rows_or_hold_them(tmp_path):
    found = columns_of(tmp_path, json.dumps({"bugs": dict(enumerate(RECORDS))}), "json")
    assert [rows for _, rows, _ in found] == ["$.*", '$["bugs"].*']


def test_values_are_the_beginnings_of_different_ones(tmp_path):
    cells = [50 * "ab", *(f"v{number}" for number in range(9))]
    (found,) = columns_of(tmp_path, "\n".join(["Link", *cells]), "csv")
    assert found[2] == {"Link": [20 * "ab", "v0", "v1", "v2", "v3"]}


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        ("", "csv", "it has no row with the names of columns"),
        ("{}", "json", "it has no row with the names of columns"),
        ("[1, 2]", "json", "it has no row with the names of columns"),
        ("{", "json", "it is not valid JSON"),
        ("{", "json lines", "it is not valid JSON"),
        ('"a', "csv", "line 1 is not valid CSV"),
        ("PK", "workbook", "it cannot be read as a workbook"),
    ],
)
def test_a_file_without_columns_is_refused_with_the_reason(tmp_path, content, kind, reason):
    with pytest.raises(DlbugError, match=reason):
        columns_of(tmp_path, content, kind)
