"""`dlbug new` writes a folder that is a valid study."""

import pytest

from dlbug_assets.cli.studies.new import create, create_like
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import PROJECT
from dlbug_assets.protocol.study import load_study, posts_per_library, shipped_studies
from dlbug_assets.protocol.taxonomy import load_taxonomy

FILES = [
    ".schema/claims.schema.json",
    ".schema/study.schema.json",
    "claims.toml",
    "mappings.csv",
    "study.toml",
    "taxonomy.csv",
]


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_new_study_has_a_required_an_optional_a_multiple_and_a_derived_dimension(tmp_path):
    study = create(tmp_path / "mine")
    assert files_of(tmp_path / "mine") == FILES
    assert study == load_study(tmp_path / "mine")
    assert [(each.name, each.required, each.multiple, each.is_asked) for each in study.dimensions] == [
        ("symptom", True, False, True),
        ("root_cause", False, False, True),
        ("affected_part", False, True, True),
        ("kind_of_cause", False, False, False),
    ]
    assert load_taxonomy(study).names("kind_of_cause") == ("Misunderstanding", "Slip")
    assert study.is_synthetic


def test_the_documented_study_is_the_one_that_is_written(tmp_path):
    create(tmp_path / "my_study")
    written = (tmp_path / "my_study" / "study.toml").read_text(encoding="utf-8")
    documented = (PROJECT / "docs" / "study.toml").read_text(encoding="utf-8")
    assert written == f"#:schema ./.schema/study.schema.json\n{documented}"


@pytest.mark.parametrize("like", shipped_studies())
def test_a_study_like_another_one_has_its_protocol_and_none_of_its_results(tmp_path, like):
    study, left_out = create_like(tmp_path / "mine", like)
    other = load_study(like)
    for part in ("selection", "libraries", "dimensions", "sources", "labeling", "releases", "schedule"):
        assert getattr(study, part) == getattr(other, part), part
    assert [posts_per_library(study, each) for each in study.dimensions] == [
        posts_per_library(other, each) for each in other.dimensions
    ]
    names = [[(each.dimension, each.name) for each in load_taxonomy(some).categories] for some in (study, other)]
    assert names[0] == names[1]
    assert (study.name, study.study.title, study.study.group) == ("mine", "Mine", other.study.group)
    assert (study.study.cites, study.study.follows, study.study.keywords, study.published) == ((), None, (), ())
    assert (study.files.claims, study.files.published) == (None, None)
    assert load_taxonomy(study).mappings == load_taxonomy(other).mappings
    assert left_out.endswith(f'. To take them over, add follows = "{other.study.follows or like}" to [study].')


def test_what_was_left_out_can_be_taken_over_as_the_message_describes(tmp_path):
    create_like(tmp_path / "mine", "sample")
    path = tmp_path / "mine" / "study.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[study]", '[study]\nfollows = "islam2019"'), encoding="utf-8")
    study, sample = load_study(tmp_path / "mine"), load_study("sample")
    assert study.study.cites == sample.study.cites
    assert (study.files.claims, study.published) == (sample.files.claims, sample.published)


def test_comments_of_the_other_study_are_kept_except_those_on_what_was_left_out(tmp_path):
    create_like(tmp_path / "mine", "islam2019")
    text = (tmp_path / "mine" / "study.toml").read_text(encoding="utf-8")
    assert text.startswith(
        "#:schema ./.schema/study.schema.json\n# Made from islam2019. All keys: `dlbug new`, without --like.\n\n"
        '[study]\nname = "mine"\ntitle = "Mine"\nseed = 2019\n\n[[dimensions]]\n'
    )
    assert "# Other sheets of the workbooks are working material." in text
    assert "the paper prints" not in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Mine", "'Mine' cannot be the name of a study: use a small letter, then up to 39 small letters, digits or _"),
        ("labeling", "'labeling' cannot be the name of a study: "),
        ("con", "'con' cannot be the name of a study: "),
        ("sample", "'sample' is the name of a study that ships: use another name, or run it as it is"),
        ("there", "there exists already: use another name, or delete it"),
    ],
)
def test_a_name_that_cannot_be_used_is_an_error_and_nothing_is_written(tmp_path, name, expected):
    (tmp_path / "there").mkdir()
    for write in (create, lambda folder: create_like(folder, "sample")):
        with pytest.raises(DlbugError) as caught:
            write(tmp_path / name)
        assert expected in str(caught.value)
    assert files_of(tmp_path) == []


def test_a_study_like_an_unknown_one_is_an_error_that_suggests_the_nearest(tmp_path):
    with pytest.raises(DlbugError) as caught:
        create_like(tmp_path / "mine", "islam")
    assert str(caught.value) == (
        "--like 'islam': it is not one of chaliasos2021, drosos2024, islam2019, live, modern, sample (did you mean "
        "'islam2019'?)"
    )


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(DlbugError, match="cannot write .*/file/mine: Not a directory"):
        create(tmp_path / "file" / "mine")
