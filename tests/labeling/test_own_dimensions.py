"""Labelling in a study's own dimensions: one required, one with several categories and a roll-up, one open.

The study has posts of one library only.
"""

import re
import zipfile
from datetime import datetime
from io import BytesIO
from xml.etree import ElementTree

import fastexcel
import polars as pl
import pytest

from dlbug_assets.labeling.adjudication import decide, disagreements
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.asked import sampled_items
from dlbug_assets.labeling.bug_labels import bug_labels, wide
from dlbug_assets.labeling.questions import questions
from dlbug_assets.labeling.sheets.export import export
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.labeling.sheets.history import record
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, submitted_schema, validate
from dlbug_assets.labeling.sheets.writing import label_studio
from dlbug_assets.labeling.sheets.writing.xlsx_format import to_xlsx
from dlbug_assets.labeling.units import freeze
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.example_sheets import raters_sheet
from support.filled_sheets import Loop, items_of, labelling_study

TAXONOMY = """dimension,name,parent,definition
symptom,Crash,,It ends.
symptom,Hang,,It waits.
symptom,Wrong output,,It lies.
causes,Null check,Logic,A value may be missing.
causes,Race,Concurrency,The order of steps matters.
causes,Deadlock,Concurrency,Each waits for the other.
trigger,Upgrade,,A new version.
"""
DIMENSIONS = [
    {"name": "symptom", "title": "Symptom", "required": True},
    {"name": "causes", "title": "Causes", "multiple": True},
    {"name": "cause_group", "title": "Group of causes", "rolls_up": "causes"},
    {"name": "trigger", "title": "Trigger", "open": True},
]
#: Labels of ann, of bob, and of eve where they differ, in symptom, causes and trigger.
RATED = {
    "SO-1": (("Crash", "race; Null check", "Slow disk"), ("crash", "Null check ;RACE;race", "slow  DISK"), None),
    "SO-2": (("Hang", "Deadlock", "none"), ("Hang", "Deadlock;Race", "none"), (None, "Race;Deadlock", None)),
    "SO-3": (("Crash", "Race", "upgrade"), ("Hang", "Race", "Upgrade"), ("Hang", None, None)),
    "SO-4": (("Wrong output", "none", "None"), ("Wrong output", "NONE", "Config"), (None, None, "none")),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "taxonomy.csv"
    path.write_text(TAXONOMY, encoding="utf-8")
    return labelling_study(
        checkpoints=(100,), taxonomy=path, dimensions=DIMENSIONS, sources={"posts": "api", "labels": "files"}
    )


@pytest.fixture(scope="module")
def taxonomy(study):
    return load_taxonomy(study)


@pytest.fixture(scope="module")
def items(make_items):
    return make_items(dict.fromkeys(RATED, 100))


@pytest.fixture(scope="module")
def outcome(study, taxonomy, items):
    """Return labels, units, disagreements and agreed bugs of what all three submitted."""
    rows = []
    for item, labels in RATED.items():
        for rater, label in zip(("ann", "bob", "eve"), labels, strict=True):
            if rater != "eve":
                rows.append({"item_id": item, "rater": rater, "pass": "units"})
            if label is not None:
                answers = dict(zip(study.asked_names, label, strict=True))
                rows.append({"item_id": item, "rater": rater, "pass": "dimensions"} | answers)
    valid, rejected = validate(submitted(rows, study), items, study, taxonomy)
    assert rejected.rows() == []
    labels = record(valid, study, {"f": "f"}, {}).labels
    units = freeze(labels, items, study).units
    asked = questions(labels, units, items, pl.DataFrame(schema=REJECTED_LABELS), study=study)
    return labels, units, disagreements(labels, asked, study), decide(labels, asked, units, items, study)


def submitted(rows, study):
    """Return submitted rows: of bug 1 of an item, unless they state otherwise."""
    schema = submitted_schema(study)
    known = {"batch": 100, "bug_index": 1, "is_bug": True, "received_at": datetime(2026, 5, 1), "file": "f", "line": 2}
    return pl.DataFrame([dict.fromkeys(schema.names()) | known | row for row in rows], schema=schema)


def test_several_categories_are_a_list_in_taxonomy_order_each_once(outcome):
    rated = outcome[0].filter(pl.col("pass") == "dimensions")
    assert rated.filter(rater="bob").select("item_id", "symptom", "causes", "trigger").rows() == [
        ("SO-1", "Crash", ["Null check", "Race"], "Slow disk"),
        ("SO-2", "Hang", ["Race", "Deadlock"], "none"),
        ("SO-3", "Hang", ["Race"], "Upgrade"),
        ("SO-4", "Wrong output", ["none"], "Config"),
    ]
    assert rated["causes"][0].to_list() == ["Null check", "Race"]


def test_sets_agree_if_they_are_equal_and_categories_by_having_them(outcome, items, study):
    measured = measure(outcome[0], outcome[1], items, study)
    kappas = measured.kappa_checkpoints.filter(source="Stack Overflow", scope="cumulative")
    found = {row["dimension"]: row for row in kappas.to_dicts()}
    assert list(found) == ["is_bug", "symptom", "causes", "trigger"]
    assert {name: row["units"] for name, row in found.items()} == {"is_bug": 4, "symptom": 4, "causes": 3, "trigger": 3}
    assert found["symptom"]["kappa"] == pytest.approx(7 / 11, abs=1e-12)
    assert found["causes"]["kappa"] == pytest.approx(4 / 7, abs=1e-12)
    assert found["causes"]["alpha"] == pytest.approx(8 / 13, abs=1e-12)
    assert found["causes"]["disagree_most"] == "Race (0.000), Deadlock (1.000), Null check (1.000)"
    assert found["trigger"]["kappa"] == pytest.approx(4 / 7, abs=1e-12)
    categories = measured.category_kappa.filter(source="Stack Overflow", dimension="causes")
    assert categories.select("category", "kappa").rows() == [("Deadlock", 1.0), ("Null check", 1.0), ("Race", 0.0)]
    assert set(measured.kappa_checkpoints["source"]) == {"Stack Overflow", "all"}


def test_disagreements_show_sets_as_raters_write_them(outcome):
    assert outcome[2].select("item_id", "dimension", "label_1", "label_2", "adjudicated_label").rows() == [
        ("SO-2", "causes", "Deadlock", "Race; Deadlock", "Race; Deadlock"),
        ("SO-3", "symptom", "Crash", "Hang", "Hang"),
        ("SO-4", "trigger", "none", "Config", "none"),
    ]


def test_agreed_bugs_have_lists_and_derived_categories(outcome, study, taxonomy):
    long = bug_labels(outcome[3], study, taxonomy)
    labels = wide(outcome[3], long, study)
    columns = ("bug_id", "symptom", "causes", "cause_group", "trigger", "symptom_as_written", "decided_by")
    assert labels.select(columns).rows() == [
        ("SO-1#1", "Crash", ["Null check", "Race"], ["Logic", "Concurrency"], "Slow disk", "Crash", "agreement"),
        ("SO-2#1", "Hang", ["Race", "Deadlock"], ["Concurrency"], None, "Hang", "adjudication"),
        ("SO-3#1", "Hang", ["Race"], ["Concurrency"], "Upgrade", "Hang", "adjudication"),
        ("SO-4#1", "Wrong output", None, None, None, "Wrong output", "adjudication"),
    ]
    assert long.filter(bug_id="SO-1#1").select("dimension", "category", "position").rows() == [
        ("symptom", "Crash", 1),
        ("causes", "Null check", 1),
        ("causes", "Race", 2),
        ("cause_group", "Logic", 1),
        ("cause_group", "Concurrency", 2),
        ("trigger", "Slow disk", 1),
    ]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (
            ("Crash", "Race; Typo; Other", None),
            "causes: unknown category 'Typo'; use one of Null check, Race, Deadlock (or add it to the study's "
            "taxonomy)",
        ),
        (
            ("none", None, None),
            "symptom: unknown category 'none'; use one of Crash, Hang, Wrong output (or add it to the study's "
            "taxonomy)",
        ),
        (
            ("Crash", "Race; none", None),
            "causes: unknown category 'none'; use one of Null check, Race, Deadlock (or add it to the study's "
            "taxonomy)",
        ),
        (
            ("Crash", None, "x" * 101),
            f"trigger: unknown category '{'x' * 101}'; use up to 100 printable characters, or none if no category "
            "applies",
        ),
        (
            (None, " ; ", "Upgrade"),
            "symptom: missing; in the dimensions pass every bug needs one of Crash, Hang, Wrong output",
        ),
    ],
)
def test_a_label_that_is_not_a_category_is_rejected(labels, reason, study, taxonomy, items):
    row = {"item_id": "SO-1", "rater": "ann", "pass": "dimensions"} | dict(zip(study.asked_names, labels, strict=True))
    accepted, rejected = validate(submitted([row], study), items, study, taxonomy)
    assert accepted.is_empty()
    assert rejected["reason"].to_list() == [reason]


