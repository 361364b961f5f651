import pytest

from dlbug_assets.labeling.units import UNITS, freeze


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-2": 5, "SO-1": 5})


@pytest.fixture
def frozen(taken, items, study):
    def rows_of(rows):
        units = freeze(taken(rows, items, study), items, study)
        assert units.schema == UNITS
        return units.rows()

    return rows_of


def test_the_same_single_bug_freezes_by_itself(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5, place="line 1"), hand_in("SO-1", "bob", 5, place=" line  1")]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_without_a_place_the_item_as_a_whole_is_the_place(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5, place=None), hand_in("SO-1", "bob", 5, place=None)]
    assert frozen(rows) == [("SO-1", 1, None, "agreement", 5)]


@pytest.mark.parametrize(
    "theirs",
    [
        [],  # not handed in yet
        [{"bug_index": 0}],
        [{"place": "line 2"}],
        [{"place": None}],
        [{}, {"bug_index": 2, "place": "line 2"}],
    ],
)
def test_otherwise_the_adjudicator_is_waited_for(frozen, hand_in, theirs):
    rows = [hand_in("SO-1", "ann", 5)] + [hand_in("SO-1", "bob", 5, **row) for row in theirs]
    assert frozen(rows) == []
    ruling = [hand_in("SO-1", "eve", 5, 2, place="line 7"), hand_in("SO-1", "eve", 5, 1, place="line 1")]
    assert frozen(rows + ruling) == [
        ("SO-1", 1, "line 1", "adjudication", 5),
        ("SO-1", 2, "line 7", "adjudication", 5),
    ]


def test_the_adjudicator_may_find_no_bug(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5, 0), hand_in("SO-1", "eve", 5, 0)]
    assert frozen(rows) == []
    # and that is frozen as well
    assert frozen([*rows, hand_in("SO-1", "ann", 10), hand_in("SO-1", "bob", 10)]) == []


def test_where_no_rater_sees_a_bug_there_is_none(frozen, hand_in):
    assert frozen([hand_in("SO-1", "ann", 5, 0), hand_in("SO-1", "bob", 5, 0)]) == []


def test_agreement_goes_before_the_adjudicator_in_the_same_batch(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5), hand_in("SO-1", "eve", 5, place="line 9")]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_once_frozen_later_batches_change_nothing(frozen, hand_in):
    by_agreement = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5)]
    later = [hand_in("SO-1", rater, 10, place="line 2") for rater in ("ann", "bob", "eve")]
    assert frozen(by_agreement + later) == [("SO-1", 1, "line 1", "agreement", 5)]
    by_ruling = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5, 0), hand_in("SO-1", "eve", 5, place="line 3")]
    assert frozen(by_ruling + later) == [("SO-1", 1, "line 3", "adjudication", 5)]


def test_what_disagreed_can_freeze_in_a_later_batch(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5, 0)]
    rows += [hand_in("SO-1", "ann", 10), hand_in("SO-1", "bob", 10)]
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 10)]


def test_superseded_rows_do_not_count(frozen, hand_in):
    rows = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5, place="line 2", file="a.csv")]
    assert frozen([*rows, hand_in("SO-1", "bob", 5, file="b.csv")]) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_three_raters_must_all_agree(taken, hand_in, items, make_study):
    three = make_study(raters=("ann", "bob", "cid"))
    rows = [hand_in("SO-1", "ann", 5), hand_in("SO-1", "bob", 5)]
    assert freeze(taken(rows, items, three), items, three).is_empty()
    rows.append(hand_in("SO-1", "cid", 5))
    assert len(freeze(taken(rows, items, three), items, three)) == 1


def test_units_stand_in_the_order_of_the_queue(frozen, hand_in):
    rows = [hand_in(item, rater, 5) for item in ("SO-1", "SO-2") for rater in ("ann", "bob")]
    assert [row[0] for row in frozen(rows)] == ["SO-2", "SO-1"]
