"""Merging replies into rows: in any steps the same rows, which in the end are those of the site."""

import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.privacy import keyed_hash
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.client import Page, StackExchangeClient
from dlbug_assets.stackoverflow.api.collector import LIBRARY_KINDS, Collector, queries
from dlbug_assets.stackoverflow.api.merging import in_scope, merge
from dlbug_assets.stackoverflow.api.paging import Query
from dlbug_assets.stackoverflow.api.replies import read_replies
from dlbug_assets.stackoverflow.posts import RAW_ANSWERS, RAW_POSTS
from support.clocks import ManualClock
from support.collection_checks import STUDY
from support.sites import Site, post

pytestmark = pytest.mark.slow

KEY = b"k" * 32
NOW = 1_600_000_000
QUERIES = queries(STUDY)


class SiteClient(StackExchangeClient):
    """A client of a site in memory instead of one behind a network."""

    def __init__(self, site):
        self.site = site

    def page(self, method, ids, params, land):
        body = self.site.reply(method, ids, params)
        land(body, self.site.now)
        return Page.of(json.loads(body))


@dataclass(frozen=True)
class SiteAccess(StackExchangeAccess):
    """Access to a site in memory."""

    site: Site = field(default_factory=Site)

    def client(self):
        return SiteClient(self.site)


class Pipeline:
    """Collect from a site and merge into tables, as the assets do."""

    def __init__(self, site, folder):
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.landing = Landing(folder / "landing", self.clock)
        ledger = Ledger(folder / "quota.sqlite", self.clock)
        self.access = SiteAccess("http://site", None, ledger, self.clock, site=site)
        self.collector = Collector(STUDY, self.landing, self.access)
        self.posts, self.answers = pl.DataFrame(schema=RAW_POSTS), pl.DataFrame(schema=RAW_ANSWERS)
        self.loaded = dict.fromkeys(QUERIES, 0)

    def collect(self, library, *, sweep=False):
        self.clock.advance(seconds=60)
        return self.collector.collect(library, sweep=sweep)

    def load(self, library):
        done = self.landing.done(library, LIBRARY_KINDS)
        merged = self.merge(library, done[self.loaded[library] :])
        self.loaded[library] = len(done)
        return merged

    def merge(self, library, collections):
        merged = merge(
            lambda numbers: self.posts.filter(pl.col("post_id").is_in(numbers)),
            map(read_replies, collections),
            library,
            QUERIES,
            KEY,
        )
        key = ["library", "post_id"]
        self.posts = pl.concat([self.posts.join(merged.posts, on=key, how="anti"), merged.posts]).sort(key)
        old = pl.col("post_id").is_in(merged.answers_of) | pl.col("answer_id").is_in(
            merged.answers["answer_id"].to_list()
        )
        self.answers = pl.concat([self.answers.filter(~old), merged.answers]).sort("answer_id")
        return merged

    def rebuild(self):
        """Return the tables, merged from all of landing at once."""
        self.posts, self.answers = self.posts.clear(), self.answers.clear()
        for library in QUERIES:
            self.merge(library, self.landing.done(library, LIBRARY_KINDS))
        return self.posts, self.answers


def expected(site, library):
    """Return the score, title and answers of the site's questions that match a library's query, by ID."""
    return {
        number: (item["score"], item["title"], sorted(answer["answer_id"] for answer in item["answers"]))
        for number, item in site.posts.items()
        if QUERIES[library].matches(item)
    }


def stored(pipeline, library):
    """Return the score, title and answers of the questions in scope of a library, by ID."""
    rows = pipeline.posts.filter((pl.col("library") == library) & pl.col("in_scope"))
    answers = pipeline.answers.group_by("post_id").agg(pl.col("answer_id").sort())
    known = dict(answers.iter_rows())
    return {row["post_id"]: (row["score"], row["title"], known.get(row["post_id"], [])) for row in rows.to_dicts()}


@pytest.fixture
def site():
    posts = [post(number, created=NOW - 1000 + number) for number in range(1, 31)]
    low = post(32, created=NOW - 100_000, score=5)
    return Site(*posts, post(31, created=NOW, tags=["keras", "torch"]), low, now=NOW)


@pytest.fixture
def pipeline(site, tmp_path):
    return Pipeline(site, tmp_path)