def test_new_categories_of_an_open_dimension_are_ordered_behind_the_taxonomy(tmp_path, items):
    path = tmp_path / "taxonomy.csv"
    path.write_text("dimension,name\ntags,zoom\n", encoding="utf-8")
    study = labelling_study(
        taxonomy=path, dimensions=[{"name": "tags", "multiple": True, "open": True, "separator": "|"}]
    )
    row = {"item_id": "SO-1", "rater": "ann", "pass": "dimensions", "tags": "b | zoom|a|B"}
    labels, _ = validate(submitted([row], study), items, study, load_taxonomy(study))
    assert labels["tags"].to_list() == [["zoom", "a", "b"]]


@pytest.fixture
def loop(study, taxonomy, tmp_path):
    return Loop(study, taxonomy, items_of(2, study), tmp_path)


def list_bugs(loop):
    """Let both raters list one bug in each item; return the sheet in which ann rates them."""
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"100-{rater}"], lambda _: {"is_bug": True, "place": "line 1"})
    loop.read()
    return loop.due()["100-ann-dimensions"]


@pytest.mark.parametrize("file_format", ["csv", "xlsx", "label-studio"])
def test_every_format_takes_several_and_new_categories(loop, file_format):
    loop.file_format = file_format
    sheet = list_bugs(loop)
    assert sheet.answers == ("symptom", "causes", "trigger", "comment")
    assert "cause_group" not in sheet.columns
    loop.submit(sheet, lambda _: {"symptom": "Hang", "causes": "Deadlock; Race", "trigger": "Mine"})
    loop.submit(loop.due()["100-bob-dimensions"], lambda _: {"symptom": "Hang", "causes": "Race", "trigger": "mine"})
    loop.read()
    assert loop.rejected.rows() == []
    rated = loop.labels.filter(pl.col("pass") == "dimensions", rater="ann")
    assert rated.select("symptom", "causes", "trigger").unique().rows() == [("Hang", ["Race", "Deadlock"], "Mine")]
    # The adjudicator's sheet shows both raters' answers, and asks only where they differ.
    decision = loop.due()["100-eve-dimensions"]
    row = decision.rows[0]
    assert {row["causes A"], row["causes B"]} == {"Race; Deadlock", "Race"}
    shown = ("symptom", "symptom A", "symptom B", "causes", "trigger", "trigger A", "trigger B")
    assert [row[name] for name in shown] == [None, "Hang", "Hang", None, None, "Mine", "Mine"]
    assert {name for _, name in decision.fixed} == {"symptom", "trigger"}
    loop.submit(decision, lambda _: {"causes": "deadlock;race"})
    loop.read()
    assert loop.decided.select("causes", "decided_by").rows() == [(["Race", "Deadlock"], "adjudication")] * 2


