"""A folder with dimensions of its own, labelled by hand: from the run to agreed bugs, by the dlbug command.

The study has posts only, of one library, and one of its dimensions takes several categories per bug.
"""

import pytest

from support.handmade import QUEUE, Handmade, filled

STUDY = """
[study]
name = "handmade"
title = "Bugs of agents"
seed = 5
[[dimensions]]
name = "symptom"
required = true
[[dimensions]]
name = "causes"
multiple = true
[[dimensions]]
name = "cause_group"
rolls_up = "causes"
[[dimensions]]
name = "trigger"
open = true
[selection]
created_until = 2008-11-30
[[libraries]]
name = "Agents"
tags = "agents"
[sources]
posts = "sample"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
checkpoints = [100]
"""
TAXONOMY = """dimension,name,parent
symptom,Crash,
symptom,Hang,
causes,Null check,Logic
causes,Race,Concurrency
causes,Deadlock,Concurrency
"""


@pytest.fixture
def handmade(tmp_path):
    return Handmade(tmp_path, STUDY, TAXONOMY)


def submit(handmade, tmp_path, **answers):
    """Fill in exported sheets, by name with _ instead of hyphens, and submit them; return the last lines printed."""
    paths = []
    for name, answer in answers.items():
        path = tmp_path / f"{name.removeprefix('_').replace('_', '-')}.csv"
        path.write_text(filled(handmade.outbox / path.name, answer), encoding="utf-8")
        paths.append(str(path))
    return handmade.dlbug("labels", "import", *paths).stdout


def test_own_dimensions_are_labelled_measured_and_adjudicated(handmade, tmp_path):
    handmade.dlbug("run", "--select", QUEUE)
    handmade.dlbug("labels", "export", "--format", "csv")
    assert handmade.sheets() == ["100-ann.csv", "100-bob.csv"]
    count = handmade.query("select count(*) from labeling.items").item()
    assert count > 2
    submit(handmade, tmp_path, _100_ann=lambda _: {"is_bug": "true"}, _100_bob=lambda _: {"is_bug": "true"})
    handmade.dlbug("labels", "export", "--format", "csv")
    head = (handmade.outbox / "100-ann-dimensions.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert head == (
        "item_id,rater,batch,bug_index,title,link,content,accepted_answer,is_bug,symptom,causes,trigger,place,comment,"
        "pass"
    )

    def ann(number):
        return {"symptom": "crash", "causes": "deadlock;Race" if number == 0 else "Null check", "trigger": "New driver"}

    def bob(number):
        return ann(number) | {"causes": "Race" if number == 0 else "null check", "trigger": "new  driver"}

    submit(handmade, tmp_path, _100_ann_dimensions=ann, _100_bob_dimensions=bob)
    assert handmade.query("from labeling.rejected_labels").is_empty()
    differing = handmade.query(
        "select dimension, label_1, label_2, adjudicated_label from labeling.disagreements"
    ).rows()
    assert differing == [("causes", "Race; Deadlock", "Race", None)]
    agreement = handmade.query(
        "select units, observed_agreement from labeling.kappa_checkpoints "
        "where dimension = 'causes' and scope = 'cumulative' and source = 'Stack Overflow'"
    )
    assert agreement.rows() == [(count, pytest.approx((count - 1) / count))]

    handmade.dlbug("labels", "export", "--format", "csv")
    submit(handmade, tmp_path, _100_eve_dimensions=lambda _: {"causes": "Race; Null check"})
    decided = handmade.query("select adjudicated_label from labeling.disagreements").rows()
    assert decided == [("Null check; Race",)]
    labels = handmade.query(
        "select symptom, causes, cause_group, trigger, decided_by from labeling.labels order by decided_by"
    ).rows()
    agreed = ("Crash", ["Null check"], ["Logic"], "New driver", "agreement")
    assert labels == [
        ("Crash", ["Null check", "Race"], ["Logic", "Concurrency"], "New driver", "adjudication"),
        *[agreed] * (count - 1),
    ]
    long = handmade.query(
        "select dimension, category, count(*) from labeling.bug_labels group by all order by dimension, category"
    ).rows()
    assert long == [
        ("cause_group", "Concurrency", 1),
        ("cause_group", "Logic", count),
        ("causes", "Null check", count),
        ("causes", "Race", 1),
        ("symptom", "Crash", count),
        ("trigger", "New driver", count),
    ]
    # The category that raters found follows those of the taxonomy, of which this dimension has none.
    found = "select category, position, parent from labeling.categories where dimension = 'trigger'"
    assert handmade.query(found).rows() == [("New driver", 1, None)]
