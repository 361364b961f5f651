"""Studies of other papers, recomputed from the labels that their authors released: a folder each, and no code."""

import os
from pathlib import Path

import pytest

from dlbug_assets.layout import Home
from support.commands import Ran, command
from support.release import CHECKOUT
from support.released_studies import COLUMNS, HEADER, csv_text, study_of


def released_files() -> str:
    """Return the folder of released files, as DLBUG_RELEASES or beside the checkout; skip the test without it."""
    folder = os.environ.get("DLBUG_RELEASES") or CHECKOUT.parent / "shared" / "studies"
    if not Path(folder).is_dir():
        pytest.skip("the released files of other studies are not here: set DLBUG_RELEASES")
    return str(folder)


def ran(study: str, home: Path, **variables: str) -> Ran:
    """Run a study until its tables are published, and check that all of its steps succeeded."""
    name = Path(study).name
    result = command(home, "run", "--study", study, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    return Ran(Home(home, name), result)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "bugs", "printed"),
    [
        ("chaliasos2021", 320, {"rq1": 25, "rq2_compilers": 25, "rq2_symptoms": 25}),
        (
            "drosos2024",
            360,
            {
                "rq1_component": 10,
                "rq1_ecosystem": 17,
                "rq2_configuration_units": 18,
                "rq2_iac_programs": 23,
                "rq3_component": 6,
                "rq3_ecosystem": 9,
            },
        ),
    ],
)
def test_every_number_that_the_authors_print_is_reproduced(tmp_path, study, bugs, printed):
    done = ran(study, tmp_path, DLBUG_RELEASES=released_files())
    diff = done.query("select reference, same_when_rounded from analysis.replication_diff")
    assert dict(diff["reference"].value_counts().rows()) == printed
    assert diff["same_when_rounded"].to_list() == [True] * sum(printed.values())
    # What is printed is what was released: no edits.
    assert done.query("select count(*) from analysis.reconstruction").item() == 0
    labels = done.query("select count(*), count(created_at), count(distinct item_id) from labeling.labels")
    assert labels.row(0) == (bugs, bugs, bugs)


@pytest.mark.slow
def test_a_study_of_ones_own_files_is_run_to_the_report(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [
        ("Alpha", f"https://github.com/o/n/issues/{n}", "Crash" if n % 3 else "Hang", "Typo", "file;port", "", "ann")
        for n in range(1, 13)
    ]
    rows += [("Beta", "https://example.org/x", "Absturz", "Race", "", "", "ann")]
    rows += [(*row[:6], "bob") for row in rows[:-1]] + [(*rows[-1][:3], "Typo", "", "", "bob")]
    (folder / "bugs.csv").write_text(csv_text(rows, (*HEADER, "Rater")), encoding="utf-8")
    study_of(folder, {"file": "bugs.csv", "columns": {**COLUMNS, "rater": "Rater"}})
    done = ran(str(folder), tmp_path / "home")
    shares = done.query("select * from analysis.inputs_distribution where library = 'Alpha' and source = 'Release'")
    assert shares.select("category", "bugs", "total").rows() == [
        ("file", 12, 12),
        ("port", 12, 12),
        ("user name", 0, 12),
    ]
    assert done.query("select item_id, dimension, label_1, label_2 from labeling.disagreements").rows() == [
        ("Beta-https://example.org/x", "cause", "Race", "Typo")
    ]
    kappas = done.query("select * from labeling.kappa_checkpoints where checkpoint = 100 and scope = 'cumulative'")
    assert kappas.filter(source="all", dimension="symptom").select("units", "kappa").rows() == [(13, 1.0)]
    report = (done.home.report / "index.html").read_text(encoding="utf-8")
    assert "Islam" not in report
    assert "Keras" not in report
