"""`dlbug new --from` makes a study of a CSV file of labelled bugs, by what its columns look like."""

import re

import pytest

from dlbug_assets import releases
from dlbug_assets.cli.studies.from_csv import create_from
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.claims import study_claims
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy

BUGS = """\
Bug ID,Issue URL,Framework,Opened,Symptom,Root Cause,Affected parts,Component,Notes
1,https://github.com/a/b/issues/1,Lang,2024-01-05,Crash,Prompt,Tools; UI,Core,The first one
2,https://github.com/a/b/issues/2,Lang,2024-02-05,Hang,None,UI,Core,Seen twice
3,https://github.com/a/b/issues/3,own/kit,2024-03-05,Crash,,Tools; UI,Plugin,Nobody knows
4,https://github.com/a/b/issues/4,own/kit,2024-04-05,crash,Memory,Tools,Plugin,Again
5,https://github.com/a/b/issues/5,own/kit,2024-05-05,Crash,Prompt,Tools; Planner,Plugin,A fifth
6,https://github.com/a/b/issues/6,own/kit,2024-06-05,Crash,Prompt,"UI; Tools",Plugin,"Quoted, with a comma"
"""


def made_from(tmp_path, text, name="bugs.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return create_from(tmp_path / "mine", path)


def rows(study, tmp_path):
    return releases.read(study, load_taxonomy(study), {}, tmp_path / "downloads").rows


def test_columns_are_taken_for_what_their_names_and_values_are(tmp_path):
    study, notes = made_from(tmp_path, BUGS)
    assert notes == [
        "Issue URL: link",
        "Opened: created_at",
        "Framework: library",
        "Component: source",
        "Symptom: dimension symptom (required)",
        "Root Cause: dimension root_cause (optional)",
        "Affected parts: dimension affected_parts (required, several separated by ;)",
        "Bug ID: not used, 6 different texts or numbers",
        "Notes: not used, 6 different texts or numbers",
    ]
    assert (study.study.group, study.library_names) == ("Framework", ("own-kit", "Lang"))
    assert study.source_names == ("Plugin", "Core")
    assert study.dimensions == (
        Dimension(name="symptom", title="Symptom", required=True),
        Dimension(name="root_cause", title="Root Cause"),
        Dimension(name="affected_parts", title="Affected parts", required=True, multiple=True),
    )
    taxonomy = load_taxonomy(study)
    assert {name: taxonomy.names(name) for name in study.dimension_names} == {
        "symptom": ("Crash", "Hang"),
        "root_cause": ("Prompt", "Memory"),
        "affected_parts": ("Tools", "UI", "Planner"),
    }


def test_every_row_of_the_file_is_a_bug_of_the_study(tmp_path):
    study, _ = made_from(tmp_path, BUGS)
    found = rows(study, tmp_path)
    assert found.select("library", "source", "link", "symptom", "root_cause", "affected_parts").rows() == [
        ("Lang", "Core", "https://github.com/a/b/issues/1", ["Crash"], ["Prompt"], ["Tools", "UI"]),
        ("Lang", "Core", "https://github.com/a/b/issues/2", ["Hang"], None, ["UI"]),
        ("own-kit", "Plugin", "https://github.com/a/b/issues/3", ["Crash"], None, ["Tools", "UI"]),
        ("own-kit", "Plugin", "https://github.com/a/b/issues/4", ["Crash"], ["Memory"], ["Tools"]),
        ("own-kit", "Plugin", "https://github.com/a/b/issues/5", ["Crash"], ["Prompt"], ["Tools", "Planner"]),
        ("own-kit", "Plugin", "https://github.com/a/b/issues/6", ["Crash"], ["Prompt"], ["UI", "Tools"]),
    ]
    assert [moment.month for moment in found["created_at"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("separator", "name", "encoding"),
    [(";", "bugs.csv", "cp1252"), ("\t", "bugs.tsv", "utf-16"), ("|", "bugs.txt", "utf-8-sig")],
)
def test_separator_and_encoding_are_detected(tmp_path, separator, name, encoding):
    text = "ID,Größe\n1,klein\n2,groß\n3,klein\n".replace(",", separator)
    study, notes = made_from(tmp_path, text, name, encoding)
    assert notes == ["ID: key", "Größe: dimension gr_e (required)"]
    assert study.library_names == ("bugs",)
    assert rows(study, tmp_path).select("key", "library", "gr_e").rows() == [
        ("1", "bugs", ["klein"]),
        ("2", "bugs", ["groß"]),
        ("3", "bugs", ["klein"]),
    ]


def test_columns_with_names_that_dimensions_may_not_have_get_other_ones(tmp_path):
    study, _ = made_from(tmp_path, "ID,Select,Comment,1st,Class,class!\n1,a,c,e,g,i\n2,b,d,f,h,j\n3,a,d,e,h,j\n")
    assert {each.title: each.name for each in study.dimensions} == {
        "Select": "select_label",
        "Comment": "comment_label",
        "1st": "dimension_1",
        "Class": "class",
        "class!": "class_label",
    }


@pytest.mark.parametrize(
    ("cells", "multiple", "names"),
    [
        (("Core; Disk", "Tape", "Tape"), True, ("Tape", "Core", "Disk")),
        (("Core|Disk", "Disk", "Disk"), True, ("Disk", "Core")),
        (("Core, Disk", "Disk, Tape", "Core", "Tape", "Disk", "Core, Tape"), True, ("Core", "Disk", "Tape")),
        (("Slow, but right", "Wrong", "Wrong"), False, ("Wrong", "Slow, but right")),
    ],
)
def test_several_categories_in_a_cell_are_told_from_a_comma_in_a_text(tmp_path, cells, multiple, names):
    rows = "".join(f'{number},"{cell}"\n' for number, cell in enumerate(cells))
    study, _ = made_from(tmp_path, f"ID,Part\n{rows}")
    assert (study.dimensions[0].multiple, load_taxonomy(study).names("part")) == (multiple, names)


def test_codes_after_the_names_of_categories_are_stripped_and_kept_as_codes(tmp_path):
    cells = ("Bad prompt (BP)", "Bad prompt (BP)", "Race (RC.1)", "None")
    lines = "".join(f"{number},{cell},Tape (T)\n{number}0,{cell},Disk\n" for number, cell in enumerate(cells, start=1))
    study, notes = made_from(tmp_path, f"ID,Cause,Part\n{lines}")
    assert notes[1] == "Cause: dimension cause (optional, without codes such as (BP))"
    assert [(each.code, each.name) for each in load_taxonomy(study).of("cause")] == [
        ("BP", "Bad prompt"),
        ("RC.1", "Race"),
    ]
    assert rows(study, tmp_path)["cause"].to_list() == [["Bad prompt"]] * 4 + [["Race"]] * 2 + [None] * 2
    assert load_taxonomy(study).names("part") == ("Tape (T)", "Disk")
    written = (tmp_path / "mine" / "study.toml").read_text(encoding="utf-8")
    assert r"""cause = {column = "Cause", strip = '(?i:^none$)| \([A-Z0-9.]+\)$'}""" in written


@pytest.mark.parametrize(
    ("notes_of_bugs", "reason"),
    [
        (("", "", "", ""), "empty"),
        (("seen", "seen", "seen", "seen"), "the same in all rows"),
        (("seen", "seen", "seen", ""), "the same where it is filled"),
        (("seen", "", "", ""), "mostly empty (1 of 4)"),
    ],
)
def test_a_column_without_labels_is_not_used_and_the_reason_says_why(tmp_path, notes_of_bugs, reason):
    lines = "".join(f"{number},{'Crash' if number else 'Hang'},{note}\n" for number, note in enumerate(notes_of_bugs))
    _, notes = made_from(tmp_path, f"ID,Symptom,Notes\n{lines}")
    assert notes[2:] == [f"Notes: not used, {reason}"]


def test_examples_of_claims_are_comments_that_hold_for_the_study(tmp_path):
    study, _ = made_from(tmp_path, BUGS)
    path = tmp_path / "mine" / "claims.toml"
    assert study.files.claims is None
    path.write_text(re.sub(r"(?m)^# (?=\[\[|\w+ = )", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    study = load_study(tmp_path / "mine")
    assert [(claim.kind, claim.text) for claim in study_claims(study, load_taxonomy(study))] == [
        ("share", "Symptom: more than a quarter are Crash"),
        ("leads", "Affected parts: Tools is the most frequent"),
    ]


def test_raters_own_labels_are_recognized(tmp_path):
    study, notes = made_from(tmp_path, "Bug,Evaluator,Symptom\n1,ann,Crash\n2,bob,Hang\n3,ann,Crash\n")
    assert notes == ["Bug: key", "Evaluator: rater", "Symptom: dimension symptom (required)"]
    assert rows(study, tmp_path)["rater"].to_list() == ["rater_1", "rater_2", "rater_1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Symptom\nCrash\nHang\n",
            "bugs.csv: no column tells the bugs apart: name one link or ID, with an address or ",
        ),
        ("ID,Symptom\n1,Crash\n1,Hang\n", "bugs.csv: no column tells the bugs apart: "),
        ("ID,Symptom\n1,Crash\n2,Crash\n", "bugs.csv: no column has labels: a few texts that recur in its rows"),
        ("ID,Symptom\n", "bugs.csv: it has no rows below its header"),
        ("", "bugs.csv: it has no rows below its header"),
        ("ID,ID\n1,2\n", "bugs.csv: it has two columns 'ID': rename one of them"),
        ('ID,Symptom\n1,"Crash\n', "bugs.csv: line 2 is not valid CSV: "),
    ],
)
def test_a_file_without_what_a_study_needs_is_an_error_and_nothing_is_written(tmp_path, text, expected):
    with pytest.raises(DlbugError) as caught:
        made_from(tmp_path, text)
    assert expected in str(caught.value)
    assert not (tmp_path / "mine").exists()


def test_a_file_of_another_kind_or_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(DlbugError, match=r"bugs.xlsx: it has none of the suffixes .csv, .tsv, .txt: save it as CSV"):
        create_from(tmp_path / "mine", tmp_path / "bugs.xlsx")
    with pytest.raises(DlbugError, match=r"cannot read .*bugs.csv: No such file"):
        create_from(tmp_path / "mine", tmp_path / "bugs.csv")
