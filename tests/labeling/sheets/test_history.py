"""The history of answers: revisions, corrected versions and portions of a sheet, and what they withdraw."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.labeling.sheets.history import record
from dlbug_assets.labeling.sheets.validation import submitted_schema, validate

RATED = {"bug_type": "API Bug"}


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({f"SO-{number}": 100 for number in range(1, 10)})


@pytest.fixture
def history(as_rows, items, study, taxonomy):
    """Return what is recorded of versions of one sheet: each a list of rows; the n-th arrives in minute n."""

    def recorded(*versions, refused=None, cleared=None, is_partial=None):
        rows = [
            row | {"file": f"v{number}", "received_at": datetime(2026, 5, 1, 12, number)}
            for number, version in enumerate(versions, start=1)
            for row in version
        ]
        valid, rejected = validate(as_rows(rows), items, study, taxonomy)
        assert rejected.is_empty(), rejected["reason"].to_list()
        sheets = {f"v{number}": "100-ann-units" for number in range(1, len(versions) + 1)}
        return record(valid, study, sheets, refused or {}, cleared=cleared, is_partial=is_partial)

    return recorded


def current(recorded):
    """Return item and bug of the answers that count."""
    return recorded.labels.filter(~pl.col("superseded")).select("item_id", "bug_index").sort("item_id").rows()


def withdrawn(recorded):
    return recorded.labels.filter("withdrawn").select("item_id", "bug_index").sort("item_id").rows()


def test_a_later_file_revises_an_earlier_one(rater_row, items, study, validated):
    rows = [
        rater_row("SO-1", "ann", file="first.csv"),
        rater_row("SO-1", "bob", file="first.csv"),
        rater_row("SO-1", "ann", file="second.csv", place="line 9"),
    ]
    labels = validated(rows, items, study)
    second = datetime(2026, 5, 1, 12, 1)
    assert labels.select("rater", "revision", "superseded", "withdrawn", "replaced_at").rows() == [
        ("ann", 1, True, False, second),
        ("bob", 1, False, False, None),
        ("ann", 2, False, False, None),
    ]


def test_rows_of_different_batches_are_not_revisions(rater_row, items, study, validated):
    labels = validated([rater_row("SO-1", "ann", 5), rater_row("SO-1", "ann", 10)], items, study)
    assert labels.select("revision", "superseded").rows() == [(1, False), (1, False)]


def test_a_changed_answer_supersedes_earlier_rows(rater_row, items, study, validated):
    rows = [
        rater_row("SO-1", "ann", bug_index=1, file="1.csv"),
        rater_row("SO-1", "ann", bug_index=2, file="1.csv"),
        rater_row("SO-2", "ann", bug_index=0, file="1.csv"),
        rater_row("SO-1", "ann", bug_index=0, file="2.csv"),
        rater_row("SO-2", "ann", bug_index=1, file="2.csv"),
    ]
    assert validated(rows, items, study)["superseded"].to_list() == [True, True, True, False, False]


def test_an_answer_that_is_repeated_is_no_revision(history, rater_row):
    recorded = history([rater_row("SO-1", "ann")], [rater_row("SO-1", "ann")])
    assert recorded.labels.select("file", "revision", "superseded").rows() == [("v1", 1, False)]
    assert [dict(recorded.outcomes[version]) for version in ("v1", "v2")] == [{"taken": 1}, {"unchanged": 1}]


def test_a_corrected_version_withdraws_what_it_lacks(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 6)]
    recorded = history(first, [first[0], first[2] | {"place": "line 7"}, first[4]])
    assert current(recorded) == [("SO-1", 1), ("SO-3", 1), ("SO-5", 1)]
    assert withdrawn(recorded) == [("SO-2", 1), ("SO-4", 1)]
    assert set(recorded.labels.filter("withdrawn")["replaced_at"]) == {datetime(2026, 5, 1, 12, 2)}
    assert dict(recorded.outcomes["v2"]) == {"unchanged": 2, "changed": 1, "withdrawn": 2}
    assert recorded.assumptions == {
        "v2": "a corrected version: it repeats 3 of 5 earlier answers; of those that it lacks, 2 withdrawn"
    }


def test_a_row_that_is_cleared_withdraws_its_answer_if_another_one_is_repeated(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 5)]
    cleared = {"v2": {("SO-2", "ann", "units", 0)}}
    recorded = history(first, first[:1], cleared=cleared)
    assert withdrawn(recorded) == [("SO-2", 1)]
    assert recorded.assumptions == {
        "v2": "a portion of its sheet: it repeats 1 of 4 earlier answers; of those that it lacks, 1 withdrawn, 2 kept"
    }
    # A sheet that was begun anew has blank rows for what was answered before.
    assert withdrawn(history(first, [rater_row("SO-5", "ann")], cleared=cleared)) == []


def test_a_portion_withdraws_nothing(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 5)]
    recorded = history(first, [first[0] | {"place": "line 7"}, rater_row("SO-5", "ann")])
    assert current(recorded) == [(f"SO-{number}", 1) for number in range(1, 6)]
    assert withdrawn(recorded) == []
    assert +recorded.outcomes["v2"] == {"changed": 1, "taken": 1}
    assert recorded.assumptions == {
        "v2": "a portion of its sheet: it repeats 1 of 4 earlier answers; of those that it lacks, 3 kept"
    }


def test_a_bug_that_is_deleted_from_a_list_is_withdrawn(history, rater_row):
    first = [rater_row("SO-1", "ann", bug_index=index, place=f"line {index}") for index in (1, 2)]
    recorded = history(first, first[:1])
    assert current(recorded) == [("SO-1", 1)]
    assert withdrawn(recorded) == [("SO-1", 2)]


def test_answers_that_changed_between_bug_and_no_bug_count_as_repeated(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 4)]
    recorded = history(first, [rater_row(f"SO-{number}", "ann", bug_index=0) for number in range(1, 3)])
    assert current(recorded) == [("SO-1", 0), ("SO-2", 0)]
    assert withdrawn(recorded) == [("SO-3", 1)]


def test_a_withdrawn_answer_may_be_given_again(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 4)]
    recorded = history(first, first[:2], first)
    assert current(recorded) == [("SO-1", 1), ("SO-2", 1), ("SO-3", 1)]
    again = recorded.labels.filter(item_id="SO-3").select("file", "revision", "superseded", "withdrawn").rows()
    assert again == [("v1", 1, True, True), ("v3", 2, False, False)]
    assert dict(recorded.outcomes["v3"]) == {"unchanged": 2, "taken": 1}


def test_a_version_without_answers_withdraws_nothing(history, rater_row):
    recorded = history([rater_row("SO-1", "ann")], [], [rater_row("SO-1", "ann")])
    assert current(recorded) == [("SO-1", 1)]
    assert recorded.assumptions == {}


def test_a_refused_row_withdraws_nothing(history, rater_row):
    first = [rater_row(f"SO-{number}", "ann") for number in range(1, 4)]
    recorded = history(first, first[:1], refused={"v2": {("SO-2", "ann", "units", 0)}})
    assert current(recorded) == [("SO-1", 1), ("SO-2", 1), ("SO-3", 1)]  # one of three is a portion
    recorded = history(first, first[:2], refused={"v2": {("SO-3", "ann", "units", 0)}})
    assert current(recorded) == [("SO-1", 1), ("SO-2", 1), ("SO-3", 1)]
    assert recorded.assumptions == {}


def test_a_sheet_that_is_exported_again_repeats_only_partial_answers_and_is_a_portion(history, rater_row):
    complete = [rater_row(f"SO-{number}", "ann", **RATED) for number in (1, 2)]
    partial = [rater_row(f"SO-{number}", "ann", **RATED, stage=None) for number in (3, 4, 5, 6)]
    continued = [row | {"stage": "Training"} for row in partial[:2]] + partial[2:]
    recorded = history(complete + partial, continued, is_partial=pl.col("stage").is_null())
    assert current(recorded) == [(f"SO-{number}", 1) for number in range(1, 7)]
    assert recorded.assumptions == {
        "v2": "a portion of its sheet: it repeats 0 of 2 earlier answers; of those that it lacks, 2 kept"
    }
    # A version that has the complete answers as well is a corrected one.
    corrected = complete + partial[:1]
    recorded = history(complete + partial, corrected, is_partial=pl.col("stage").is_null())
    assert withdrawn(recorded) == [(f"SO-{number}", 1) for number in (4, 5, 6)]


def test_an_answer_in_another_sheet_is_not_withdrawn(as_rows, rater_row, items, study, taxonomy):
    """Who answers again in another file is not bound by later versions of the first one."""
    when = datetime(2026, 5, 1, 12)
    files = {"a1": ("SO-1", "SO-2"), "b1": ("SO-2",), "a2": ("SO-1",)}
    rows = [
        rater_row(item, "ann", file=file, received_at=when + timedelta(minutes=minute))
        for minute, (file, named) in enumerate(files.items())
        for item in named
    ]
    valid, _ = validate(as_rows(rows), items, study, taxonomy)
    recorded = record(valid, study, {"a1": "a", "b1": "b", "a2": "a"}, {})
    assert current(recorded) == [("SO-1", 1), ("SO-2", 1)]
    assert recorded.assumptions == {}


answers_of_a_file = st.dictionaries(
    st.integers(1, 4), st.one_of(st.just(None), st.lists(st.sampled_from("xyz"), min_size=1, max_size=2)), max_size=4
)


@given(st.lists(st.tuples(st.sampled_from("ab"), answers_of_a_file), max_size=8))
def test_the_answers_that_count_are_those_of_a_naive_model(study, taxonomy, items, files):
    """Random versions of two sheets of one rater: no bug (None) or bugs at some places, by item."""
    schema = submitted_schema(study)
    known = {"rater": "ann", "batch": 5, "pass": "units", "line": 1}
    rows, sheets = [], {}
    naive, given_in, count = {}, {}, {"rows": 0, "repeated": 0}
    for number, (sheet, answers) in enumerate(files):
        sheets[f"{number}"] = sheet
        new = {}
        for item, places in answers.items():
            new |= {(item, 0): None} if places is None else {(item, n): place for n, place in enumerate(places, 1)}
        for (item, index), place in new.items():
            origin = {"file": f"{number}", "received_at": datetime(2026, 5, 1) + timedelta(minutes=number)}
            answer = {"item_id": f"SO-{item}", "bug_index": index, "is_bug": index > 0, "place": place}
            rows.append(dict.fromkeys(schema.names()) | known | origin | answer)
        before = {key for key in naive if given_in[key] == sheet}
        count["rows"] += len(new)
        count["repeated"] += sum(key in naive and naive[key] == place for key, place in new.items())
        replaced = {key for key in naive if any(key[0] == k[0] and (key[1] == 0) != (k[1] == 0) for k in new)}
        for key in replaced:
            del naive[key]
        naive |= new
        given_in |= dict.fromkeys(new, sheet)
        lacking = before - replaced - set(new)
        repeated = len(before) - len(lacking)
        for key in lacking:
            if new and (repeated > len(lacking) or (repeated and key[0] in answers)):
                del naive[key]
    valid, rejected = validate(pl.DataFrame(rows, schema=schema), items, study, taxonomy)
    assert rejected.is_empty()
    labels = record(valid, study, sheets, {}).labels
    counted = labels.filter(~pl.col("superseded")).select("item_id", "bug_index", "place").rows()
    assert sorted(counted) == sorted((f"SO-{item}", index, place) for (item, index), place in naive.items())
    assert labels.height == count["rows"] - count["repeated"]
    assert labels.filter(pl.col("superseded") != pl.col("replaced_at").is_not_null()).is_empty()
    assert labels.filter(pl.col("withdrawn") & ~pl.col("superseded")).is_empty()
