"""Sampling of commits: a bottom-k hash sample, and the sources that commits come from."""

import hashlib
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.sampling import bottom_k
from dlbug_assets.github.sources import commit_source
from dlbug_assets.study import load_study
from dlbug_assets.table_specs import load_specs

SPECS = load_specs()


def frame(rows):
    schema = {"library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "sha": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def commits(shas, library="Keras"):
    return frame([(library, 1, "a/a", sha) for sha in shas])


def rank(sha, seed=7, library="Keras"):
    return hashlib.sha256(f"{seed}|{library}|{sha}".encode()).hexdigest()


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["Keras", "Torch"]),
        st.integers(1, 4) | st.none(),
        st.sampled_from(["a/a", "b/b"]),
        st.text("abc0", min_size=1, max_size=3),
    ),
    max_size=30,
    unique=True,
)


def test_the_first_k_in_the_order_of_their_hashes_are_drawn():
    shas = [f"{number:040x}" for number in range(300)]
    drawn = bottom_k(commits(shas), "Keras", 7, 20)
    assert drawn["sha"].to_list() == sorted(shas, key=rank)[:20]
    assert drawn["sample_rank"].to_list() == list(range(1, 21))
    assert drawn.columns == ["sample_rank", "library", "repository_id", "full_name", "sha"]


@settings(max_examples=100, deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 10))
def test_the_order_of_rows_does_not_matter(rows, random, k):
    shuffled = random.sample(rows, len(rows))
    drawn = bottom_k(frame(rows), "Keras", 7, k)
    assert drawn.rows() == bottom_k(frame(shuffled), "Keras", 7, k).rows()
    distinct = {row[3] for row in rows if row[0] == "Keras"}
    assert drawn["sha"].to_list() == sorted(distinct, key=rank)[:k]


@settings(max_examples=100, deadline=None)
@given(st.sets(st.text("abc0", min_size=1, max_size=4)), st.sets(st.text("abc0", min_size=1, max_size=4)))
def test_growth_displaces_the_last_ranks_only(old, new):
    before = bottom_k(commits(sorted(old)), "Keras", 7, 5)["sha"].to_list()
    after = bottom_k(commits(sorted(old | new)), "Keras", 7, 5)["sha"].to_list()
    kept = [sha for sha in after if sha in before]
    assert kept == before[: len(kept)]
    assert set(after) - set(before) <= new


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(1, 10))
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(rows, k):
    larger = bottom_k(frame(rows), "Keras", 7, k + 3)
    assert bottom_k(frame(rows), "Keras", 7, k).rows() == larger.head(k).rows()


def test_a_sha_of_several_repositories_counts_once_in_the_one_with_the_lowest_number():
    rows = [("Keras", 9, "fork/b", "s1"), ("Keras", 3, "z/origin", "s1"), ("Keras", 10, "a/fork", "s1")]
    assert bottom_k(frame(rows), "Keras", 7, 10).rows() == [(1, "Keras", 3, "z/origin", "s1")]


def test_without_numbers_the_first_name_counts_and_a_number_goes_before_none():
    rows = [("Keras", None, "b/b", "s1"), ("Keras", None, "a/a", "s1"), ("Keras", None, "a/a", "s2"),
            ("Keras", 5, "z/z", "s2")]  # fmt: skip
    drawn = bottom_k(frame(rows), "Keras", 7, 10)
    assert dict(drawn.select("sha", "full_name").iter_rows()) == {"s1": "a/a", "s2": "z/z"}


def test_forks_do_not_raise_a_commits_chance():
    shas = [f"s{number}" for number in range(40)]
    forked = pl.concat([commits(shas), frame([("Keras", fork, f"f/{fork}", "s1") for fork in range(2, 60)])])
    for seed in range(20):
        assert bottom_k(forked, "Keras", seed, 5)["sha"].to_list() == (
            bottom_k(commits(shas), "Keras", seed, 5)["sha"].to_list()
        )


def test_each_library_is_drawn_by_itself():
    shas = [f"s{number}" for number in range(50)]
    both = pl.concat([commits(shas), commits(shas, "Torch")])
    keras, torch = (bottom_k(both, library, 7, 10) for library in ("Keras", "Torch"))
    assert set(keras["library"]) == {"Keras"}
    assert keras["sha"].to_list() == bottom_k(commits(shas), "Keras", 7, 10)["sha"].to_list()
    assert torch["sha"].to_list() == sorted(shas, key=lambda sha: rank(sha, library="Torch"))[:10]
    assert keras["sha"].to_list() != torch["sha"].to_list()


def test_fewer_than_k_are_all_drawn_and_none_of_none():
    assert bottom_k(commits(["a", "b"]), "Keras", 7, 10)["sample_rank"].to_list() == [1, 2]
    assert bottom_k(commits([]), "Keras", 7, 10).height == 0
    assert bottom_k(commits(["a"]), "Torch", 7, 10).height == 0


def test_every_commit_has_the_same_chance():
    shas = [f"{number:040x}" for number in range(30)]
    all_of_them = commits(shas)
    drawn = Counter(sha for seed in range(1500) for sha in bottom_k(all_of_them, "Keras", seed, 1)["sha"])
    assert chisquare([drawn[sha] for sha in shas]).pvalue > 0.001


RELEASE = pl.DataFrame(
    {
        "source": ["GitHub", "GitHub", "GitHub", "Stack Overflow"],
        "library": ["Keras", "Keras", "Torch", "Keras"],
        "repository": ["a/a", "a/a", "b/b", None],
        "commit_sha": ["s1", "s1", "s2", None],
        "post_id": [None, None, None, 5],
        "link": ["l1", "l1", "l2", "l3"],
    }
)


def raw(table, *without):
    return set(SPECS[table].column_names) - set(without)


@pytest.mark.parametrize("name", ["sample", "islam2019"])
def test_every_source_gives_the_columns_of_the_raw_tables(name):
    source = commit_source(load_study(name), lambda: RELEASE)
    assert set(source.repositories("Keras").columns) == raw("github.repositories", "retrieved_at")
    found = source.commits("Keras")
    assert set(found.columns) == raw("github.fix_commits", "retrieved_at", "year")
    assert found["authored_at"].dtype == pl.Datetime("us")
    drawn = bottom_k(found, "Keras", 7, 3)
    details = source.details("Keras", drawn["sha"].to_list())
    joined = drawn.join(details, on=["library", "sha"], how="left").with_columns(year=pl.col("authored_at").dt.year())
    assert raw("github.sampled_commits") <= set(joined.columns)


def test_the_release_knows_the_repository_and_hash_of_a_commit_and_nothing_else():
    source = commit_source(load_study("islam2019"), lambda: RELEASE)
    (commit,) = source.commits("Keras").to_dicts()
    assert {name: value for name, value in commit.items() if value is not None} == {
        "library": "Keras",
        "full_name": "a/a",
        "sha": "s1",
        "url": "https://github.com/a/a/commit/s1",
    }
    assert source.repositories("Keras").select("library", "full_name").rows() == [("Keras", "a/a")]
    assert source.details("Keras", ["s1"]).height == 0


def test_the_release_is_not_opened_for_the_sample():
    def nothing():
        raise AssertionError("the release was opened")

    assert commit_source(load_study("sample"), nothing).commits("Keras").height > 0


def test_a_source_that_cannot_be_read_is_named():
    with pytest.raises(DlbugError, match="^sources.commits = 'api': this version of dlbug takes commits from sample"):
        commit_source(load_study("modern"), lambda: RELEASE)
