"""The questions about each bug that a study asks."""

import duckdb
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.assignments import columns
from dlbug_assets.protocol.dimensions import KEYWORDS, RESERVED, Dimension
from dlbug_assets.protocol.releases import FACTS
from dlbug_assets.protocol.study import load_study
from dlbug_assets.releases.label_rows import row_schema
from dlbug_assets.warehouse.table_specs import load_specs

STUDY = """
[study]
name = "tiny"
title = "A tiny study"
seed = 1

[[libraries]]
name = "Keras"

{dimensions}

[sources]
labels = "release"

[[releases]]
file = "bugs.csv"
columns = {{library = {{value = "Keras"}}, link = "Link", cause = "Cause"}}
"""
CAUSE = '[[dimensions]]\nname = "cause"\n'


def study_of(folder, *dimensions):
    (folder / "study.toml").write_text(STUDY.format(dimensions="\n".join(dimensions)), encoding="utf-8")
    return load_study(folder)


def error_of(folder, *dimensions):
    with pytest.raises(DlbugError) as caught:
        study_of(folder, *dimensions)
    return str(caught.value).removeprefix(f"{folder / 'study.toml'}: ")


def test_a_dimension_has_defaults_for_everything_but_its_name(tmp_path):
    (dimension,) = study_of(tmp_path, CAUSE).dimensions
    assert dimension == Dimension(
        name="cause", title="Cause", question=None, required=False, multiple=False, separator=";", asked_of="all"
    )
    assert dimension.is_asked


def test_keywords_are_those_of_duckdb():
    with duckdb.connect(":memory:") as connection:
        query = "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
        assert {name for (name,) in connection.execute(query).fetchall()} == KEYWORDS


@pytest.mark.parametrize("table", ["labels", "rater_labels", "items", "bug_labels"])
def test_no_dimension_can_have_the_name_of_another_column_of_a_table(table):
    study = load_study("islam2019")
    names = load_specs(study=study)[f"labeling.{table}"].column_names
    own = {name for name in names if name in study.dimension_names or name.endswith("_as_written")}
    assert set(names) - own - {"as_written"} <= RESERVED


def test_no_dimension_can_have_the_name_of_another_column_of_a_sheet_or_release():
    study = load_study("islam2019")
    of_releases = {name for name in row_schema(study) if name.removesuffix("_as_written") not in study.asked_names}
    assert {*columns([]), *FACTS, *of_releases} <= RESERVED


@pytest.mark.parametrize("name", ["select", "order", "pivot_longer"])
def test_a_keyword_of_sql_is_an_error(tmp_path, name):
    expected = f"dimensions.1.name: {name!r} is a keyword of SQL, but it names columns: use another one"
    assert error_of(tmp_path, CAUSE, f"[[dimensions]]\nname = {name!r}") == expected


@pytest.mark.parametrize("name", ["library", "bug_id", "comment", "cause_as_written", "sheet"])
def test_a_reserved_column_is_an_error(tmp_path, name):
    expected = f"dimensions.1.name: {name!r} is the name of another column: use another one"
    assert error_of(tmp_path, CAUSE, f"[[dimensions]]\nname = {name!r}") == expected


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [
        ([CAUSE, CAUSE], "dimensions: two of them have the name 'cause'"),
        (
            [CAUSE, '[[dimensions]]\nname = "other"\ntitle = "cause"'],
            "dimensions: two of them have the name 'cause'",
        ),
        (
            [CAUSE, '[[dimensions]]\nname = "kind"\nrolls_up = "cuase"'],
            "dimensions: kind rolls up 'cuase', which is not one of cause (did you mean 'cause'?)",
        ),
        (
            [CAUSE, '[[dimensions]]\nname = "a"\nrolls_up = "b"', '[[dimensions]]\nname = "b"\nrolls_up = "a"'],
            "dimensions: a rolls up 'b', which is not one of cause",
        ),
        (['[[dimensions]]\nname = "cause"\nrolls_up = "cause"'], "dimensions: none of them is asked"),
        (
            [CAUSE + "required = true\nasked_of = {posts_per_library = 3}"],
            "dimensions.0 ('cause'): a required dimension is asked of every bug: leave out asked_of, or required",
        ),
        (
            [CAUSE, '[[dimensions]]\nname = "kind"\nrolls_up = "cause"\nrequired = true'],
            "dimensions.1 ('kind'): a dimension that rolls_up another one is derived: leave out required, multiple, "
            "asked_of",
        ),
        ([CAUSE + 'before = "-"'], "dimensions.0 ('cause'): before is for a dimension that rolls_up another one"),
        (
            [CAUSE.replace("cause", "Root cause")],
            "dimensions.0.name: use a small letter, then up to 39 small letters, digits or _ (it names columns)",
        ),
    ],
)
def test_dimensions_that_do_not_fit_are_an_error(tmp_path, dimensions, expected):
    assert error_of(tmp_path, *dimensions) == expected


def test_a_roll_up_of_several_categories_has_several(tmp_path):
    study = study_of(tmp_path, f"{CAUSE}multiple = true", '[[dimensions]]\nname = "kind"\nrolls_up = "cause"')
    assert [(each.name, each.multiple, each.is_asked) for each in study.dimensions] == [
        ("cause", True, True),
        ("kind", True, False),
    ]
