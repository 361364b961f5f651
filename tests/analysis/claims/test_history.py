"""analysis.claim_history: rows that a publication adds, supersedes and leaves alone."""

from datetime import datetime

import polars as pl

from dlbug_assets.analysis.claims.history import claim_history
from dlbug_assets.warehouse.rows import table_schema

FIRST, SECOND, THIRD = (datetime(2026, 1, day, 9, 30) for day in (1, 2, 3))
NONE = pl.DataFrame(schema=table_schema("analysis.claim_history"))


def claim(text="Data bugs lead", support="supported", **changed):
    row = {"finding": 1, "claim": text, "support": support, "number_verdict": "reproduced", "computed": "26",
           "probability": 0.98}  # fmt: skip
    return row | changed


def publish(published, moment, *claims):
    stated = [each | {"position": place} for place, each in enumerate(claims, start=1)]
    schema = {"position": pl.Int64, "finding": pl.Int64, "claim": pl.String, "support": pl.String,
              "number_verdict": pl.String, "computed": pl.String, "probability": pl.Float64}  # fmt: skip
    frame = pl.DataFrame(stated, schema=schema)
    return claim_history(frame, published=published, moment=moment, run_id=f"run-{moment.day}")


def rows(history, *columns):
    return history.select(columns).rows()


def test_first_publication_adds_a_row_per_claim_that_changes_no_conclusion():
    history = publish(NONE, FIRST, claim(), claim("Crashes lead", "undecided"))
    assert rows(history, "claim", "revision", "published_at", "superseded_at", "run_id", "support") == [
        ("Data bugs lead", 1, FIRST, None, "run-1", "supported"),
        ("Crashes lead", 1, FIRST, None, "run-1", "undecided"),
    ]
    assert rows(history, "changes_conclusion", "is_new") == [(False, True), (False, True)]


def test_publication_without_changes_adds_nothing_and_keeps_the_times():
    history = publish(publish(NONE, FIRST, claim()), SECOND, claim())
    assert rows(history, "revision", "published_at", "superseded_at", "is_new") == [(1, FIRST, None, False)]


def test_probability_alone_adds_no_row_and_keeps_the_one_of_the_publication():
    history = publish(publish(NONE, FIRST, claim(probability=0.98)), SECOND, claim(probability=0.9800000001))
    assert rows(history, "revision", "probability") == [(1, 0.98)]


def test_changed_support_supersedes_the_row_and_changes_the_conclusion():
    history = publish(publish(NONE, FIRST, claim()), SECOND, claim(support="contradicted"))
    assert rows(history, "revision", "support", "published_at", "superseded_at", "changes_conclusion", "is_new") == [
        (1, "supported", FIRST, SECOND, False, False),
        (2, "contradicted", SECOND, None, True, True),
    ]


def test_verdict_that_becomes_or_was_null_changes_the_conclusion():
    history = publish(publish(NONE, FIRST, claim()), SECOND, claim(number_verdict=None))
    history = publish(history, THIRD, claim(number_verdict="differs"))
    assert rows(history, "number_verdict", "changes_conclusion") == [
        ("reproduced", False), (None, True), ("differs", True),
    ]  # fmt: skip


def test_changed_number_adds_a_row_with_the_same_conclusion():
    history = publish(publish(NONE, FIRST, claim()), SECOND, claim(computed="27"))
    assert rows(history, "computed", "changes_conclusion") == [("26", False), ("27", False)]


def test_removed_claim_is_superseded_once():
    history = publish(publish(NONE, FIRST, claim()), SECOND)
    assert rows(history, "superseded_at", "is_new") == [(SECOND, False)]
    assert rows(publish(history, THIRD), "superseded_at") == [(SECOND,)]


def test_restored_claim_continues_its_revisions():
    history = publish(publish(publish(NONE, FIRST, claim()), SECOND), THIRD, claim(support="undecided"))
    assert rows(history, "revision", "published_at", "superseded_at", "changes_conclusion") == [
        (1, FIRST, SECOND, False),
        (2, THIRD, None, True),
    ]


def test_reworded_claim_is_another_claim():
    history = publish(publish(NONE, FIRST, claim("Data bugs lead")), SECOND, claim("Data bugs are first", "undecided"))
    assert rows(history, "claim", "revision", "superseded_at", "changes_conclusion") == [
        ("Data bugs lead", 1, SECOND, False),
        ("Data bugs are first", 1, None, False),
    ]


def test_sentence_that_a_finding_states_twice_is_two_claims():
    history = publish(publish(NONE, FIRST, claim(), claim(support="undecided")), SECOND, claim(), claim())
    assert rows(history, "repetition", "revision", "support", "changes_conclusion") == [
        (1, 1, "supported", False),
        (2, 1, "undecided", False),
        (2, 2, "supported", True),
    ]


def test_order_of_published_rows_does_not_matter():
    history = publish(publish(NONE, FIRST, claim()), SECOND, claim(support="contradicted"))
    again = publish(history.reverse(), THIRD, claim(support="contradicted"))
    assert rows(again, "revision", "superseded_at", "is_new") == [(1, SECOND, False), (2, None, False)]
