"""What is asked: nothing is lost and nothing asked for twice in vain, whatever changes between two requests."""

from datetime import date
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.protocol.study import Library, Selection
from dlbug_assets.stackoverflow.api.client import Page
from dlbug_assets.stackoverflow.api.paging import Query, full, look_up, refresh, rising, windows
from dlbug_assets.stackoverflow.api.paging import Tally as Seen
from support.sites import Site, post

KERAS = Query(("keras",), 6, None, None)
OPENED = KERAS.start
DAY = 86_400
NOW = 1_600_000_000

#: Moments of creation: spread out, in bursts, and many in one second.
moments = st.lists(
    st.tuples(st.integers(OPENED, NOW), st.sampled_from([1, 1, 1, 30, 90, 130])), min_size=0, max_size=12
).map(lambda bursts: [moment + step for moment, size in bursts for step in range(size)])
seconds = st.lists(st.tuples(st.integers(OPENED, NOW), st.sampled_from([1, 99, 100, 101, 250])), max_size=4).map(
    lambda bursts: [moment for moment, size in bursts for _ in range(size)]
)


def by_score(site):
    return partial(site.ask, "questions", tagged="keras", sort="votes", order="desc", min=6)


@settings(max_examples=60)
@given(st.one_of(moments, seconds))
def test_windows_show_every_item_once_and_only_on_first_pages(created):
    site = Site(*(post(number, created=moment) for number, moment in enumerate(created, start=1)))
    shown = [item["question_id"] for page in windows(by_score(site), OPENED, None, NOW) for item in page.items]
    assert sorted(shown) == list(range(1, len(created) + 1))
    deeper = [params for _, params in site.asked if "page" in params]
    assert all(params["fromdate"] == params["todate"] for params in deeper)


def test_a_site_whose_clock_is_far_ahead_is_asked_to_its_end():
    site = Site(*(post(number, created=NOW + DAY + number) for number in range(350)))
    shown = [item["question_id"] for page in windows(by_score(site), OPENED, None, NOW) for item in page.items]
    assert sorted(shown) == list(range(350))
    assert len(site.asked) < 60


def test_a_small_library_takes_one_request():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(100)))
    assert len(list(windows(by_score(site), OPENED, None, NOW))) == len(site.asked) == 1


def test_windows_stay_within_the_studys_dates():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1000)))
    query = Query.of(
        Library(name="Keras", tags=("keras",), repositories="x"),
        Selection(created_from=date(2009, 1, 1), created_until=date(2010, 12, 31)),
    )
    tally = full(site.ask, query, (), NOW)
    assert tally.in_scope == {number for number in range(1000) if 154 <= number <= 883}
    assert {params["fromdate"] >= query.created_from for _, params in site.asked} == {True}
    assert {params["todate"] <= query.created_until for _, params in site.asked} == {True}


def test_a_refresh_stays_within_the_studys_dates():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1000)))
    query = Query(("keras",), 6, OPENED + 10 * DAY, OPENED + 19 * DAY)
    for number in range(1000):
        site.change(number)
    tally = refresh(site.ask, query, (), {"keras": OPENED}, NOW)
    assert tally.in_scope == set(range(10, 20))
    assert len(site.asked) == 1


def test_ranks_that_drift_between_requests_lose_nothing():
    site = Site(*(post(number, created=OPENED + number * DAY, score=6 + number % 50) for number in range(1, 900)))

    def drift():
        for number in range(1, 900, 7):
            site.vote(number, 6 + (site.posts[number]["score"] * 31) % 60)

    site.before = drift
    assert full(site.ask, KERAS, (), NOW).in_scope == set(range(1, 900))


def test_an_api_that_ignores_the_windows_is_not_asked_for_ever():
    same = [post(number, created=OPENED + number * DAY) for number in range(100)]
    asked = []

    def endless(*_method, **params):
        asked.append(params)
        return Page(same, has_more=True, total=None)

    with pytest.raises(
        MalformedError, match="items outside of the requested creation_date from 1217462400 to 1220227200"
    ):
        full(endless, KERAS, (), NOW)
    assert len(asked) == 2


def test_an_api_that_repeats_a_page_within_a_second_is_not_asked_for_ever():
    same = [post(number, created=OPENED) for number in range(100)]

    def endless(*_method, **_params):
        return Page(same, has_more=True, total=None)

    with pytest.raises(MalformedError, match="keeps reporting more pages but repeats the same items"):
        list(windows(endless, OPENED, OPENED, NOW))


