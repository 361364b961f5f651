"""Categories and their spellings."""

import os

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import Category, Mapping, Taxonomy, load_taxonomy


def test_the_papers_taxonomy_has_its_categories():
    taxonomy = load_taxonomy()
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
    taxonomy = load_taxonomy()
    assert taxonomy.fold(dimension, written) == category
    assert taxonomy.mapping_of(dimension, written) is None


def test_labels_outside_of_the_taxonomy_are_resolved_by_their_mapping():
    taxonomy = load_taxonomy()
    assert taxonomy.fold("bug_type", "Logic Bug") == "Structural Logic Bug"
    mapping = taxonomy.mapping_of("bug_type", "Logic Bug")
    assert mapping is not None
    assert mapping.reason
    assert taxonomy.fold("root_cause", "Absence of backward compatibility while versioning") == "API Change"


def test_an_unknown_label_is_not_resolved():
    assert load_taxonomy().fold("bug_type", "Cosmic Ray") is None
    assert load_taxonomy().fold("effect", "Data Bug") is None


def test_a_spelling_of_two_categories_is_rejected():
    with pytest.raises(DlbugError, match="'crash' is a spelling of both 'Crash' and 'Hang'"):
        Taxonomy([Category("effect", "CR", "Crash"), Category("effect", "HG", "Hang", ("crash",))])


def test_a_mapping_to_an_unknown_category_is_rejected():
    with pytest.raises(DlbugError, match="maps to 'Smell', which is not a category of effect"):
        Taxonomy([Category("effect", "CR", "Crash")], [Mapping("effect", "Odour", "Smell", "why not")])


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
        ("colour,X,Red,", "line 2: dimension must be one of"),
        ("effect,X,,", "line 2: dimension must be one of"),
        ("effect,X,Crash,", "line 2: 'Crash' is already a category of effect"),
        ("effect,X,crash,", "line 2: 'crash' is a spelling of 'Crash' already"),
        ("effect,X,Slow,crash", "line 2: 'crash' is a spelling of 'Crash' already"),
        ("effect,X,Slow,\neffect,Y,Slow,", "line 3: 'Slow' is already a category of effect"),
        ("effect,X,None,", "line 2: 'None' means that a bug has no label"),
        (f"effect,X,{'x' * 101},", "line 2: 'xxxx"),
        ("effect,X,Slow,,,more", "line 2: 6 cells, but the file has 4 columns: quote cells with commas"),
        (f"effect,X,Slow,{'x' * 2001}", "line 2: 'xxxx"),
        (f"effect,X,Slow,{'x' * 200_000}", "line 2: field larger than field limit (131072)"),
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
    with pytest.raises(DlbugError, match="cannot read .*nope.csv: No such file .* set taxonomy.extra to another one"):
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
    with pytest.raises(DlbugError, match=rf"^{extra} is larger than 1 MiB; make it readable, or set taxonomy.extra"):
        load_taxonomy(study_with_extra(extra))


@pytest.mark.timeout(10)
def test_a_named_pipe_as_taxonomy_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "extra.csv")
    with pytest.raises(DlbugError, match="extra.csv is not a regular file; make it readable, or set taxonomy.extra"):
        load_taxonomy(study_with_extra(tmp_path / "extra.csv"))
