"""The report of `dlbug doctor`."""

from importlib.metadata import version

import pytest

from dlbug_assets.cli.doctor import Line, examine
from dlbug_assets.cli.studies.from_csv import create_from
from dlbug_assets.installation import unmet_requirements
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study


def test_clones_are_reported_with_number_and_size(tmp_path):
    home = Home(tmp_path, "tiny")
    for name in ("1.git", "2.git"):
        (home.clones / name / "objects").mkdir(parents=True)
        (home.clones / name / "objects" / "pack").write_bytes(b"x" * (3 << 19))
    deleted = "deleted clones are fetched again, except for commits that the remote no longer has"
    text = f"2 repositories, 3 MiB in {home.clones}; {deleted}"
    found = [line for line in examine(load_study("sample"), home, {}) if line.subject == "clones"]
    assert found == [Line("ok", "clones", text)]


def test_without_clones_there_is_no_line_about_them(tmp_path):
    assert "clones" not in {line.subject for line in examine(load_study("sample"), Home(tmp_path, "tiny"), {})}


def test_a_home_that_is_a_file_fails(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = list(examine(load_study("sample"), Home(tmp_path / "file", "tiny"), {}))
    text = (
        f"cannot open the folder {tmp_path / 'file'}: Not a directory. Make it a folder that you can read and enter "
        "(chmod u+rwx), or set DLBUG_HOME to another folder."
    )
    assert found[-1] == Line("FAIL", "folder", text)


@pytest.mark.parametrize("address", ["spark://127.0.0.1:7077", "local[2]"])
def test_missing_programs_fail_if_spark_is_configured(tmp_path, monkeypatch, address):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = list(examine(load_study("sample"), Home(tmp_path, "tiny"), {"DLBUG_SPARK": address}))
    fix = "not found, but DLBUG_SPARK is set: install Java 17 or newer, or unset DLBUG_SPARK."
    assert Line("FAIL", "Java", fix) in found


def test_missing_programs_are_a_note_if_spark_is_not_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = [line for line in examine(load_study("sample"), Home(tmp_path, "tiny"), {}) if line.subject == "Spark"]
    assert [line.status for line in found] == ["note"]
    assert found[0].text.startswith("DLBUG_SPARK is not set: no cluster is used. Not found: ")


def test_a_package_of_an_extra_may_be_missing_but_not_have_another_version():
    requirements = ["nowhere-a", 'nowhere-b; extra == "spark"', "pytest>=1", 'pytest<1; extra == "spark"']
    expected = ["nowhere-a is missing", f"pytest is {version('pytest')}, but <1 is required"]
    assert unmet_requirements(requirements) == expected


def release_lines(study, tmp_path, environ):
    lines = examine(study, Home(tmp_path / "home", study.name), environ)
    return [line for line in lines if line.subject == "release"]


def test_a_study_without_releases_has_no_line_about_them(tmp_path):
    assert release_lines(load_study("sample"), tmp_path, {}) == []


def test_a_release_that_is_not_there_is_a_note_with_its_address_and_is_not_downloaded(tmp_path):
    assert release_lines(load_study("islam2019"), tmp_path, {}) == [
        Line(
            "note",
            "release",
            "islam2019-dataset.zip: the next run downloads it from "
            "https://lab-design.github.io/papers/ESEC-FSE-19/dataset.zip",
        )
    ]
    assert not (tmp_path / "home").exists()


def test_a_release_is_found_beside_its_study_and_a_missing_or_altered_one_fails(tmp_path):
    (tmp_path / "bugs.csv").write_text("ID,Symptom\n1,Crash\n2,Hang\n3,Hang\n", encoding="utf-8")
    study, _ = create_from(tmp_path / "mine", tmp_path / "bugs.csv")
    path = tmp_path / "mine" / "bugs.csv"
    assert release_lines(study, tmp_path, {}) == [Line("ok", "release", str(path))]
    path.unlink()
    missing = f"{path} is not a file, but the study's release is read from it. Put the file there."
    assert release_lines(study, tmp_path, {}) == [Line("FAIL", "release", missing)]
    (tmp_path / "altered.zip").write_bytes(b"altered")
    (line,) = release_lines(load_study("islam2019"), tmp_path, {"DLBUG_ARTIFACT": str(tmp_path / "altered.zip")})
    assert line.status == "FAIL"
    assert line.text.startswith(f"{tmp_path / 'altered.zip'} is truncated or altered: its 7 bytes have sha256 ")
