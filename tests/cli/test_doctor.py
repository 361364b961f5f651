"""What `dlbug doctor` says of what runs leave behind."""

from importlib.metadata import version

import pytest

from dlbug_assets.cli.doctor import Line, examine
from dlbug_assets.installation import unmet
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study


def test_clones_are_counted_and_weighed(tmp_path):
    home = Home(tmp_path, "tiny")
    for name in ("1.git", "2.git"):
        (home.clones / name / "objects").mkdir(parents=True)
        (home.clones / name / "objects" / "pack").write_bytes(b"x" * (3 << 19))
    deleted = "what is deleted there is fetched again, but for commits that its remote does not have any more"
    text = f"2 repositories, 3 MiB in {home.clones}; {deleted}"
    found = [line for line in examine(load_study("sample"), home, {}) if line.subject == "clones"]
    assert found == [Line("ok", "clones", text)]


def test_where_nothing_was_cloned_there_is_nothing_to_say(tmp_path):
    assert "clones" not in {line.subject for line in examine(load_study("sample"), Home(tmp_path, "tiny"), {})}


def test_a_home_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = list(examine(load_study("sample"), Home(tmp_path / "file", "tiny"), {}))
    text = (
        f"cannot open the folder {tmp_path / 'file'}: Not a directory. Make it a folder that you can read and enter "
        "(chmod u+rwx), or set DLBUG_HOME to another folder."
    )
    assert found[-1] == Line("FAIL", "folder", text)


@pytest.mark.parametrize("address", ["spark://127.0.0.1:7077", "local[2]"])
def test_where_spark_is_asked_for_what_it_lacks_is_named_with_the_cure(tmp_path, monkeypatch, address):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = list(examine(load_study("sample"), Home(tmp_path, "tiny"), {"DLBUG_SPARK": address}))
    cure = "not found, but DLBUG_SPARK is set: install Java 17 or newer, or unset DLBUG_SPARK."
    assert Line("FAIL", "Java", cure) in found


def test_where_spark_is_not_asked_for_nothing_fails_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = [line for line in examine(load_study("sample"), Home(tmp_path, "tiny"), {}) if line.subject == "Spark"]
    assert [line.status for line in found] == ["note"]
    assert found[0].text.startswith("DLBUG_SPARK is not set: this machine does it all. Not there: ")


def test_a_package_that_only_an_extra_asks_for_may_be_missing_but_not_be_another_version():
    asked = ["nowhere-a", 'nowhere-b; extra == "spark"', "pytest>=1", 'pytest<1; extra == "spark"']
    assert unmet(asked) == ["nowhere-a is missing", f"pytest is {version('pytest')}, needed is <1"]
