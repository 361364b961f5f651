"""A Label Studio project's configuration and tasks, as its documentation describes them."""

import json
from xml.etree import ElementTree

import pytest

from dlbug_assets.labeling.sheets import label_studio, label_studio_export
from support.filled_sheets import Loop, items_of

LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}

QUESTIONS: dict[str, str] = dict.fromkeys(("is_bug", "bug_type", "root_cause", "effect", "place", "comment"), "; ")


def export():
    return label_studio_export.Export(["item_id", "rater", "batch", "bug_index", "link", "pass"], QUESTIONS, ["ann"])


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    return Loop(study, taxonomy, items_of(3, study), tmp_path)


def test_the_units_pass_asks_for_bugs_and_places(loop, taxonomy):
    sheet = loop.due()["100-ann"]
    view = ElementTree.fromstring(label_studio.configuration(sheet, taxonomy))  # noqa: S314 - our own
    assert [choices.get("name") for choices in view.iter("Choices")] == ["is_bug"]
    assert [area.get("name") for area in view.iter("TextArea")] == ["place", "comment"]
    tasks = json.loads(label_studio.tasks(sheet))
    assert [task["data"]["item_id"] for task in tasks] == ["SO-Keras-0", "SO-Keras-1", "SO-Keras-2"]
    # Raters are blind: tasks contain no answers, not even as predictions.
    assert {tuple(task) for task in tasks} == {("data",)}
    assert tasks[0]["data"]["content"] == "Text of SO-Keras-0"


def test_the_dimensions_pass_offers_the_taxonomy(loop, taxonomy):
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"100-{rater}"], lambda _: {"is_bug": True, "place": "line 7"})
    loop.read()
    sheet = loop.due()["100-bob-dimensions"]
    view = ElementTree.fromstring(label_studio.configuration(sheet, taxonomy))  # noqa: S314 - our own
    offered = {
        choices.get("name"): tuple(choice.get("value") for choice in choices.iter("Choice"))
        for choices in view.iter("Choices")
    }
    assert offered == {dimension: taxonomy.names(dimension) for dimension in offered}
    assert list(offered) == ["bug_type", "root_cause", "effect", "stage", "antipattern"]
    required = {choices.get("name") for choices in view.iter("Choices") if choices.get("required") == "true"}
    assert required == {"bug_type", "root_cause", "effect"}
    assert json.loads(label_studio.tasks(sheet))[0]["data"]["place"] == "line 7"


def test_an_export_without_tasks_has_no_rows():
    assert list(export().rows(b"[]")) == []


@pytest.mark.parametrize(
    "annotations", [[None], [{}], [{"result": None}], [{"result": [None]}], [{"result": [{}]}], [7]]
)
def test_malformed_annotations_are_rows_with_a_problem(annotations):
    data = {"item_id": "i", "rater": "ann", "batch": 5, "bug_index": 1, "pass": "units"}
    content = json.dumps([{"data": data, "annotations": annotations}]).encode()
    ((number, row),) = export().rows(content)
    assert number == 1
    assert row["problem"].startswith("annotation: ")
