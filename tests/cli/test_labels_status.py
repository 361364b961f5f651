"""What `dlbug labels status` prints."""

import io
import json
from datetime import datetime

import pytest
from rich.console import Console

from dlbug_assets.cli.labels.status import print_status
from dlbug_assets.cli.printing.next_step import command
from support.small_study import RELEASED, SmallStudy, write_study

SOURCES = 'tags = ["tide"]\n[sources]\nposts = "sample"\nlabels = "files"\n'
LABELING = '[labeling]\nraters = ["ann", "christine"]\nadjudicator = "eve"\n'
DIMENSIONS = '[[dimensions]]\nname = "fault"\nrequired = true\n[[dimensions]]\nname = "moon"\n'
TAXONOMY = {"fault": ["Late", "Early"], "moon": ["new", "full"]}


@pytest.fixture
def database(tmp_path):
    return labelled(tmp_path, LABELING)


def labelled(folder, labeling):
    return write_study(folder / "own", dimensions=DIMENSIONS, taxonomy=TAXONOMY, sources=SOURCES + labeling,
                       libraries=("Ebb",))  # fmt: skip


@pytest.fixture
def printed(tmp_path, capsys):
    """Return a function that returns the lines which are printed about a database, on 80 columns."""

    def status(database: SmallStudy):
        table = io.StringIO()
        print_status(database.study, database.query, tmp_path / "labels", Console(file=table, width=80))
        lines = [*capsys.readouterr().out.splitlines(), *table.getvalue().splitlines()]
        assert [line for line in lines if len(line) > 80] == []
        return [line.rstrip() for line in lines if line.strip()]

    return status


def ask(database, rater, dimension, states):
    for number, state in enumerate(states):
        is_bug = dimension == "is_bug"
        row = {"item_id": f"i{number}", "bug_index": 0 if is_bug else 1, "rater": rater, "dimension": dimension}
        database.put("labeling.questions", row | {"state": state, "batch": 100})


def test_each_person_has_a_bar_per_pass(database, printed):
    ask(database, "ann", "is_bug", ["answered"] * 119 + ["waiting", "not asked"])
    ask(database, "ann", "fault", ["answered", "withdrawn", "refused", "waiting"])
    ask(database, "ann", "moon", ["answered none", "waiting", "not asked", "waiting"])
    ask(database, "christine", "is_bug", ["waiting"] * 120)
    ask(database, "eve", "fault", ["answered", "waiting"])
    ask(database, "eve", "moon", ["answered"])
    assert printed(database)[:5] == [
        "ann        units       [###################-]  119 of 120 items",
        "           dimensions  [#####---------------]    1 of   4 bugs",
        "                       1 withdrawn, 1 refused",
        "christine  units       [--------------------]    0 of 120 items",
        "eve        dimensions  [#############-------]    2 of   3 labels",
    ]


def test_a_bar_is_full_only_if_nothing_is_left(database, printed):
    ask(database, "ann", "is_bug", ["answered"] * 999 + ["waiting"])
    ask(database, "christine", "is_bug", ["answered"] * 1000)
    assert printed(database)[:2] == [
        "ann        units  [###################-]   999 of 1000 items",
        "christine  units  [####################]  1000 of 1000 items",
    ]


def test_kappa_is_that_of_the_newest_checkpoint_with_units(database, printed):
    base = {"source": "all", "scope": "cumulative", "round": 1, "kappa_low": 0.1, "kappa_high": 0.9, "waiting": 0}
    database.put(
        "labeling.kappa_checkpoints",
        base | {"dimension": "fault", "checkpoint": 5, "units": 4, "kappa": 0.25},
        base | {"dimension": "fault", "checkpoint": 10, "units": 8, "kappa": 0.5, "waiting": 3},
        base | {"dimension": "fault", "checkpoint": 20, "units": 0, "waiting": 3},
        base | {"dimension": "fault", "checkpoint": 10, "units": 9, "kappa": 0.7, "scope": "increment"},
        base | {"dimension": "fault", "checkpoint": 10, "units": 9, "kappa": 0.7, "source": "Stack Overflow"},
        base | {"dimension": "is_bug", "checkpoint": 20, "units": 9, "undefined_reason": "one [category]"},
    )
    ask(database, "ann", "is_bug", ["answered"])
    lines = printed(database)
    start = lines.index("Cohen's kappa so far, over all sources")
    assert lines[start + 1 : start + 4] == [
        "Dimension  Checkpoint  Units  Waiting  Kappa  95% interval",
        "is_bug            20%      9        0      -  one [category]",
        "fault             10%      8        3  0.500  0.100 to 0.900",
    ]


def test_alpha_is_shown_where_raters_share_the_items(tmp_path, printed):
    database = labelled(tmp_path, LABELING.replace('"christine"', '"bob", "chris"') + "raters_per_item = 2\n")
    database.put(
        "labeling.kappa_checkpoints",
        {"source": "all", "scope": "cumulative", "round": 2, "dimension": "fault", "checkpoint": 10, "units": 4,
         "waiting": 1, "kappa": 0.25, "kappa_low": -0.1, "kappa_high": 0.6, "alpha": 0.3},
    )  # fmt: skip
    ask(database, "ann", "is_bug", ["answered"])
    assert printed(database)[-2:] == [
        "Dimension  Checkpoint  Units  Waiting  Kappa  95% interval     Alpha",
        "fault          r2 10%      4        1  0.250  -0.100 to 0.600  0.300",
    ]


def test_refused_rows_are_listed_below_the_receipts_of_their_files(database, printed):
    ask(database, "ann", "is_bug", ["refused"])
    outcomes = dict.fromkeys(("changed", "unchanged", "blank", "withdrawn"), 0)
    for day, (file, refused) in enumerate({"5-ann.csv": 1, "clean.csv": 0, "10-ann.csv": 21}.items(), 1):
        when = {"file": file, "received_at": datetime(2026, 5, day)}
        counts = outcomes | {"rows": refused + 1, "taken": 1, "refused": refused}
        database.put("labeling.receipts", when | counts | {"version": 1, "rater": "ann", "pass": "units"})
        for line in range(2, refused + 2):
            content = json.dumps({"item_id": "i0", "rater": "ann", "pass": "units", "bug_index": 1})
            database.put("labeling.rejected_labels", {"file": file, "line": line, "entry": 1, "content": content,
                         "reason": "is_bug: 'x'", "seen_at": datetime(2026, 5, day)})  # fmt: skip
    lines = printed(database)
    start = lines.index("Refused, and not answered since: 22")
    assert lines[start + 1 : start + 4] == [
        "  10-ann.csv: ann, units; 22 rows: 1 taken, 21 refused",
        "    line 2, i0: is_bug: 'x'",
        "    line 3, i0: is_bug: 'x'",
    ]
    assert lines[start + 21 : start + 26] == [
        "    line 21, i0: is_bug: 'x'",
        f"  and 2 more: {command('sql', '--study', 'own', 'from labeling.rejected_labels')}",
        "Next:",
        "  ann: fix 21 refused rows of 10-ann.csv",
        "  ann: fix 1 refused row of 5-ann.csv",
    ]


def test_nothing_is_asked_in_a_study_whose_labels_come_from_a_release(tmp_path, printed):
    database = write_study(tmp_path / "own", dimensions=DIMENSIONS, taxonomy=TAXONOMY, sources=RELEASED)
    assert printed(database) == [
        "The labels of this study come from a release: nothing is asked.",
        "Kappa: no item or bug is answered by all of its raters yet",
    ]
