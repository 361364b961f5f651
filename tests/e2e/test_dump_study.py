"""A study that reads the data dump, run by the dlbug command: from the downloaded archive to candidates."""

import shutil
import subprocess

import pytest

from dlbug_assets.layout import Home
from support.commands import NEXT, Ran, command

POSTS = "+group:stackoverflow"
STUDY = """
[study]
name = "dumped"
title = "From the dump"
seed = 1
[selection]
created_from = 2017-01-01
created_until = 2017-12-31
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"
[[libraries]]
name = "Torch"
tags = ["torch", "lua-torch"]
repositories = "topic:torch"
[sources]
posts = "dump"
dump_path = "{name}"
commits = "api"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""
CODE = "&lt;pre&gt;&lt;code&gt;x&lt;/code&gt;&lt;/pre&gt;"


def row(number, tags="", **attributes):
    written = {"Id": number, "PostTypeId": 1, "CreationDate": "2017-05-04T03:02:01.000", "Score": 6, "Body": CODE}
    written |= {"Tags": f"|{tags}|"} if tags else {}
    attributes = " ".join(f'{name}="{value}"' for name, value in (written | attributes).items())
    return f"<row {attributes} />"


ROWS = [
    row(1, "keras"),
    row(2, "python|lua-torch"),
    row(3, "keras|torch"),
    row(4, "keras", Score=5),
    row(5, "keras", CreationDate="2018-01-01T00:00:00.000"),
    row(6, "keras", Body="no code"),
    row(7, PostTypeId=2, ParentId=3),
    row(1_000_000_001, "keras"),
    '<row Id="8" PostTypeId="1" Tags="|keras|" Body="cut',
    row(9, "keras"),
]


@pytest.fixture
def study(tmp_path):
    """Write the study; return a function that runs it."""
    (tmp_path / "Posts.xml").write_text("<posts>\n" + "\n".join(ROWS) + "\n</posts>\n", encoding="utf-8")

    def run(name="Posts.xml"):
        file = tmp_path / "dumped.toml"
        file.write_text(STUDY.format(name=name), encoding="utf-8")
        result = command(tmp_path / "home", "run", "--study", str(file), "--select", POSTS)
        return Ran(Home(tmp_path / "home", "dumped"), result)

    return run


def test_an_archive_is_loaded_up_to_candidates_and_read_once(study, tmp_path):
    program = next(filter(None, map(shutil.which, ("7zz", "7z", "7za"))), None)
    if program is None:
        pytest.skip("7-Zip is not installed: apt-get install 7zip")
    subprocess.run([program, "a", "-bso0", tmp_path / "posts.7z", tmp_path / "Posts.xml"], check=True)
    (tmp_path / "Posts.xml").unlink()
    first = study("posts.7z")
    assert first.result.returncode == 0, first.result.stderr
    candidates = first.query("select library, post_id from stackoverflow.candidate_posts order by all").rows()
    assert candidates == [("Keras", 1), ("Keras", 3), ("Keras", 9), ("Torch", 2), ("Torch", 3)]
    assert first.query("from stackoverflow.funnel").rows() == [("Keras", 4, 4, 3, 3), ("Torch", 2, 2, 2, 2)]
    assert first.query("select answer_id, post_id from stackoverflow.raw_answers").rows() == [(7, 3)]
    note = first.query("select note from stackoverflow.collections where library = 'Keras'").item()
    assert '"planted posts dropped": 1' in note
    odd = first.query("select library, position, reason from stackoverflow.irregularities order by all").rows()
    reason = "is cut, or longer than any post; the row is left out"
    assert odd == [("Keras", 9, reason), ("Torch", 9, reason)]
    second = study("posts.7z")
    assert second.result.returncode == 0
    assert "Keras: dump, this dump has been read before" in second.result.stderr
    everything = "from stackoverflow.raw_posts order by all"
    assert second.query(everything).equals(first.query(everything))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere.xml", "nowhere.xml does not exist. Name the Posts.xml of Stack Overflow's data dump"),
        ("dumped.toml", "dumped.toml is not a Posts.xml: it does not begin with <posts>"),
    ],
)
def test_a_file_that_is_not_a_dump_is_one_message(study, name, expected):
    result = study(name).result
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.endswith("error: 1 of the run's steps failed. Nothing was published." + NEXT)
