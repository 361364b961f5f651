"""schema.yml describes the tables; errors in it are reported with file and line."""

import textwrap

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.table_specs import described_tables, load_specs, slug

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


STUDY = """
[study]
name = "tiny"
title = "A tiny study"
seed = 1

[[libraries]]
name = "Keras"

[[dimensions]]
name = "cause"
required = true

[[dimensions]]
name = "parts"
title = "Affected parts"
multiple = true

[[dimensions]]
name = "kind"
rolls_up = "cause"

[sources]
labels = "release"
names = ["Before 2020", "Since 2020"]

[[releases]]
file = "bugs.csv"
columns = {library = {value = "Keras"}, link = "Link", source = "When", cause = "Cause"}
"""
OF_A_STUDY = """
version: 2
models:
  - name: wide
    description: One row per bug.
    grain: [bug]
    columns:
      - {name: bug, data_type: BIGINT, description: Its number}
      - {each: dimensions, name: "{dimension}", data_type: "{data_type}", description: "{title} of the bug"}
      - {each: required, name: "{dimension}_written", data_type: VARCHAR, description: "{title} as written"}
      - {each: sources, name: "bugs_{source}", data_type: BIGINT, description: "Bugs of {source_name}"}
      - {each: second_source, name: "expected_{source}", data_type: DOUBLE, description: "Of {source_name}"}
  - name: "{dimension}_counts"
    each: asked
    description: Counts of {title}.
    grain: [source]
    columns:
      - name: source
        data_type: VARCHAR
        description: The source
        tests:
          - accepted_values: {values: [$sources, both]}
      - {name: dimension, data_type: VARCHAR, description: Which, tests: [accepted_values: {values: [$asked]}]}
  - name: pairs
    needs: {sources: 2}
    description: Two sources or more.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
  - name: threes
    needs: {sources: 3}
    description: Three sources or more.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
  - name: exactly_two
    needs: {two_sources: true}
    description: Two sources.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
  - name: crossed
    needs: {dimensions: [cause, kind]}
    description: Has both dimensions.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
  - name: other
    needs: {dimensions: [cause, effect]}
    description: Lacks one of them.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
  - name: claimed
    needs: {claims: true}
    description: Needs claims.
    grain: [source]
    columns:
      - {name: source, data_type: VARCHAR, description: The source}
"""


def specs_of_a_study(folder, *, claims=False):
    (folder / "analysis").mkdir()
    (folder / "analysis" / "schema.yml").write_text(OF_A_STUDY, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    if claims:
        (folder / "claims.toml").write_text("[[claims]]\n", encoding="utf-8")
    return load_specs(folder, load_study(folder))


def test_columns_are_repeated_for_dimensions_and_sources_of_the_study(tmp_path):
    spec = specs_of_a_study(tmp_path)["analysis.wide"]
    assert [(column.name, column.data_type, column.description) for column in spec.columns] == [
        ("bug", "BIGINT", "Its number"),
        ("cause", "VARCHAR", "Cause of the bug"),
        ("parts", "VARCHAR[]", "Affected parts of the bug"),
        ("kind", "VARCHAR", "Kind of the bug"),
        ("cause_written", "VARCHAR", "Cause as written"),
        ("bugs_before_2020", "BIGINT", "Bugs of Before 2020"),
        ("bugs_since_2020", "BIGINT", "Bugs of Since 2020"),
        ("expected_since_2020", "DOUBLE", "Of Since 2020"),
    ]


def test_tables_are_repeated_for_asked_dimensions_and_values_stand_for_those_of_the_study(tmp_path):
    specs = specs_of_a_study(tmp_path)
    assert {name for name in specs if name.endswith("_counts")} == {"analysis.cause_counts", "analysis.parts_counts"}
    spec = specs["analysis.parts_counts"]
    assert spec.description == "Counts of Affected parts."
    checks = {check.name: check.violations for check in spec.checks}
    assert "not in ('Before 2020', 'Since 2020', 'both')" in checks["accepted_values_source"]
    assert "not in ('cause', 'parts')" in checks["accepted_values_dimension"]


def test_tables_that_a_study_lacks_something_for_are_left_out(tmp_path):
    specs = specs_of_a_study(tmp_path)
    assert set(specs) == {
        "analysis.wide",
        "analysis.cause_counts",
        "analysis.parts_counts",
        "analysis.pairs",
        "analysis.exactly_two",
        "analysis.crossed",
    }


def test_tables_of_claims_exist_where_the_study_has_some(tmp_path):
    assert "analysis.claimed" in specs_of_a_study(tmp_path, claims=True)


def test_without_a_study_only_tables_that_do_not_depend_on_one_are_described(tmp_path):
    specs_of_a_study(tmp_path)
    names = ("pairs", "threes", "exactly_two", "crossed", "other", "claimed")
    assert set(load_specs(tmp_path)) == {f"analysis.{name}" for name in names}
    assert described_tables(tmp_path) >= {f"analysis.{name}" for name in ("wide", *names)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Stack Overflow", "stack_overflow"), ("IaC program", "iac_program"), ("C++ & C#", "c_c"), ("GitHub", "github")],
)
def test_a_source_in_the_name_of_a_column_has_only_letters_digits_and_underscores(name, expected):
    assert slug(name) == expected