def test_workbooks_list_the_categories_of_cells_with_one_of_them(study, taxonomy):
    content = to_xlsx(raters_sheet(study, RATE_BUGS), taxonomy, [])
    with zipfile.ZipFile(BytesIO(content)) as parts:
        page = parts.read("xl/worksheets/sheet2.xml").decode()
    rules = {
        re.search(r'sqref="([A-Z]+)2', rule)[1]: rule for rule in re.findall(r"<dataValidation .*?(?:/>|</data)", page)
    }
    # The columns F, G and H are symptom, causes and trigger.
    assert list(rules) == ["F", "G", "H"]
    assert 'type="list"' in rules["F"]
    assert 'showErrorMessage="1"' in rules["F"]
    assert "<formula1>lists!$A$2:$A$4</formula1>" in rules["F"]
    assert 'type="list"' not in rules["G"]
    prompt = "One category, or several separated by ;: Null check; Race; Deadlock. Or none, if no category applies."
    assert f'prompt="{prompt}"' in rules["G"]
    assert 'promptTitle="Causes"' in rules["G"]
    # Other categories are accepted, too; the list has Upgrade and none.
    assert "<formula1>lists!$C$2:$C$3</formula1>" in rules["H"]
    assert "showErrorMessage" not in rules["H"]


def test_label_studio_takes_several_choices_and_new_categories_as_text(loop, taxonomy):
    view = ElementTree.fromstring(label_studio.configuration(list_bugs(loop), taxonomy))  # noqa: S314 - our own
    assert {choices.get("name"): choices.get("choice") for choices in view.iter("Choices")} == {
        "symptom": "single",
        "causes": "multiple",
    }
    assert [area.get("name") for area in view.iter("TextArea")] == ["trigger", "comment"]
    assert {element.get("toName") for element in view.iter() if element.get("toName")} == {"content"}


