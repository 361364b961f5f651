"""A Label Studio project's configuration and tasks, as its documentation describes them."""

import json
import re
from xml.etree import ElementTree

import pytest

from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.sheets.reading import label_studio_export
from dlbug_assets.labeling.sheets.reading.table_rows import NotASheetError
from dlbug_assets.labeling.sheets.writing import label_studio
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.example_sheets import raters_sheet

QUESTIONS: dict[str, str] = dict.fromkeys(("is_bug", "bug_type", "root_cause", "effect", "place", "comment"), "; ")


def export():
    return label_studio_export.Export(["item_id", "rater", "batch", "bug_index", "link", "pass"], QUESTIONS, ["ann"])


def view_of(sheet, taxonomy):
    return ElementTree.fromstring(label_studio.configuration(sheet, taxonomy))  # noqa: S314 - our own


def data_of(sheet, taxonomy):
    return [task["data"] for task in json.loads(label_studio.tasks(sheet, taxonomy))]


def choices_of(view):
    """Return the attributes of the choices of each question."""
    return {choices.get("name"): [choice.attrib for choice in choices] for choices in view.iter("Choices")}


def test_the_units_pass_asks_for_bugs_and_places(study, taxonomy):
    sheet = raters_sheet(study, LIST_BUGS)
    view = view_of(sheet, taxonomy)
    assert choices_of(view) == {"is_bug": [{"value": "true"}, {"value": "false"}]}
    assert [area.get("name") for area in view.iter("TextArea")] == ["place", "comment"]
    assert [data["item_id"] for data in data_of(sheet, taxonomy)] == ["SO-Keras-0", "SO-Keras-1"]
    # Raters are blind: tasks contain no answers, not even as predictions.
    assert {tuple(task) for task in json.loads(label_studio.tasks(sheet, taxonomy))} == {("data",)}
    assert data_of(sheet, taxonomy)[0]["content"] == "Text of 0"


def test_the_dimensions_pass_offers_the_taxonomy_and_none_where_a_dimension_is_optional(study, taxonomy):
    sheet = raters_sheet(study, RATE_BUGS, [{"place": "line 7"}])
    view = view_of(sheet, taxonomy)
    offered = {name: tuple(choice["value"] for choice in choices) for name, choices in choices_of(view).items()}
    optional = {"stage", "antipattern"}
    assert offered == {
        name: (*taxonomy.names(name), *(["none"] if name in optional else []))
        for name in ("bug_type", "root_cause", "effect", "stage", "antipattern")
    }
    required = {choices.get("name") for choices in view.iter("Choices") if choices.get("required") == "true"}
    assert required == set(offered) - optional
    assert data_of(sheet, taxonomy)[0]["place"] == "line 7"


def test_definitions_are_hints_of_the_choices(make_study, tmp_path):
    (tmp_path / "taxonomy.csv").write_text(
        'dimension,name,definition\nsymptom,Hang,"It waits for ""ever"" & longer."\nsymptom,Crash,\n'
    )
    dimensions = [{"name": "symptom", "title": "What happens"}]
    study = make_study(taxonomy=tmp_path / "taxonomy.csv", dimensions=dimensions)
    view = view_of(raters_sheet(study, RATE_BUGS), load_taxonomy(study))
    assert choices_of(view)["symptom"] == [
        {"value": "Hang", "hint": 'It waits for "ever" & longer.'},
        {"value": "Crash"},
        {"value": "none", "hint": "No category applies"},
    ]
    assert "What happens" in {header.get("value") for header in view.iter("Header")}


def test_a_sampled_dimension_is_asked_only_in_the_tasks_of_the_sample(study, taxonomy):
    sheet = raters_sheet(study, RATE_BUGS, not_asked=[(1, "antipattern")])
    view = view_of(sheet, taxonomy)
    assert choices_of(view)["antipattern"] == []
    assert "$antipattern_choices" in {choices.get("value") for choices in view.iter("Choices")}
    asked, not_asked = data_of(sheet, taxonomy)
    assert [choice["value"] for choice in asked["antipattern_choices"]] == [*taxonomy.names("antipattern"), "none"]
    assert (asked["antipattern_title"], not_asked["antipattern_title"]) == (
        "Antipattern",
        "Antipattern: not asked here",
    )
    assert not_asked["antipattern_choices"] == []
    nobody = raters_sheet(study, RATE_BUGS, not_asked=[(0, "antipattern"), (1, "antipattern")])
    assert "antipattern" not in choices_of(view_of(nobody, taxonomy))


