import json
import time
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.labeling.sheets.history import record
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, validate, without_unasked
from dlbug_assets.labeling.units import UNITS
from dlbug_assets.warehouse.rows import table_schema
from support.filled_sheets import labelling_study

#: The columns of valid rows: those of the history are added later.
HISTORY = ("revision", "superseded", "withdrawn", "replaced_at")
VALID = table_schema("labeling.rater_labels", labelling_study(), without=HISTORY)


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-1": 5, "SO-2": 100})


def test_valid_rows_become_labels_spelled_as_in_the_taxonomy(as_rows, rater_row, items, study, taxonomy):
    row = rater_row("SO-1", "ann", bug_type="sb.logic  bugs", stage="  ", antipattern=" None", comment="")
    row |= {"rater": " ann "}
    labels, rejected = validate(as_rows([row]), items, study, taxonomy)
    assert rejected.is_empty()
    assert rejected.schema == REJECTED_LABELS
    assert labels.schema == VALID
    assert labels.to_dicts() == [
        {"item_id": "SO-1", "rater": "ann", "batch": 100, "pass": "dimensions", "bug_index": 1,
         "is_bug": True, "bug_type": "Structural Logic Bug", "root_cause": "API Misuse", "effect": "Crash",
         "stage": None, "antipattern": "none", "place": None, "comment": None, "labelled_at": None,
         "received_at": datetime(2026, 5, 1, 12), "file": "100-ann.csv", "line": 2, "round": 1}
    ]  # fmt: skip


def test_aliases_of_categories_are_mapped(rater_row, items, study, validated):
    labels = validated([rater_row("SO-1", "ann", bug_type="Logic Bug")], items, study)
    assert labels["bug_type"].item() == "Structural Logic Bug"


RATED = {"bug_type": "API Bug"}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"item_id": "SO-9"}, ["item_id: unknown 'SO-9'; it is not in the queue"]),
        ({"item_id": None}, ["item_id: missing"]),
        ({"rater": "mallory"}, ["rater: unknown 'mallory'; use one of ann, bob, eve"]),
        ({"rater": " "}, ["rater: missing; use one of ann, bob, eve"]),
        ({"batch": 7}, ["batch: unknown '7'; use a checkpoint of the study: 5, 10, 100"]),
        ({"pass": "third"}, ["pass: unknown 'third'; use units or dimensions"]),
        ({"bug_index": None}, ["bug_index: missing"]),
        ({"is_bug": None}, ["is_bug: missing; write true or false"]),
        ({"is_bug": False}, ["bug_index: is_bug is false, but bug_index is 1"]),
        ({"bug_index": 0}, ["bug_index: is_bug is true, but bug_index is 0"]),
        ({"bug_index": -1}, ["bug_index: is_bug is true, but bug_index is -1"]),
        (RATED | {"stage": "Lunch"}, ["stage: unknown category 'Lunch'; use one of Data Collection, "]),
        (RATED | {"effect": "none"}, ["effect: unknown category 'none'; use one of Bad Performance, "]),
        ({"effect": None}, ["effect: missing; in the dimensions pass every bug needs one of Bad Performance, "]),
        ({"rater": "x", "batch": 1}, ["rater: unknown 'x'", "batch: unknown '1'"]),
    ],
)
def test_an_invalid_row_is_rejected_with_error_and_fix(  # noqa: PLR0917 (fixtures)
    change, reasons, as_rows, rater_row, items, study, taxonomy
):
    row = rater_row("SO-1", "ann", **RATED) | change
    labels, rejected = validate(as_rows([row]), items, study, taxonomy)
    assert labels.is_empty()
    assert labels.schema == VALID
    found = rejected.row(0, named=True)
    assert (found["file"], found["line"], found["seen_at"]) == ("100-ann.csv", 2, datetime(2026, 5, 1, 12))
    parts = found["reason"].split("; ")
    for reason in reasons:
        assert reason in found["reason"]
    assert sum(part.split(":")[0] in row for part in parts) == len(reasons)
    content = json.loads(found["content"])
    assert content == {name: value for name, value in row.items() if name not in ("received_at", "file", "line")}