def activity(site):
    return partial(site.ask, "questions", tagged="keras", sort="activity", order="asc")


@settings(max_examples=60)
@given(st.one_of(moments, seconds), st.data())
def test_what_moves_to_the_end_between_two_requests_is_not_lost(active, data):
    site = Site(
        *(
            post(number, created=OPENED + number, last_activity_date=moment)
            for number, moment in enumerate(active, start=1)
        ),
        now=NOW + DAY,
    )
    low = data.draw(st.integers(OPENED, NOW))
    due = {number for number, item in site.posts.items() if item["last_activity_date"] >= low}
    left = iter(data.draw(st.lists(st.integers(1, max(len(active), 1)), max_size=8)))

    def edit():
        number = next(left, None)
        if number in site.posts:
            site.change(number, title="edited")
            due.add(number)

    site.before = edit
    shown = {}
    for page in rising(activity(site), "last_activity_date", low, KERAS, NOW):
        shown |= {item["question_id"]: item for item in page.items}
    assert due <= set(shown)
    assert {number: item for number, item in shown.items() if number in due} == {n: site.posts[n] for n in due}


def test_a_deletion_between_two_requests_costs_no_other_post():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 400)))

    def delete():
        for number in range(len(site.asked) * 20 + 1, len(site.asked) * 20 + 6):
            site.posts.pop(number, None)

    site.before = delete
    shown = {
        i["question_id"] for page in rising(activity(site), "last_activity_date", 0, KERAS, NOW) for i in page.items
    }
    assert set(site.posts) <= shown


def test_an_order_that_was_not_asked_for_is_refused():
    items = [post(1, created=OPENED + 5), post(2, created=OPENED)]
    with pytest.raises(MalformedError, match="not in rising order of last_activity_date, as requested"):
        list(rising(lambda **_: Page(items, has_more=True, total=None), "last_activity_date", 0, KERAS, NOW))


def test_nothing_new_takes_one_request():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1, 300)))
    known = set(range(1, 300))
    tally = refresh(site.ask, KERAS, known, {"keras": OPENED + 299 * DAY}, NOW)
    assert len(site.asked) == 1
    assert tally.in_scope == known
    assert tally.newest == {"keras": OPENED + 299 * DAY}


def test_what_was_known_and_does_not_come_is_looked_up_by_number():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1, 50)))
    site.vote(7, 5)
    del site.posts[8]
    tally = full(site.ask, KERAS, range(1, 50), NOW)
    assert tally.in_scope == set(range(1, 50)) - {7, 8}
    assert [method for method, _ in site.asked] == ["questions", "questions/{ids}"]


def test_numbers_are_looked_up_a_hundred_at_a_time():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 251)))
    tally = Seen(KERAS, set())
    look_up(site.ask, tally, range(1, 251), NOW)
    assert (tally.items, len(site.asked)) == (250, 3)


def test_answers_that_do_not_come_with_their_question_are_fetched():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 4)))
    for number in (1, 2, 2, 3):
        site.answer(number)
    whole = site.posts[2]["answers"]
    site.posts[2]["answers"] = whole[:1]

    def catch_up():
        if site.asked:
            site.posts[2]["answers"] = whole

    site.before = catch_up
    full(site.ask, KERAS, (), NOW)
    assert [method for method, _ in site.asked] == ["questions", "questions/{ids}/answers"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"score": 6}, True),
        ({"score": 5}, False),
        ({"score": None}, False),
        ({"tags": ["python", "keras"]}, True),
        ({"tags": ["keras-layer"]}, False),
        ({"tags": None}, False),
        ({"creation_date": 1_500_000_000}, True),
        ({"creation_date": 1_499_999_999}, False),
        ({"creation_date": 1_500_086_401}, False),
        ({"creation_date": "1500000000"}, False),
    ],
)
def test_a_question_is_in_scope_by_tag_score_and_date_with_its_limits(fields, expected):
    query = Query(("keras", "tf.keras"), 6, 1_500_000_000, 1_500_086_400)
    assert query.matches(post(1, created=1_500_086_400) | fields) is expected


def test_several_tags_are_asked_one_by_one():
    site = Site(
        post(1, created=OPENED), post(2, created=OPENED, tags=["tf.keras"]), post(3, created=OPENED, tags=["x"])
    )
    tally = full(site.ask, Query(("keras", "tf.keras"), 6, None, None), (), NOW)
    assert tally.in_scope == {1, 2}
    assert [params["tagged"] for _, params in site.asked] == ["keras", "tf.keras"]
