"""Categories, their spellings and parents."""

import os

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import Category, Mapping, Taxonomy, load_taxonomy, parent_of


def test_the_papers_taxonomy_has_its_categories():
    taxonomy = load_taxonomy(load_study("islam2019"))
    counts = {
        dimension: len(taxonomy.names(dimension))
        for dimension in ("library", "source", "bug_type", "root_cause", "effect", "stage", "antipattern")
    }
    assert counts == {
        "library": 5,
        "source": 2,
        "bug_type": 12,
        "root_cause": 10,
        "effect": 7,
        "stage": 7,
        "antipattern": 7,
    }


@pytest.mark.parametrize(
    ("dimension", "written", "category"),
    [
        ("bug_type", "data Bug", "Data Bug"),
        ("bug_type", "SB.CSB", "Structural Control and Sequence Bug"),
        ("bug_type", "NMSB.Logic Bugs", "Non Model Structural Logic Bug"),
        ("root_cause", "Incorrect Model Parameter or Structure (IPS) ", "Incorrect Model Parameter or Structure"),
        ("root_cause", "Structure Ineffciency (SI) (non functional)", "Structure Inefficiency"),
        ("effect", "Performance", "Bad Performance"),
        ("effect", " memory   out of BOUND ", "Memory Out of Bound"),
        ("library", "TF", "Tensorflow"),
    ],
)
def test_spellings_are_resolved_to_their_category(dimension, written, category):
    taxonomy = load_taxonomy(load_study("islam2019"))
    assert taxonomy.fold(dimension, written) == category
    assert taxonomy.mapping_of(dimension, written) is None


def test_labels_outside_of_the_taxonomy_are_resolved_by_their_mapping():
    taxonomy = load_taxonomy(load_study("islam2019"))
    assert taxonomy.fold("bug_type", "Logic Bug") == "Structural Logic Bug"
    mapping = taxonomy.mapping_of("bug_type", "Logic Bug")
    assert mapping is not None
    assert mapping.reason
    assert taxonomy.fold("root_cause", "Absence of backward compatibility while versioning") == "API Change"


def test_an_unknown_label_is_not_resolved():
    assert load_taxonomy(load_study("islam2019")).fold("bug_type", "Cosmic Ray") is None
    assert load_taxonomy(load_study("islam2019")).fold("effect", "Data Bug") is None


def test_a_spelling_of_two_categories_is_rejected():
    with pytest.raises(DlbugError, match="'crash' is a spelling of both 'Crash' and 'Hang'"):
        Taxonomy([Category("effect", "CR", "Crash"), Category("effect", "HG", "Hang", ("crash",))])


def study_with_extra(path):
    study = load_study("sample")
    return study.model_copy(update={"taxonomy": study.taxonomy.model_copy(update={"extra": path})})


def test_a_study_adds_its_own_categories(tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text("dimension,code,name,aliases\neffect,SLOW,Slow Training,slow | sluggish\n", encoding="utf-8")
    taxonomy = load_taxonomy(study_with_extra(extra))
    assert taxonomy.names("effect")[-1] == "Slow Training"
    assert taxonomy.fold("effect", "Sluggish") == "Slow Training"
    assert taxonomy.categories[-1].origin == "study"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "efect,X,Red,",
            "line 2: dimension: 'efect' is not one of bug_type, root_cause, effect, stage, antipattern, library, "
            "source (did you mean 'effect'?)",
        ),
        ("effect,X,,", "line 2: name: missing"),
        ("effect,X,Crash,", "line 2: 'Crash' is already a category of effect: a category has one row and one parent"),
        ("effect,X,crash,", "line 2: 'crash' is a spelling of 'Crash' already"),
        ("effect,X,Slow,crash", "line 2: 'crash' is a spelling of 'Crash' already"),
        ("effect,X,Slow,\neffect,Y,Slow,", "line 3: 'Slow' is already a category of effect"),
        ("effect,X,None,", "line 2: 'None' means that a bug has no label"),
        (f"effect,X,{'x' * 101},", "line 2: 'xxxx"),
        ("effect,X,Slow,,,more", "line 2: 6 cells, but the file has 4 columns: quote cells with commas"),
        (f"effect,X,Slow,{'x' * 2001}", "line 2: 'xxxx"),
        (f"effect,X,Slow,{'x' * 200_000}", "line 2: 'xxxx"),
        ("effect,X,Slow\x1b[2J,", "line 2: contains the control character U+001B: remove it"),
    ],
)
def test_an_invalid_row_of_the_studys_own_taxonomy_is_an_error(tmp_path, row, expected):
    extra = tmp_path / "extra.csv"
    extra.write_text(f"dimension,code,name,aliases\n{row}\n", encoding="utf-8")
    with pytest.raises(DlbugError) as caught:
        load_taxonomy(study_with_extra(extra))
    assert f"{extra}, {expected}" in str(caught.value)


