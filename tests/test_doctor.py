"""What `dlbug doctor` says of what runs leave behind."""

from dlbug_assets.doctor import Line, examine
from dlbug_assets.study import load_study
from dlbug_assets.warehouse import Home


def test_clones_are_counted_and_weighed(tmp_path):
    home = Home(tmp_path, "tiny")
    for name in ("1.git", "2.git"):
        (home.clones / name / "objects").mkdir(parents=True)
        (home.clones / name / "objects" / "pack").write_bytes(b"x" * (3 << 19))
    text = f"2 repositories, 3 MiB in {home.clones}; what is deleted there is fetched again"
    found = [line for line in examine(load_study("sample"), home, {}) if line.subject == "clones"]
    assert found == [Line("ok", "clones", text)]


def test_where_nothing_was_cloned_there_is_nothing_to_say(tmp_path):
    assert "clones" not in {line.subject for line in examine(load_study("sample"), Home(tmp_path, "tiny"), {})}