def test_the_units_pass_needs_no_categories(rater_row, items, study, validated):
    labels = validated([rater_row("SO-1", "ann"), rater_row("SO-2", "ann", bug_index=0)], items, study)
    assert labels["is_bug"].to_list() == [True, False]


def test_the_first_of_duplicates_in_a_file_is_kept(as_rows, rater_row, items, study, taxonomy):
    rows = [
        rater_row("SO-1", "ann", line=2),
        rater_row("SO-1", "ann", line=3),
        rater_row("SO-1", "ann", 100, 2, line=4),
    ]
    labels, rejected = validate(as_rows(rows), items, study, taxonomy)
    assert labels["line"].to_list() == [2, 4]
    assert rejected["line"].to_list() == [3]
    assert "bug_index: duplicate of line 2 of this file" in rejected["reason"].item()


def test_contradictory_rows_of_a_file_are_rejected(as_rows, rater_row, items, study, taxonomy):
    rows = [
        rater_row("SO-1", "ann", line=2),
        rater_row("SO-1", "ann", bug_index=0, line=3),
        rater_row("SO-2", "ann", line=4),
    ]
    labels, rejected = validate(as_rows(rows), items, study, taxonomy)
    assert labels["line"].to_list() == [4]
    assert rejected["line"].to_list() == [2, 3]


@pytest.fixture
def units():
    rows = [("SO-1", 1, "line 1", "agreement", 5), ("SO-1", 2, "line 2", "adjudication", 5)]
    return pl.DataFrame(rows, schema=UNITS, orient="row")


@pytest.mark.parametrize(
    ("item", "index", "reason"),
    [
        ("SO-1", 3, "bug_index: the item has no bug 3; its frozen bugs are 1, 2"),
        ("SO-2", 1, "bug_index: no bug of this item is frozen yet: it is rated when its raters agree on its bugs"),
    ],
)
@pytest.mark.parametrize("rater", ["ann", "eve"])
def test_ratings_of_bugs_that_do_not_exist_are_rejected(  # noqa: PLR0917 (fixtures)
    item, index, reason, rater, as_rows, rater_row, items, units, study, taxonomy
):
    rows = [rater_row("SO-1", rater, 5, 2, line=2, **RATED), rater_row(item, rater, 5, index, line=3, **RATED)]
    labels, rejected = validate(as_rows(rows), items, study, taxonomy, units=units)
    assert labels["line"].to_list() == [2]
    assert rejected.select("line", "reason").rows() == [(3, reason)]


def test_bugs_may_be_listed_whatever_is_frozen(  # noqa: PLR0917 (fixtures)
    as_rows, rater_row, items, units, study, taxonomy
):
    labels, rejected = validate(as_rows([rater_row("SO-1", "ann", 5, 3)]), items, study, taxonomy, units=units)
    assert (labels.height, rejected.height) == (1, 0)


def test_rows_about_items_that_their_rater_is_not_asked_about_are_rejected(as_rows, rater_row, items, study, taxonomy):
    drawn = items.with_columns(raters=pl.Series([["bob"], None], dtype=pl.List(pl.String)))
    rows = [rater_row(item, rater) for item in ("SO-1", "SO-2") for rater in ("ann", "bob", "eve")]
    labels, rejected = validate(as_rows(rows), drawn, study, taxonomy)
    assert labels.select("item_id", "rater").rows() == [
        ("SO-1", "bob"), ("SO-1", "eve"), ("SO-2", "ann"), ("SO-2", "bob"), ("SO-2", "eve"),
    ]  # fmt: skip
    assert rejected["reason"].to_list() == [
        "rater: ann is not asked about this item; copy rows from the own sheet only"
    ]


