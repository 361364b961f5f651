"""docs/new-study.md, followed by someone who has only what is written there."""

import csv
import re
import shlex

import pytest

from dlbug_assets.layout import PROJECT, Home
from support.commands import command, query

PAGE = (PROJECT / "docs" / "new-study.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.M | re.S)
    for line in block.splitlines()
]
SYMPTOMS = ("Crash", "Hang", "Wrong result")


def commands_of(study):
    return [arguments[1:] for arguments in COMMANDS if study in arguments]


def succeed(home, folder, *arguments):
    done = command(home, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_of_the_page_is_tested_here():
    studies = {"my_bugs", "my_study", "next_study"}
    others = [arguments for arguments in COMMANDS if not studies & set(arguments)]
    assert others == [["dlbug", "studies"]]
    assert all(arguments[0] == "dlbug" for arguments in COMMANDS)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_a_csv_of_300_bugs_becomes_a_report_and_a_package(tmp_path, folder):
    with (folder / "bugs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Link", "Framework", "Reported", "Symptom", "Root cause", "Parts"])
        for number in range(300):
            link = f"https://github.com/owner/name/issues/{number}"
            parts = "Planner; Memory" if number % 3 else "Tools"
            framework, day = ("Left", "Right")[number % 2], f"20{20 + number % 4}-05-0{1 + number % 9}"
            writer.writerow([link, framework, day, SYMPTOMS[number % 3], f"Cause {number % 5}", parts])
    for arguments in commands_of("my_bugs"):
        succeed(tmp_path / "home", folder, *arguments)
    home = Home(tmp_path / "home", "my_bugs")
    found = query(home, "select category, bugs from analysis.symptom_distribution where library = 'All' order by 1")
    assert set(found.rows()) == {(symptom, 100) for symptom in SYMPTOMS}
    parts = query(
        home, "select category, count(*) from labeling.bug_labels where dimension = 'parts' group by 1 order by 1"
    )
    assert parts.rows() == [("Memory", 200), ("Planner", 200), ("Tools", 100)]
    page = (home.report / "index.html").read_text(encoding="utf-8")
    assert "Framework" in page
    assert not re.search("Islam|2019|Keras|[Dd]eep [Ll]earning", page)
    assert (home.package / "my_bugs-replication.zip").is_file()


def test_a_new_study_runs_offline_and_is_found_by_its_name_from_any_folder(tmp_path, folder):
    home = Home(tmp_path / "home", "my_study")
    for arguments in commands_of("my_study"):
        # Only the first two need the folder.
        succeed(home.root, folder if "new" in arguments or "run" in arguments else tmp_path, *arguments)
    dimensions = query(home, "select distinct dimension from analysis.label_counts order by 1")["dimension"].to_list()
    assert dimensions == ["affected_part", "kind_of_cause", "root_cause", "symptom"]
    verdicts = query(home, "select finding, claim from analysis.claims order by position").rows()
    assert verdicts == [
        (1, "Crashes are the most frequent symptom"),
        (1, "More than a quarter of the bugs on Stack Overflow are crashes"),
    ]
    page = (home.report / "index.html").read_text(encoding="utf-8")
    assert "How does the bug show itself?" in page
    assert not re.search("Islam|Keras|[Dd]eep [Ll]earning", page)
    assert (home.package / "my_study-replication.zip").is_file()
    listed = succeed(home.root, tmp_path, "studies")
    assert "my_study: Bugs of three libraries\n    Library: Alpha, Beta, Gamma\n" in listed
    assert f"    Folder: {folder / 'my_study'}\n" in listed


def test_a_study_like_another_one_is_valid(tmp_path, folder):
    for arguments in commands_of("next_study"):
        assert "Left out: claims, printed numbers, citations of islam2019." in succeed(tmp_path, folder, *arguments)
    assert "the next run downloads it from" in succeed(tmp_path, folder, "doctor", "--study", "next_study")


def test_a_new_study_that_moved_is_one_message_that_names_where_it_was(tmp_path, folder):
    succeed(tmp_path / "home", folder, "new", "my_study")
    succeed(tmp_path / "home", folder, "run", "--study", "my_study", "--select", "group:reference")
    (folder / "my_study").rename(folder / "moved")
    done = command(tmp_path / "home", "run", "--study", "my_study", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the study 'my_study' was run from {folder}/my_study/study.toml, which does not exist any more: put it "
        "back, or name the folder or file where the study is now\n"
    )