def test_the_first_collection_has_all_questions_in_scope(site, pipeline):
    assert pipeline.collect("Keras")["kind"] == "full"
    merged = pipeline.load("Keras")
    assert (merged.new, merged.changed, merged.deleted) == (31, 0, 0)
    assert stored(pipeline, "Keras") == expected(site, "Keras")


def test_a_refresh_has_and_counts_the_changes(site, pipeline):
    pipeline.collect("Keras")
    pipeline.load("Keras")
    site.change(3, title="Edited", score=7)
    site.change(32, score=6)
    site.answer(4)
    assert pipeline.collect("Keras")["kind"] == "refresh"
    merged = pipeline.load("Keras")
    assert (merged.new, merged.changed, merged.deleted) == (1, 2, 0)
    assert stored(pipeline, "Keras") == expected(site, "Keras")


def test_a_score_that_rose_by_votes_is_found_by_the_sweep_and_not_before(site, pipeline):
    pipeline.collect("Keras")
    site.vote(32, 6)
    assert pipeline.collect("Keras")["kind"] == "refresh"
    pipeline.load("Keras")
    assert 32 not in stored(pipeline, "Keras")
    assert pipeline.collect("Keras", sweep=True)["kind"] == "full"
    pipeline.load("Keras")
    assert stored(pipeline, "Keras") == expected(site, "Keras")


def test_questions_that_left_the_scope_or_were_deleted_are_kept_and_marked(site, pipeline):
    pipeline.collect("Keras")
    pipeline.load("Keras")
    site.vote(5, 2)
    del site.posts[6]
    pipeline.collect("Keras", sweep=True)
    merged = pipeline.load("Keras")
    assert (merged.new, merged.changed, merged.deleted) == (0, 2, 1)
    rows = {row["post_id"]: row for row in pipeline.posts.to_dicts()}
    assert (rows[5]["in_scope"], rows[5]["score"], rows[5]["deleted_at"]) == (False, 2, None)
    assert (rows[6]["in_scope"], rows[6]["title"]) == (False, "Question 6")
    assert rows[6]["deleted_at"] > rows[6]["retrieved_at"]


def test_a_question_that_is_undeleted_is_in_scope_again(site, pipeline):
    pipeline.collect("Keras")
    deleted = site.posts.pop(6)
    pipeline.collect("Keras", sweep=True)
    site.posts[6] = deleted
    pipeline.collect("Keras", sweep=True)
    pipeline.load("Keras")
    row = pipeline.posts.filter(pl.col("post_id") == 6).row(0, named=True)
    assert (row["in_scope"], row["deleted_at"]) == (True, None)


def test_what_one_library_observes_of_a_shared_question_counts_for_the_other(site, pipeline):
    for library in QUERIES:
        pipeline.collect(library)
        pipeline.load(library)
    site.change(31, title="Edited")
    pipeline.collect("Torch")
    pipeline.load("Torch")
    shared = pipeline.posts.filter(pl.col("post_id") == 31)
    assert shared["library"].to_list() == ["Keras", "Torch"]
    assert shared.drop("library").n_unique() == 1
    assert shared["title"].unique().to_list() == ["Edited"]


def test_a_deleted_answer_is_removed(site, pipeline):
    site.answer(4)
    site.answer(4)
    pipeline.collect("Keras")
    pipeline.load("Keras")
    site.change(4, answers=site.posts[4]["answers"][1:], answer_count=1)
    pipeline.collect("Keras")
    pipeline.load("Keras")
    assert pipeline.answers["answer_id"].to_list() == [4002]


def test_accounts_are_hashed_and_e_mail_addresses_redacted(site, pipeline):
    site.change(4, body="write to me@example.org", title="from me@example.org")
    pipeline.collect("Keras")
    pipeline.load("Keras")
    row = pipeline.posts.filter(pl.col("post_id") == 4).row(0, named=True)
    assert (row["body_html"], row["title"]) == ("write to <e-mail>", "from <e-mail>")
    assert row["owner_hash"] == keyed_hash(KEY, "4")


