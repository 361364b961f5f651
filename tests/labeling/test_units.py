import polars as pl
import pytest

from dlbug_assets.labeling.units import UNITS, freeze


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-2": 5, "SO-1": 5})


@pytest.fixture
def outcome(validated, items, study):
    """Return the units, and the items to align with their batches."""

    def rows_of(rows, study=study):
        found = freeze(validated(rows, items, study), items, study)
        assert found.units.schema == UNITS
        return found.units.rows(), found.to_align.rows()

    return rows_of


@pytest.fixture
def frozen(outcome):
    return lambda rows: outcome(rows)[0]


@pytest.fixture
def listed(rater_row):
    """Return rows of both raters with bugs at these places."""

    def rows(*places, batch=5, raters=("ann", "bob"), **rest):
        return [
            rater_row("SO-1", rater, batch, index, place=place, **rest)
            for rater in raters
            for index, place in enumerate(places, start=1)
        ]

    return rows


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


@pytest.mark.parametrize(
    "theirs",
    [
        "Model.fit(x)",
        "model . FIT(x)\n",
        "MODEL.FIT(X).",
        "model.fit(x);",
        "  model.fit(x) -- ",
        "\uff2dodel\uff0efit(x)",  # full width
        "model\u00a0.fit(x)",
    ],
)
def test_places_that_differ_in_case_blanks_final_punctuation_and_unicode_form_are_the_same(frozen, listed, theirs):
    rows = listed("model.fit(x)", raters=["ann"]) + listed(theirs, raters=["bob"])
    assert frozen(rows) == [("SO-1", 1, "model.fit(x)", "agreement", 5)]


def test_letters_with_combining_accents_are_the_same(frozen, listed):
    rows = listed("Gr\u00f6\u00dfe", raters=["ann"]) + listed("gro\u0308sse", raters=["bob"])
    assert frozen(rows) == [("SO-1", 1, "Gr\u00f6\u00dfe", "agreement", 5)]


@pytest.mark.parametrize(("one", "other"), [("a.b", "ab"), ("line 1", "line 2"), ("?", "!"), ("x = 1", "x == 1")])
def test_other_differences_are_different_places(outcome, listed, one, other):
    assert outcome(listed(one, raters=["ann"]) + listed(other, raters=["bob"])) == ([], [("SO-1", 5)])


@pytest.mark.parametrize(("ann", "bob"), [("line 1", None), (None, "line 1"), (" ", "line 1")])
def test_a_single_bug_needs_no_place(frozen, listed, ann, bob):
    rows = listed(ann, raters=["ann"]) + listed(bob, raters=["bob"])
    assert frozen(rows) == [("SO-1", 1, "line 1", "agreement", 5)]


def test_identical_lists_are_frozen_in_any_order_numbered_as_the_first_rater_does(outcome, listed):
    rows = listed("line 1", "line 2", "line 9", raters=["ann"]) + listed("line 9", "LINE 1", "line 2.", raters=["bob"])
    assert outcome(rows) == (
        [("SO-1", index, place, "agreement", 5) for index, place in ((1, "line 1"), (2, "line 2"), (3, "line 9"))],
        [],
    )


@pytest.mark.parametrize("theirs", [("line 1",), ("line 1", "line 1"), ("line 1", "line 3"), ("line 1", None)])
def test_other_lists_of_several_bugs_are_to_be_aligned(outcome, listed, theirs):
    rows = listed("line 1", "line 2", raters=["ann"]) + listed(*theirs, raters=["bob"])
    assert outcome(rows) == ([], [("SO-1", 5)])


def test_lists_are_not_aligned_before_all_raters_have_submitted_one(outcome, listed):
    assert outcome(listed("line 1", raters=["ann"])) == ([], [])


def test_a_bug_that_all_raters_add_later_is_frozen_in_addition(outcome, listed):
    rows = listed("line 1")
    rows += listed("line 1", "line 2", raters=["ann"], file="5-ann (2).csv")
    # Until bob adds it, ann lists more than is frozen.
    assert outcome(rows) == ([("SO-1", 1, "line 1", "agreement", 5)], [("SO-1", 5)])
    rows += listed("line 1", "line 2", raters=["bob"], file="5-bob (2).csv")
    assert outcome(rows) == (
        [("SO-1", 1, "line 1", "agreement", 5), ("SO-1", 2, "line 2", "agreement", 5)],
        [],
    )


def test_the_adjudicator_adds_bugs_to_those_that_are_frozen(outcome, listed):
    rows = listed("line 1", "line 2")
    fix = listed("line 1", raters=["eve"])
    fix[0] |= {"bug_index": 3, "place": "line 30"}
    assert outcome(rows + fix) == (
        [
            ("SO-1", 1, "line 1", "agreement", 5),
            ("SO-1", 2, "line 2", "agreement", 5),
            ("SO-1", 3, "line 30", "adjudication", 5),
        ],
        [],
    )