def test_a_missing_taxonomy_file_is_an_error(tmp_path):
    with pytest.raises(
        DlbugError, match="cannot read .*nope.csv: No such file or directory. Make the file readable, or name another"
    ):
        load_taxonomy(study_with_extra(tmp_path / "nope.csv"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_taxonomy_file_in_another_encoding_is_an_error(tmp_path, encoding):
    extra = tmp_path / "extra.csv"
    extra.write_text("dimension,code,name\neffect,X,Überlauf\n", encoding=encoding)
    with pytest.raises(DlbugError, match=rf"^{extra}, line [12]: not valid UTF-8 .*; save it as UTF-8$"):
        load_taxonomy(study_with_extra(extra))


def test_a_byte_order_mark_and_blank_lines_of_a_taxonomy_file_are_skipped(tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text("dimension,code,name\n\neffect,X,Überlauf\n\n", encoding="utf-8-sig")
    assert load_taxonomy(study_with_extra(extra)).fold("effect", "überlauf") == "Überlauf"


def test_blank_lines_and_cells_of_several_lines_are_counted(tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text('dimension,name,example\n\neffect,Slow,"a\nb"\neffect,None,\n', encoding="utf-8")
    with pytest.raises(DlbugError, match=rf"^{extra}, line 5: 'None' means that a bug has no label$"):
        load_taxonomy(study_with_extra(extra))


def test_a_column_that_occurs_twice_is_an_error(tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text("dimension,code,name,name\neffect,X,Slow,Slower\n", encoding="utf-8")
    with pytest.raises(DlbugError, match=rf"^{extra}: the column 'name' occurs twice: rename one of them$"):
        load_taxonomy(study_with_extra(extra))


def test_a_taxonomy_file_has_a_largest_size_and_number_of_categories(tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text("dimension,code,name\n" + "".join(f"effect,X,Slow {i}\n" for i in range(501)), encoding="utf-8")
    with pytest.raises(DlbugError, match=rf"^{extra} has 501 rows, but raters can distinguish 500 at most$"):
        load_taxonomy(study_with_extra(extra))
    extra.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(DlbugError, match=rf"^{extra} is larger than 1 MiB; make it a CSV file"):
        load_taxonomy(study_with_extra(extra))


@pytest.mark.timeout(10)
def test_a_named_pipe_as_taxonomy_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "extra.csv")
    with pytest.raises(DlbugError, match="extra.csv is not a regular file; make it a CSV file"):
        load_taxonomy(study_with_extra(tmp_path / "extra.csv"))


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
name = "kind"
rolls_up = "cause"

[[dimensions]]
name = "parts"
multiple = true

[[dimensions]]
name = "notes"
open = true

[sources]
labels = "release"

[[releases]]
file = "bugs.csv"
columns = {library = {value = "Keras"}, link = "Link", cause = "Cause"}
"""
TAXONOMY = """dimension,name,parent,aliases
cause,Typing error,Slip,typo
cause,Wrong loop,Slip,
cause,Wrong model,Mistake,
cause,Weather,,
parts,Core,,
parts,Network,,
"""


def tiny(folder, taxonomy=TAXONOMY, mappings=None, study=STUDY):
    (folder / "study.toml").write_text(study, encoding="utf-8")
    if taxonomy is not None:
        (folder / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")
    if mappings is not None:
        (folder / "mappings.csv").write_text(f"dimension,written,category,reason\n{mappings}\n", encoding="utf-8")
    return load_taxonomy(load_study(folder))


def error_of(folder, *arguments, **more):
    with pytest.raises(DlbugError) as caught:
        tiny(folder, *arguments, **more)
    return str(caught.value).replace(str(folder), "")


def test_a_roll_up_has_the_parents_and_the_categories_without_one(tmp_path):
    taxonomy = tiny(tmp_path)
    (kind,) = [dimension for dimension in load_study(tmp_path).dimensions if dimension.name == "kind"]
    assert taxonomy.names("kind") == ("Slip", "Mistake", "Weather")
    assert {category.name: parent_of(category, kind) for category in taxonomy.of("cause")} == {
        "Typing error": "Slip",
        "Wrong loop": "Slip",
        "Wrong model": "Mistake",
        "Weather": "Weather",
    }


def test_a_roll_up_can_be_the_beginning_of_the_names(tmp_path):
    study = STUDY.replace('rolls_up = "cause"', 'rolls_up = "cause"\nbefore = " - "')
    taxonomy = tiny(
        tmp_path, "dimension,name\ncause,Slip - typo\ncause,Slip - loop\ncause,Weather\nparts,Core\n", study=study
    )
    assert taxonomy.names("kind") == ("Slip", "Weather")


def test_categories_of_the_study_itself_are_not_those_of_a_paper(tmp_path):
    assert {category.origin for category in tiny(tmp_path).categories} == {"study"}


def test_labels_that_count_as_another_category_are_mapped(tmp_path):
    taxonomy = tiny(tmp_path, mappings="cause,Bad luck,Weather,what people say of it")
    assert taxonomy.fold("cause", "bad  LUCK") == "Weather"
    assert taxonomy.mapping_of("cause", "Bad luck") == Mapping("cause", "Bad luck", "Weather", "what people say of it")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "cause,Typing error,Mistake,",
            "line 8: 'Typing error' is already a category of cause: a category has one row and ",
        ),
        ("cause,Rain,Rain,", "line 8: 'Rain' is its own parent: leave the parent out"),
        ("parts,Disk,Hardware,", "line 8: parent: no dimension rolls up parts: leave it out, or add one with rolls_up"),
        ("kind,Slip,Error,", "line 8: parent: no dimension rolls up kind: leave it out, or add one with rolls_up"),
        (
            "cause,Rain,Wrong loop,",
            "line 8: parent: 'Wrong loop' is a category of cause that has itself the parent 'Slip', but there are two "
            "levels: leave one of the parents out",
        ),
        (
            "cause,Rain,Snow,\ncause,Snow,Rain,",
            "line 8: parent: 'Snow' is a category of cause that has itself the parent 'Rain', but there are two "
            "levels: leave one of the parents out",
        ),
        ("parts,Disk;Tape,,", "line 8: 'Disk;Tape' contains ';', which separates several categories in a cell"),
    ],
)
def test_an_impossible_category_is_an_error_with_file_and_line(tmp_path, row, expected):
    assert f"/taxonomy.csv, {expected}" in error_of(tmp_path, f"{TAXONOMY}{row}\n")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("cuase,x,Weather,", "line 2: dimension: 'cuase' is not one of cause, parts, notes (did you mean 'cause'?)"),
        ("kind,x,Slip,", "line 2: dimension: 'kind' is not one of cause, parts, notes"),
        (
            "cause,x,Wether,",
            "line 2: category: 'Wether' is not one of Typing error, Wrong loop, Wrong model, Weather (did you mean "
            "'Weather'?)",
        ),
    ],
)
def test_an_impossible_mapping_is_an_error_with_file_and_line(tmp_path, row, expected):
    assert error_of(tmp_path, mappings=row) == f"/mappings.csv, {expected}"


def test_a_dimension_without_categories_is_an_error_unless_it_is_open(tmp_path):
    without = "".join(line for line in TAXONOMY.splitlines(keepends=True) if not line.startswith("parts"))
    expected = (
        "taxonomy.csv: no category of parts: add a row for each of its categories, or set open = true for categories "
        "that are taken from the labels"
    )
    assert error_of(tmp_path, without) == f"/{expected}"
    assert tiny(tmp_path, without, study=STUDY.replace("multiple = true", "open = true")).names("parts") == ()
    (tmp_path / "taxonomy.csv").unlink()
    assert error_of(tmp_path, None) == expected.replace("parts", "cause")


def test_columns_are_checked(tmp_path):
    known = "dimension, name, code, parent, definition, example, aliases"
    assert error_of(tmp_path, TAXONOMY.replace("parent", "parnet")) == (
        f"/taxonomy.csv: unknown column 'parnet' (did you mean 'parent'?) (known are {known})"
    )
    assert (
        error_of(tmp_path, "dimension,code\ncause,X\n")
        == f"/taxonomy.csv: the column name is missing (known are {known})"
    )
