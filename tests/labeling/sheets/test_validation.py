import json
import time
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, validate
from dlbug_assets.warehouse.rows import table_schema
from support.filled_sheets import labelling_study

RATER_LABELS = table_schema("labeling.rater_labels", labelling_study())


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-1": 5, "SO-2": 100})


def test_valid_rows_become_labels_spelled_as_in_the_taxonomy(as_rows, rater_row, items, study, taxonomy):
    row = rater_row("SO-1", "ann", bug_type="sb.logic  bugs", stage="  ", comment="") | {"rater": " ann "}
    labels, rejected = validate(as_rows([row]), items, study, taxonomy)
    assert rejected.is_empty()
    assert rejected.schema == REJECTED_LABELS
    assert labels.schema == RATER_LABELS
    assert labels.to_dicts() == [
        {"item_id": "SO-1", "rater": "ann", "batch": 100, "pass": "dimensions", "revision": 1, "bug_index": 1,
         "is_bug": True, "bug_type": "Structural Logic Bug", "root_cause": "API Misuse", "effect": "Crash",
         "stage": None, "antipattern": None, "place": None, "comment": None, "labelled_at": None,
         "received_at": datetime(2026, 5, 1, 12), "file": "100-ann.csv", "line": 2, "superseded": False, "round": 1}
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
    assert labels.schema == RATER_LABELS
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


def test_a_later_file_revises_an_earlier_one(rater_row, items, study, validated):
    rows = [
        rater_row("SO-1", "ann", file="first.csv"),
        rater_row("SO-1", "bob", file="first.csv"),
        rater_row("SO-1", "ann", file="second.csv", place="line 9"),
    ]
    labels = validated(rows, items, study)
    assert labels.select("rater", "revision", "superseded").rows() == [
        ("ann", 1, True),
        ("bob", 1, False),
        ("ann", 2, False),
    ]


def test_rows_of_different_batches_are_not_revisions(rater_row, items, study, validated):
    labels = validated([rater_row("SO-1", "ann", 5), rater_row("SO-1", "ann", 10)], items, study)
    assert labels.select("revision", "superseded").rows() == [(1, False), (1, False)]


def test_a_changed_answer_supersedes_earlier_rows(rater_row, items, study, validated):
    rows = [
        rater_row("SO-1", "ann", bug_index=1, file="1.csv"),
        rater_row("SO-1", "ann", bug_index=2, file="1.csv"),
        rater_row("SO-1", "ann", bug_index=0, file="2.csv"),
        rater_row("SO-2", "ann", bug_index=0, file="1.csv"),
        rater_row("SO-2", "ann", bug_index=1, file="2.csv"),
    ]
    assert validated(rows, items, study)["superseded"].to_list() == [True, True, False, True, False]


def test_no_rows(as_rows, items, study, taxonomy):
    labels, rejected = validate(as_rows([]), items, study, taxonomy)
    assert (len(labels), labels.schema, len(rejected), rejected.schema) == (0, RATER_LABELS, 0, REJECTED_LABELS)


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
    assert labels.select(*key, "revision").is_unique().all()
    assert labels.filter(~pl.col("superseded")).select(key).is_unique().all()


def test_a_whole_study_is_validated_within_a_second(as_rows, rater_row, make_items, study, taxonomy):
    items = make_items({f"SO-{n}": 100 for n in range(3750)})
    rows = as_rows([rater_row(f"SO-{n}", rater, bug_type="api bug") for n in range(3750) for rater in ("ann", "bob")])
    started = time.perf_counter()
    labels, _ = validate(rows, items, study, taxonomy)
    assert time.perf_counter() - started < 1
    assert len(labels) == 7500