def test_a_frozen_bug_stays_if_a_rater_takes_it_back_and_the_adjudicator_is_asked(outcome, listed, rater_row):
    rows = [*listed("line 1"), rater_row("SO-1", "bob", 5, 0, file="5-bob (2).csv")]
    frozen = [("SO-1", 1, "line 1", "agreement", 5)]
    assert outcome(rows) == (frozen, [("SO-1", 5)])
    # The adjudicator keeps it, or decides that there is none.
    assert outcome([*rows, rater_row("SO-1", "eve", 5)]) == (frozen, [])
    assert outcome([*rows, rater_row("SO-1", "eve", 5, 0)]) == ([], [])
    # The rater lists it again.
    assert outcome([*rows, rater_row("SO-1", "bob", 5, file="5-bob (3).csv")]) == (frozen, [])


def test_the_adjudicator_is_asked_if_a_rater_takes_one_of_several_bugs_back(outcome, listed, rater_row):
    frozen = [("SO-1", index, f"line {index}", "agreement", 5) for index in (1, 2)]
    rows = [*listed("line 1", "line 2"), rater_row("SO-1", "ann", 10, file="10-ann.csv")]
    assert outcome(rows) == (frozen, [("SO-1", 10)])
    rows.append(rater_row("SO-1", "eve", 10, 2, place="line 2"))
    assert outcome(rows) == (frozen, [])


def test_a_rater_who_always_listed_fewer_bugs_is_not_disputed_again(outcome, listed, rater_row):
    rows = listed("line 1", "line 2", raters=["ann"]) + listed("line 1", raters=["bob"])
    rows += listed("line 1", "line 2", raters=["eve"])
    decided = [("SO-1", index, f"line {index}", "adjudication", 5) for index in (1, 2)]
    assert outcome([*rows, rater_row("SO-1", "bob", 10, file="10-bob.csv")]) == (decided, [])


def test_a_rater_who_lists_the_bugs_differently_after_the_decision_is_aligned_once(outcome, listed, rater_row):
    rows = [*listed("line 1"), rater_row("SO-1", "bob", 5, 0, file="5-bob (2).csv"), rater_row("SO-1", "eve", 5)]
    again = rater_row("SO-1", "bob", 5, 2, place="line 2", file="5-bob (3).csv")
    again_both = [rater_row("SO-1", "bob", 5, 1, file="5-bob (3).csv"), again]
    assert outcome(rows + again_both) == ([("SO-1", 1, "line 1", "agreement", 5)], [("SO-1", 5)])


def test_only_the_raters_who_are_asked_about_an_item_must_agree(validated, rater_row, items, make_study):
    three = make_study(raters=("ann", "bob", "cid"), raters_per_item=2)
    drawn = items.with_columns(raters=pl.Series([["ann", "cid"], ["bob", "cid"]], dtype=pl.List(pl.String)))
    rows = [rater_row("SO-1", rater, 5) for rater in ("bob", "cid")]
    rows.append(rater_row("SO-2", "ann", 5))
    found = freeze(validated(rows, drawn, three), drawn, three)
    assert found.units.rows() == [("SO-1", 1, "line 1", "agreement", 5)]
    assert found.to_align.rows() == []


def test_the_adjudicator_can_freeze_an_item_without_bugs(frozen, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5, 0), rater_row("SO-1", "eve", 5, 0)]
    assert frozen(rows) == []
    # later labels do not change it
    assert frozen([*rows, rater_row("SO-1", "ann", 10), rater_row("SO-1", "bob", 10)]) == []


def test_an_item_without_listed_bugs_has_no_units(frozen, rater_row):
    assert frozen([rater_row("SO-1", "ann", 5, 0), rater_row("SO-1", "bob", 5, 0)]) == []


def test_agreement_takes_precedence_over_a_later_row_of_the_adjudicator(frozen, rater_row):
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


def test_all_of_three_raters_must_agree(outcome, rater_row, make_study):
    three = make_study(raters=("ann", "bob", "cid"))
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5)]
    assert outcome(rows, three) == ([], [])
    rows.append(rater_row("SO-1", "cid", 5))
    assert outcome(rows, three) == ([("SO-1", 1, "line 1", "agreement", 5)], [])


def test_units_are_in_queue_order(frozen, rater_row):
    rows = [rater_row(item, rater, 5) for item in ("SO-1", "SO-2") for rater in ("ann", "bob")]
    assert [row[0] for row in frozen(rows)] == ["SO-2", "SO-1"]
