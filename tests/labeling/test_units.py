import pytest

from dlbug_assets.labeling.units import UNITS, freeze


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-2": 5, "SO-1": 5})


@pytest.fixture
def frozen(validated, items, study):
    def rows_of(rows):
        units = freeze(validated(rows, items, study), items, study)
        assert units.schema == UNITS
        return units.rows()

    return rows_of


def test_the_same_single_bug_of_all_raters_is_frozen(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5, place="line 1"), rater_row("SO-1", "bob", 5, place=" line  1")]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_blank_places_agree(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5, place=None), rater_row("SO-1", "bob", 5, place=None)]
    assert frozen(rows) == [("SO-1", 1, None, "agreement", 5)]


@pytest.mark.parametrize(
    "theirs",
    [
        [],  # not submitted yet
        [{"bug_index": 0}],
        [{"place": "line 2"}],
        [{"place": None}],
        [{}, {"bug_index": 2, "place": "line 2"}],
    ],
)
def test_differing_lists_are_frozen_by_the_adjudicator(frozen, rater_row, theirs):
    rows = [rater_row("SO-1", "ann", 5)] + [rater_row("SO-1", "bob", 5, **row) for row in theirs]
    assert frozen(rows) == []
    decision = [rater_row("SO-1", "eve", 5, 2, place="line 7"), rater_row("SO-1", "eve", 5, 1, place="line 1")]
    assert frozen(rows + decision) == [
        ("SO-1", 1, "line 1", "adjudication", 5),
        ("SO-1", 2, "line 7", "adjudication", 5),
    ]


def test_the_adjudicator_can_freeze_an_item_without_bugs(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5, 0), rater_row("SO-1", "eve", 5, 0)]
    assert frozen(rows) == []
    # later labels do not change it
    assert frozen([*rows, rater_row("SO-1", "ann", 10), rater_row("SO-1", "bob", 10)]) == []


def test_an_item_without_listed_bugs_has_no_units(frozen, rater_row):
    assert frozen([rater_row("SO-1", "ann", 5, 0), rater_row("SO-1", "bob", 5, 0)]) == []


def test_agreement_takes_precedence_over_the_adjudicator_in_the_same_batch(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5), rater_row("SO-1", "eve", 5, place="line 9")]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_later_batches_do_not_change_frozen_bugs(frozen, rater_row):
    by_agreement = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5)]
    later = [rater_row("SO-1", rater, 10, place="line 2") for rater in ("ann", "bob", "eve")]
    assert frozen(by_agreement + later) == [("SO-1", 1, "line 1", "agreement", 5)]
    by_decision = [
        rater_row("SO-1", "ann", 5),
        rater_row("SO-1", "bob", 5, 0),
        rater_row("SO-1", "eve", 5, place="line 3"),
    ]
    assert frozen(by_decision + later) == [("SO-1", 1, "line 3", "adjudication", 5)]


def test_bugs_can_be_frozen_in_a_later_batch(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5, 0)]
    rows += [rater_row("SO-1", "ann", 10), rater_row("SO-1", "bob", 10)]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 10)]


def test_superseded_rows_do_not_count(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5, place="line 2", file="a.csv")]
    assert frozen([*rows, rater_row("SO-1", "bob", 5, file="b.csv")]) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_all_of_three_raters_must_agree(validated, rater_row, items, make_study):
    three = make_study(raters=("ann", "bob", "cid"))
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5)]
    assert freeze(validated(rows, items, three), items, three).is_empty()
    rows.append(rater_row("SO-1", "cid", 5))
    assert len(freeze(validated(rows, items, three), items, three)) == 1


def test_units_are_in_queue_order(frozen, rater_row):
    rows = [rater_row(item, rater, 5) for item in ("SO-1", "SO-2") for rater in ("ann", "bob")]
    assert [row[0] for row in frozen(rows)] == ["SO-2", "SO-1"]