def test_the_accepted_answer_is_beside_the_text_if_an_item_has_one(study, taxonomy):
    sheet = raters_sheet(study, LIST_BUGS, [{"accepted_answer": "Use a sigmoid."}, {}])
    texts = [(text.get("name"), text.get("value")) for text in view_of(sheet, taxonomy).iter("Text")]
    assert texts == [("content", "$content"), ("accepted_answer", "$accepted_answer")]
    assert [data["accepted_answer"] for data in data_of(sheet, taxonomy)] == ["Use a sigmoid.", ""]
    without = view_of(raters_sheet(study, LIST_BUGS), taxonomy)
    assert [text.get("name") for text in without.iter("Text")] == ["content"]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://example.org/q/1?a=b&c=d",
         '<a href="https://example.org/q/1?a=b&amp;c=d" target="_blank" rel="noopener noreferrer">'
         "https://example.org/q/1?a=b&amp;c=d</a>"),
        ('https://example.org/"><script>',
         '<a href="https://example.org/&quot;&gt;&lt;script&gt;" target="_blank" rel="noopener noreferrer">'
         "https://example.org/&quot;&gt;&lt;script&gt;</a>"),
        ("javascript:alert('1')", "javascript:alert(&#x27;1&#x27;)"),
    ],
)  # fmt: skip
def test_links_can_be_followed_unless_they_are_of_another_kind(study, taxonomy, link, shown):
    (data,) = data_of(raters_sheet(study, LIST_BUGS, [{"link": link}]), taxonomy)
    assert (data["link"], data["link_html"]) == (link, shown)
    view = view_of(raters_sheet(study, LIST_BUGS), taxonomy)
    assert [text.attrib for text in view.iter("HyperText")] == [
        {"name": "link", "value": "$link_html", "inline": "true", "clickableLinks": "true"}
    ]


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


def annotation(by=1, answer="true", at="2026-03-01T10:00:00Z", **more):
    result = [{"from_name": "is_bug", "value": {"choices": [answer]}}]
    return {"completed_by": by, "updated_at": at, "result": result, **more}


def account(number, email, **names):
    return {"id": number, "email": email, **names}


def read(*annotations_of_tasks, people=("ann", "bob"), **task):
    """Return item, rater and is_bug of each row, and the notes; a task for each list of annotations."""
    tasks = [
        {"data": {"item_id": f"i{number}", "rater": "ann", "pass": "units"}, "annotations": annotations, **task}
        for number, annotations in enumerate(annotations_of_tasks, start=1)
    ]
    reader = label_studio_export.Export(["item_id", "rater", "pass"], QUESTIONS, people)
    rows = [row for _, row in reader.rows(json.dumps(tasks).encode())]
    return [(row["item_id"], row["rater"], row.get("is_bug")) for row in rows], reader.notes


@pytest.mark.parametrize("by", [7, account(7, "someone@example.org"), None])
def test_answers_of_one_annotator_are_those_of_the_rater_of_the_task(by):
    assert read([annotation(by)], [annotation(by, "false")]) == ([("i1", "ann", "true"), ("i2", "ann", "false")], [])


@pytest.mark.parametrize(
    "other",
    [account(2, "Bob@example.org"), account(2, "b@example.org", username="bob"), account(2, "", first_name="Bob")],
)
def test_several_annotators_are_kept_apart_by_their_names(other):
    ann = account(1, "ann@example.org")
    rows, notes = read([annotation(ann), annotation(other, "false")], [annotation(other)])
    assert rows == [("i1", "ann", "true"), ("i1", "bob", "false"), ("i2", "bob", "true")]
    assert notes == []


@pytest.mark.parametrize(
    ("others", "listed"),
    [
        ([2], "1, 2"),
        ([account(2, "someone@example.org"), account(3, "ann@example.org")], "1, ann@example.org, someone@example.org"),
        ([account(2, "ann@example.org"), account(3, "ann@example.com")], "1, ann@example.com, ann@example.org"),
    ],
)
def test_annotators_who_are_not_raters_are_named(others, listed):
    with pytest.raises(NotASheetError, match=re.escape(f"it has the answers of several annotators ({listed}), ")):
        read([annotation(by) for by in (1, *others)])


def test_the_newer_of_two_annotations_of_an_annotator_counts_and_is_noted():
    rows, notes = read([annotation(answer="true", at="2026-03-02"), annotation(answer="false", at="2026-03-01")])
    assert rows == [("i1", "ann", "true")]
    assert notes == ["tasks that one annotator labelled more than once: 1; the newest annotation counts"]


def test_skipped_tasks_and_drafts_are_noted_and_predictions_ignored():
    skipped = annotation(was_cancelled=True)
    rows, notes = read([], [skipped], [annotation()], drafts=[{"result": []}], predictions=[annotation()])
    assert rows == [("i3", "ann", "true")]
    assert notes == [
        "tasks with drafts that were not submitted: 2; submit them in Label Studio",
        "tasks that were skipped: 1",
    ]


def test_a_json_min_export_is_refused():
    content = json.dumps([{"item_id": "i", "rater": "ann", "is_bug": "true", "annotation_id": 1, "annotator": 1}])
    with pytest.raises(NotASheetError, match="it is a JSON-MIN export, in which several answers are one text; "):
        list(export().rows(content.encode()))


def test_an_answer_of_another_kind_is_a_problem():
    results = [{"from_name": "place", "value": {"rating": 3}}]
    content = json.dumps([{"data": {"item_id": "i"}, "annotations": [{"result": results}]}])
    ((_, row),) = export().rows(content.encode())
    assert row["problem"].startswith("place: its answer is neither a choice nor a text; ")
