"""Requests for pages: no post is lost and no request is wasted, whatever changes between two requests."""

from datetime import date
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.protocol.sections import Library, Selection
from dlbug_assets.stackoverflow.api.client import Page
from dlbug_assets.stackoverflow.api.paging import Query, Tally, full, look_up, refresh, rising, windows
from support.sites import Site, post

KERAS = Query(("keras",), 6, None, None)
OPENED = KERAS.start
DAY = 86_400
NOW = 1_600_000_000

#: Creation times in bursts of one item per second.
bursts = st.lists(
    st.tuples(st.integers(OPENED, NOW), st.sampled_from([1, 1, 1, 30, 90, 130])), min_size=0, max_size=12
).map(lambda starts: [start + step for start, size in starts for step in range(size)])
#: Creation times with many items in one second.
crowded_seconds = st.lists(
    st.tuples(st.integers(OPENED, NOW), st.sampled_from([1, 99, 100, 101, 250])), max_size=4
).map(lambda starts: [start for start, size in starts for _ in range(size)])


def by_score(site):
    return partial(site.ask, "questions", tagged="keras", sort="votes", order="desc", min=6)


@settings(max_examples=60)
@given(st.one_of(bursts, crowded_seconds))
def test_windows_return_every_item_once_on_first_pages_only(created):
    site = Site(*(post(number, created=at) for number, at in enumerate(created, start=1)))
    returned = [item["question_id"] for page in windows(by_score(site), OPENED, None, NOW) for item in page.items]
    assert sorted(returned) == list(range(1, len(created) + 1))
    further_pages = [params for _, params in site.requests if "page" in params]
    assert all(params["fromdate"] == params["todate"] for params in further_pages)


def test_all_items_are_returned_if_the_sites_clock_is_far_ahead():
    site = Site(*(post(number, created=NOW + DAY + number) for number in range(350)))
    returned = [item["question_id"] for page in windows(by_score(site), OPENED, None, NOW) for item in page.items]
    assert sorted(returned) == list(range(350))
    assert len(site.requests) < 60


def test_a_small_library_takes_one_request():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(100)))
    assert len(list(windows(by_score(site), OPENED, None, NOW))) == len(site.requests) == 1


def test_windows_stay_within_the_studys_dates():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1000)))
    query = Query.of(
        Library(name="Keras", tags=("keras",), repositories="x"),
        Selection(created_from=date(2009, 1, 1), created_until=date(2010, 12, 31)),
    )
    tally = full(site.ask, query, (), NOW)
    assert tally.in_scope == {number for number in range(1000) if 154 <= number <= 883}
    assert {params["fromdate"] >= query.created_from for _, params in site.requests} == {True}
    assert {params["todate"] <= query.created_until for _, params in site.requests} == {True}


def test_a_refresh_stays_within_the_studys_dates():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1000)))
    query = Query(("keras",), 6, OPENED + 10 * DAY, OPENED + 19 * DAY)
    for number in range(1000):
        site.change(number)
    tally = refresh(site.ask, query, Tally(query, set()), {"keras": OPENED}, NOW)
    assert tally.in_scope == set(range(10, 20))
    assert len(site.requests) == 1


def test_ranks_that_drift_between_requests_lose_nothing():
    site = Site(*(post(number, created=OPENED + number * DAY, score=6 + number % 50) for number in range(1, 900)))

    def drift():
        for number in range(1, 900, 7):
            site.vote(number, 6 + (site.posts[number]["score"] * 31) % 60)

    site.before = drift
    assert full(site.ask, KERAS, (), NOW).in_scope == set(range(1, 900))


def test_requests_end_if_the_api_ignores_the_windows():
    same = [post(number, created=OPENED + number * DAY) for number in range(100)]
    requests = []

    def endless(*_method, **params):
        requests.append(params)
        return Page(same, has_more=True, total=None)

    with pytest.raises(
        MalformedError, match="items outside of the requested creation_date from 1217462400 to 1220227200"
    ):
        full(endless, KERAS, (), NOW)
    assert len(requests) == 2


def test_single_items_outside_of_a_request_are_not_in_scope_and_stop_nothing():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(300)))
    alien = post(1000, created=OPENED, last_activity_date=OPENED, tags=["torch"], score=1)

    def with_alien(*method, **params):
        page = site.ask(*method, **params)
        return Page([*page.items, alien] if "tagged" in params else page.items, page.has_more, page.total)

    def ask(*method, **params):
        return Page((), has_more=False, total=0) if "synonyms" in method[0] else with_alien(*method, **params)

    tally = full(ask, KERAS, (), NOW)
    assert (tally.in_scope, tally.members) == (set(range(300)), set(range(300)))
    site.change(7, title="Edited")
    tally = refresh(ask, KERAS, tally, {"keras": OPENED + 299 * DAY}, NOW)
    assert (tally.in_scope, tally.newest) == (set(range(300)), {"keras": site.now})


@pytest.mark.parametrize(
    ("total", "returned", "is_short"),
    [
        (100, 100, False),
        (100, 96, False),
        (100, 95, True),
        (4, 0, True),
        (3, 0, False),
        (1000, 987, False),
        (None, 0, False),
    ],
)
def test_a_result_that_lacks_more_than_what_changes_meanwhile_is_short(total, returned, is_short):
    tally = Tally(KERAS, set())
    tally.expect("keras", total, returned)
    assert tally.short == ({"keras": (returned, total)} if is_short else {})