def test_answers_to_what_is_asked_of_a_sample_are_not_taken_outside_of_it(
    as_rows, rater_row, make_items, make_study, taxonomy
):
    dimensions = [
        {**dimension.model_dump(), "asked_of": {"posts_per_library": 1}} if dimension.name == "stage" else dimension
        for dimension in make_study().dimensions
    ]
    study = make_study(dimensions=dimensions)
    items = make_items({"SO-1": 5, "GH-1": 5, "SO-2": 10})
    units = pl.DataFrame(
        [(item, 1, None, "agreement", batch) for item, batch in (("SO-1", 5), ("GH-1", 5), ("SO-2", 10))],
        schema=UNITS,
        orient="row",
    )
    rows = [
        rater_row(item, "ann", bug_type="API Bug", stage=stage, line=line)
        for line, (item, stage) in enumerate([("SO-1", "Training"), ("GH-1", "Training"), ("SO-2", "none")], start=2)
    ]
    rows += [rater_row("SO-2", "bob", bug_type="API Bug", stage="Training", line=7)]
    valid, rejected = validate(as_rows(rows), items, study, taxonomy, units=units)
    assert rejected.is_empty()
    taken, notes = without_unasked(valid, items, units, study)
    assert taken.select("line", "stage", "bug_type").rows() == [
        (2, "Training", "API Bug"), (3, None, "API Bug"), (4, None, "API Bug"), (7, None, "API Bug"),
    ]  # fmt: skip
    assert notes == {
        "100-ann.csv": ["stage is not asked about the bugs in lines 3: these answers are not taken"],
        "100-bob.csv": ["stage is not asked about the bugs in lines 7: these answers are not taken"],
    }


def test_no_rows(as_rows, items, study, taxonomy):
    labels, rejected = validate(as_rows([]), items, study, taxonomy)
    assert (len(labels), labels.schema, len(rejected), rejected.schema) == (0, VALID, 0, REJECTED_LABELS)


rows_of_files = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.sampled_from(["SO-1", "SO-2", "SO-9", None, ""]),
            "rater": st.sampled_from(["ann", "bob", "eve", "mallory", None]),
            "batch": st.sampled_from([5, 10, 7, None]),
            "pass": st.sampled_from(["units", "dimensions", "?", None]),
            "bug_index": st.sampled_from([-1, 0, 1, 2, None]),
            "is_bug": st.sampled_from([True, False, None]),
            "bug_type": st.sampled_from(["API Bug", "api bug ", "Bee", None]),
            "root_cause": st.sampled_from(["API Misuse", None]),
            "effect": st.sampled_from(["Crash", None]),
            "file": st.sampled_from(["1.csv", "2.csv", None]),
            "line": st.integers(1, 9) | st.none(),
        }
    ),
    max_size=12,
)


@pytest.mark.slow
@given(rows_of_files)
def test_every_row_is_a_label_or_rejected(as_rows, items, study, taxonomy, rows):
    labels, rejected = validate(as_rows(rows), items, study, taxonomy)
    assert len(labels) + len(rejected) == len(rows)
    assert rejected["reason"].null_count() == 0
    key = ["item_id", "rater", "batch", "pass", "bug_index"]
    # Rows without a file, which no submission has, are those of one version.
    versions = labels.with_columns(pl.col("file").fill_null("0.csv")).sort("file", maintain_order=True)
    files = versions["file"].unique(maintain_order=True)
    labels = record(versions, study, dict(zip(files, files, strict=True)), {}).labels
    assert labels.select(*key, "revision").is_unique().all()
    assert labels.filter(~pl.col("superseded")).select(key).is_unique().all()


def test_a_whole_study_is_validated_within_a_second(as_rows, rater_row, make_items, study, taxonomy):
    items = make_items({f"SO-{n}": 100 for n in range(3750)})
    rows = as_rows([rater_row(f"SO-{n}", rater, bug_type="api bug") for n in range(3750) for rater in ("ann", "bob")])
    started = time.perf_counter()
    labels, _ = validate(rows, items, study, taxonomy)
    assert time.perf_counter() - started < 1
    assert len(labels) == 7500
