"""The list of studies, and where those are that were run."""

import stat

import pytest

from dlbug_assets.cli.studies.known import descriptions, needs, record_path
from dlbug_assets.cli.studies.new import create
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study, shipped_studies


def test_studies_that_ship_and_those_that_were_run_are_listed(tmp_path):
    home = Home(tmp_path / "home", "mine")
    record_path(create(tmp_path / "mine"), home)
    environ = {"DLBUG_HOME": str(home.root)}
    found = list(descriptions(environ))
    assert [text.partition(":")[0] for text in found] == [*shipped_studies(), "mine"]
    assert found[-1].splitlines() == [
        "mine: Bugs of three libraries",
        "    Library: Alpha, Beta, Gamma",
        "    Dimensions: Symptom, Root cause, Affected part, Kind of cause",
        "    Sources: Stack Overflow, GitHub (posts: sample, commits: sample, labels: sample)",
        "    Needs: nothing",
        f"    Folder: {tmp_path / 'mine'}",
    ]


def test_a_study_that_is_gone_is_listed_with_the_reason(tmp_path):
    home = Home(tmp_path, "mine")
    home.folder.mkdir()
    home.study_path.write_bytes(b"/gone/study.toml")
    (*_, last) = descriptions({"DLBUG_HOME": str(tmp_path)})
    assert last.startswith("mine: the study 'mine' was run from /gone/study.toml, which does not exist any more: ")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sample", []),
        (
            "live",
            [
                "a network",
                "STACKEXCHANGE_KEY (without it, 300 requests a day)",
                "GITHUB_TOKEN (without it, 60 requests an hour)",
                "labels by rater_a, rater_b",
            ],
        ),
        (
            "islam2019",
            [
                "islam2019-dataset.zip (downloaded, or found in the folder DLBUG_RELEASES as islam2019/.., or as "
                "DLBUG_ARTIFACT)"
            ],
        ),
        (
            "drosos2024",
            ["bugs.csv, quantitative_metrics.csv (downloaded, or found in the folder DLBUG_RELEASES as drosos2024/..)"],
        ),
    ],
)
def test_what_a_study_needs(name, expected):
    assert list(needs(load_study(name))) == expected


def test_the_path_of_a_study_is_recorded_for_its_owner_only_and_found_by_its_name(tmp_path):
    home = Home(tmp_path / "home", "mine")
    study = create(tmp_path / "mine")
    record_path(study, home)
    assert stat.S_IMODE(home.study_path.stat().st_mode) == 0o600
    assert load_study("mine", {"DLBUG_HOME": str(home.root)}) == study


def test_a_recorded_path_is_written_again_only_if_it_changed(tmp_path):
    home = Home(tmp_path / "home", "mine")
    record_path(create(tmp_path / "mine"), home)
    before = home.study_path.stat().st_ino
    record_path(load_study(tmp_path / "mine"), home)
    assert home.study_path.stat().st_ino == before
    (tmp_path / "mine").rename(tmp_path / "moved")
    record_path(load_study(tmp_path / "moved"), home)
    assert load_study("mine", {"DLBUG_HOME": str(home.root)}).files.study == tmp_path / "moved" / "study.toml"


def test_no_path_is_recorded_of_a_study_that_ships(tmp_path):
    home = Home(tmp_path / "home", "sample")
    record_path(load_study("sample"), home)
    assert not home.folder.exists()


def test_a_home_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    with pytest.raises(DlbugError, match=r"cannot write .*/home/mine/study_path: Not a directory\. Make the folder"):
        record_path(create(tmp_path / "mine"), Home(tmp_path / "home", "mine"))