def test_a_synonym_is_followed_through_all_pages_of_synonyms():
    site = Site(*(post(number, created=OPENED + number, tags=["keras", "python"]) for number in range(3)))
    synonyms = [{"from_tag": f"py{number}", "to_tag": "python"} for number in range(120)]
    synonyms.append({"from_tag": "keras2", "to_tag": "keras"})

    def ask(method, *, ids=(), **params):
        if method == "tags/{ids}/synonyms":
            assert ids == ["keras", "python"]
            start = (params.get("page", 1) - 1) * 100
            return Page(synonyms[start : start + 100], has_more=start == 0, total=None)
        return site.ask(method, ids=ids, **params | ({"tagged": "keras"} if "tagged" in params else {}))

    tally = full(ask, Query(("keras2",), 6, None, None), (), NOW)
    assert (tally.synonyms, tally.query.tags) == ({"keras2": "keras"}, ("keras2", "keras"))
    assert (tally.in_scope, tally.matched) == ({0, 1, 2}, {"keras2"})


def test_requests_end_if_the_api_repeats_a_page_of_one_second():
    same = [post(number, created=OPENED) for number in range(100)]

    def endless(*_method, **_params):
        return Page(same, has_more=True, total=None)

    with pytest.raises(MalformedError, match="keeps reporting more pages but repeats the same items"):
        list(windows(endless, OPENED, OPENED, NOW))


def activity(site):
    return partial(site.ask, "questions", tagged="keras", sort="activity", order="asc")


@settings(max_examples=60)
@given(st.one_of(bursts, crowded_seconds), st.data())
def test_questions_that_move_to_the_end_between_two_requests_are_not_lost(active, data):
    site = Site(
        *(post(number, created=OPENED + number, last_activity_date=at) for number, at in enumerate(active, start=1)),
        now=NOW + DAY,
    )
    low = data.draw(st.integers(OPENED, NOW))
    expected = {number for number, item in site.posts.items() if item["last_activity_date"] >= low}
    left = iter(data.draw(st.lists(st.integers(1, max(len(active), 1)), max_size=8)))

    def edit():
        number = next(left, 0)
        if number in site.posts:
            site.change(number, title="edited")
            expected.add(number)

    site.before = edit
    returned = {}
    for page in rising(activity(site), "last_activity_date", low, KERAS, NOW):
        returned |= {item["question_id"]: item for item in page.items}
    assert {number: returned.get(number) for number in expected} == {number: site.posts[number] for number in expected}


def test_a_deletion_between_two_requests_loses_no_other_question():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 400)))

    def delete():
        for number in range(len(site.requests) * 20 + 1, len(site.requests) * 20 + 6):
            site.posts.pop(number, None)

    site.before = delete
    returned = {
        i["question_id"] for page in rising(activity(site), "last_activity_date", 0, KERAS, NOW) for i in page.items
    }
    assert set(site.posts) <= returned


def test_items_in_another_order_than_requested_are_rejected():
    items = [post(1, created=OPENED + 5), post(2, created=OPENED)]
    with pytest.raises(MalformedError, match="not in rising order of last_activity_date, as requested"):
        list(rising(lambda **_: Page(items, has_more=True, total=None), "last_activity_date", 0, KERAS, NOW))


def test_a_refresh_without_changes_takes_one_request():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1, 300)))
    known = set(range(1, 300))
    tally = refresh(site.ask, KERAS, Tally(KERAS, known, known), {"keras": OPENED + 299 * DAY}, NOW)
    assert len(site.requests) == 1
    assert tally.in_scope == known
    assert tally.newest == {"keras": OPENED + 299 * DAY}


def test_known_questions_that_are_not_returned_are_looked_up_by_id():
    site = Site(*(post(number, created=OPENED + number * DAY) for number in range(1, 50)))
    site.vote(7, 5)
    del site.posts[8]
    tally = full(site.ask, KERAS, range(1, 50), NOW)
    assert tally.in_scope == set(range(1, 50)) - {7, 8}
    assert [method for method, _ in site.requests] == ["questions", "questions/{ids}"]


def test_ids_are_looked_up_a_hundred_at_a_time():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 251)))
    tally = Tally(KERAS, set())
    look_up(site.ask, tally, range(1, 251), NOW)
    assert (tally.items, len(site.requests)) == (250, 3)


def test_answers_missing_from_their_question_are_fetched():
    site = Site(*(post(number, created=OPENED + number) for number in range(1, 4)))
    for number in (1, 2, 2, 3):
        site.answer(number)
    answers = site.posts[2]["answers"]
    site.posts[2]["answers"] = answers[:1]

    def add_missing_answers():
        if site.requests:
            site.posts[2]["answers"] = answers

    site.before = add_missing_answers
    full(site.ask, KERAS, (), NOW)
    assert [method for method, _ in site.requests] == ["questions", "questions/{ids}/answers"]


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
def test_a_query_matches_by_tag_score_and_dates_inclusive(fields, expected):
    query = Query(("keras", "tf.keras"), 6, 1_500_000_000, 1_500_086_400)
    assert query.matches(post(1, created=1_500_086_400) | fields) is expected


def test_there_is_a_request_for_each_tag():
    site = Site(
        post(1, created=OPENED), post(2, created=OPENED, tags=["tf.keras"]), post(3, created=OPENED, tags=["x"])
    )
    tally = full(site.ask, Query(("keras", "tf.keras"), 6, None, None), (), NOW)
    assert tally.in_scope == {1, 2}
    assert [params["tagged"] for _, params in site.requests] == ["keras", "tf.keras"]


@pytest.mark.parametrize("time", [2**63, 10**400, 253_402_300_800, -1])
def test_an_activity_that_is_not_a_time_moves_no_cursor(time):
    tally = Tally(KERAS, set())
    items = [{"question_id": 1, "last_activity_date": NOW}, {"question_id": 2, "last_activity_date": time}]
    tally.count(Page(items, has_more=False, total=None), "keras")
    assert (tally.newest, tally.seen) == ({"keras": NOW}, {1, 2})