def test_the_codebook_has_the_categories_that_are_asked(loop, taxonomy, tmp_path):
    tables = {"labeling.items": loop.items.with_columns(frozen_at=pl.lit(None, pl.Datetime("us")))}
    tables |= {"labeling.rater_labels": loop.labels, "labeling.units": loop.units}
    tables |= {"labeling.questions": loop.questions}

    def query(sql):
        if "body_html" in sql:
            texts = {"body_html": pl.String, "accepted_html": pl.String}
            return pl.DataFrame(schema={"library": pl.String, "post_id": pl.Int64} | texts)
        if "patch_excerpt" in sql:
            names = ("library", "sha", "message", "patch_excerpt")
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        return tables[re.search(r"from (\S+)", sql)[1]]

    written = export(loop.study, taxonomy, tmp_path / "labels", loop.clock, query, incomplete=True)
    codebook = fastexcel.read_excel(written[0]).load_sheet("codebook", dtypes="string").to_polars()
    assert codebook.select("dimension", "category").rows() == [
        ("symptom", "Crash"), ("symptom", "Hang"), ("symptom", "Wrong output"), ("causes", "Null check"),
        ("causes", "Race"), ("causes", "Deadlock"), ("trigger", "Upgrade"),
    ]  # fmt: skip


def test_any_dimension_may_be_asked_of_a_sample_of_posts(tmp_path):
    path = tmp_path / "taxonomy.csv"
    path.write_text("dimension,name\nsymptom,Crash\nfashion,Old\n", encoding="utf-8")
    dimensions = [{"name": "symptom", "required": True}, {"name": "fashion", "asked_of": {"posts_per_library": 2}}]
    study = labelling_study(checkpoints=(100,), taxonomy=path, dimensions=dimensions)
    items = items_of(5, study, commits=3)
    loop = Loop(study, load_taxonomy(study), items, tmp_path)
    assert sampled_items(items, loop.units, study) == {"fashion": set()}  # nobody knows yet which posts have bugs
    sheet = list_bugs(loop)
    sampled = sampled_items(items, loop.units, study)
    assert sampled == {"fashion": {"SO-Keras-1", "SO-Keras-4"}}
    asked = {row["item_id"] for number, row in enumerate(sheet.rows) if (number, "fashion") not in sheet.fixed}
    assert asked == sampled["fashion"]