def test_loading_the_same_collections_again_changes_nothing(site, pipeline):
    site.answer(4)
    pipeline.collect("Keras")
    pipeline.load("Keras")
    before = pipeline.posts.clone(), pipeline.answers.clone()
    merged = pipeline.merge("Keras", pipeline.landing.done("Keras", LIBRARY_KINDS))
    assert (merged.new, merged.changed, merged.deleted) == (0, 0, 0)
    assert (pipeline.posts.equals(before[0]), pipeline.answers.equals(before[1])) == (True, True)


def test_another_selection_is_collected_in_full(site, pipeline, tmp_path):
    pipeline.collect("Keras")
    stricter = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"min_score": 8})})
    other = Collector(stricter, pipeline.landing, pipeline.access)
    assert other.collect("Keras", sweep=False)["kind"] == "full"
    assert other.collect("Keras", sweep=False)["kind"] == "refresh"


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(1, 40)),
        st.tuples(st.just("vote"), st.integers(1, 40), st.integers(3, 9)),
        st.tuples(st.just("answer"), st.integers(1, 40)),
        st.tuples(st.just("delete"), st.integers(1, 40)),
        st.tuples(
            st.just("retag"), st.integers(1, 40), st.sampled_from([["keras"], ["torch"], ["keras", "torch"], []])
        ),
        st.tuples(st.just("post"), st.integers(41, 60)),
        st.tuples(st.just("collect"), st.sampled_from(["Keras", "Torch"]), st.booleans()),
        st.tuples(st.just("load"), st.sampled_from(["Keras", "Torch"])),
    ),
    max_size=25,
)


def apply(site, pipeline, change):
    kind, subject, *rest = change
    if kind == "collect":
        pipeline.collect(subject, sweep=rest[0])
    elif kind == "load":
        pipeline.load(subject)
    elif kind == "post":
        site.now += 1
        site.posts.setdefault(subject, post(subject, created=site.now))
    elif subject in site.posts:
        {
            "edit": lambda: site.change(subject, title=f"Edited at {site.now}"),
            "vote": lambda: site.vote(subject, *rest),
            "answer": lambda: site.answer(subject),
            "delete": lambda: site.posts.pop(subject),
            "retag": lambda: site.change(subject, tags=rest[0] if rest else []),
        }[kind]()


@settings(max_examples=60)
@given(CHANGES, CHANGES)
def test_a_sweep_and_a_refresh_end_in_the_sites_rows_which_landing_can_rebuild(history, meanwhile):
    site = Site(*(post(number, created=NOW + number, score=4 + number % 5) for number in range(1, 41)), now=NOW + 100)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(site, Path(folder))
        for change in history:
            apply(site, pipeline, change)
        # The site changes during the sweep; the next refresh finds what the sweep missed.
        events = iter([change for change in meanwhile if change[0] in ("edit", "answer")])

        def change_something():
            change = next(events, None)
            if change is not None:
                apply(site, pipeline, change)

        site.before = change_something
        for library in QUERIES:
            pipeline.collect(library, sweep=True)
        site.before = lambda: None
        for library in QUERIES:
            pipeline.collect(library)
            pipeline.load(library)
        for library in QUERIES:
            assert stored(pipeline, library) == expected(site, library)
        posts, answers = pipeline.posts, pipeline.answers
        assert not posts.select("library", "post_id").is_duplicated().any()
        rebuilt_posts, rebuilt_answers = pipeline.rebuild()
        assert rebuilt_posts.equals(posts)
        assert rebuilt_answers.equals(answers)


@pytest.mark.parametrize(
    ("fields", "is_in_scope"),
    [
        ({}, True),
        ({"score": 5}, False),
        ({"score": None}, False),
        ({"tags": None}, False),
        ({"tags": ["torch"]}, False),
        ({"created_at": None}, False),
        ({"created_at": datetime(2017, 7, 14, 2, 39, 59)}, False),
        ({"created_at": datetime(2017, 7, 15, 2, 40, 1)}, False),
    ],
)
def test_rows_are_in_scope_if_their_items_match_the_query(fields, is_in_scope):
    query = Query(("keras",), 6, 1_500_000_000, 1_500_086_400)
    row = {"score": 6, "tags": ["keras", "x"], "created_at": datetime(2017, 7, 14, 2, 40)} | fields
    schema = {name: RAW_POSTS[name] for name in row}
    assert pl.DataFrame([row], schema=schema).select(in_scope(query)).item() is is_in_scope
