"""schema.yml describes the tables; errors in it are reported with file and line."""

import textwrap

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse.table_specs import load_specs

TABLE = """
version: 2
models:
  - name: bugs
    description: One row per bug.
    grain: [library, bug]
    columns:
      - {name: library, data_type: VARCHAR, description: Its library}
      - {name: bug, data_type: BIGINT, description: Its number}
      - name: kind
        data_type: VARCHAR
        description: What it is
        tests:
          - accepted_values: {values: ["Crash", "it's slow"]}
          - relationships: {to: reference.kinds, field: name, where: "origin = 'paper'"}
    tests:
      - expression: {name: bug_is_positive, sql: "bug > 0", severity: warn}
"""


def specs(folder, text):
    (folder / "analysis").mkdir()
    (folder / "analysis" / "schema.yml").write_text(textwrap.dedent(text), encoding="utf-8")
    return load_specs(folder)


def test_columns_keep_their_order(tmp_path):
    spec = specs(tmp_path, TABLE)["analysis.bugs"]
    assert [(column.name, column.data_type) for column in spec.columns] == [
        ("library", "VARCHAR"),
        ("bug", "BIGINT"),
        ("kind", "VARCHAR"),
    ]
    assert spec.grain == ("library", "bug")
    assert spec.source == f"{tmp_path}/analysis/schema.yml, line 4"


def test_the_grain_implies_not_null_and_unique_checks(tmp_path):
    spec = specs(tmp_path, TABLE)["analysis.bugs"]
    assert {check.name: check.blocking for check in spec.checks} == {
        "not_null_library_bug": True,
        "unique_library_bug": True,
        "accepted_values_kind": True,
        "relationships_kind": True,
        "bug_is_positive": False,
    }


def test_an_expression_can_have_a_description_and_columns_to_show(tmp_path):
    options = "severity: warn, description: Bugs count from 1, shows: [library, bug]"
    *_, plain = specs(tmp_path, TABLE)["analysis.bugs"].checks
    assert (plain.description, plain.violations) == (
        "bug > 0 holds for every row",
        "select * from analysis.bugs where not (bug > 0)",
    )
    (tmp_path / "other").mkdir()
    *_, described = specs(tmp_path / "other", TABLE.replace("severity: warn", options))["analysis.bugs"].checks
    assert (described.description, described.violations) == (
        "Bugs count from 1",
        'select "library", "bug" from analysis.bugs where not (bug > 0)',
    )


def test_values_are_quoted(tmp_path):
    checks = {check.name: check.violations for check in specs(tmp_path, TABLE)["analysis.bugs"].checks}
    assert "not in ('Crash', 'it''s slow')" in checks["accepted_values_kind"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("description: One row per bug.", "", "line 4: 'bugs' lacks a description"),
        ("description: Its number", "description: ", "line 9: 'bug' lacks a description"),
        ("grain: [library, bug]", "", "line 4: 'bugs' lacks a grain"),
        ("grain: [library, bug]", "grain: [library, bog]", "line 4: the grain of bugs names 'bog'"),
        ("data_type: BIGINT, ", "type: BIGINT, ", "line 9: unknown key 'type'"),
        ("name: bug,", "name: library,", "line 4: bugs has two columns 'library'"),
        ("severity: warn", "severity: mild", "severity is 'error' or 'warn', not 'mild'"),
        ("accepted_values:", "acceptable:", "line 10: unknown test"),
        ("      - expression:", "      - impression:", "line 4: unknown test"),
        ("models:", "modules:", "line 2: unknown key 'modules'"),
        ("    grain", "  grain", "not valid YAML"),
    ],
)
def test_errors_name_file_and_line(tmp_path, old, new, expected):
    with pytest.raises(DlbugError) as caught:
        specs(tmp_path, TABLE.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path}/analysis/schema.yml")
    assert expected in str(caught.value)


def test_a_folder_that_is_not_a_stage_is_rejected(tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "schema.yml").write_text(TABLE, encoding="utf-8")
    with pytest.raises(DlbugError, match="the folder 'utils' is not a stage"):
        load_specs(tmp_path)


def test_every_shipped_table_has_checks_on_its_grain():
    for spec in load_specs().values():
        names = {check.name for check in spec.checks}
        assert {f"not_null_{'_'.join(spec.grain)}", f"unique_{'_'.join(spec.grain)}"} <= names


def test_relationships_are_dependencies_of_the_table(tmp_path):
    assert specs(tmp_path, TABLE)["analysis.bugs"].checked_against == {"reference.kinds"}
