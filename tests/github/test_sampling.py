"""Bottom-k hash samples of commits."""

import hashlib
from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from dlbug_assets.github.commits import CHANGES
from dlbug_assets.github.sampling import bottom_k_sample, sampled_commits
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema


def frame(rows):
    schema = {"library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "sha": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(is_reachable=pl.lit(value=True))


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


def test_a_sample_is_the_first_k_commits_in_the_order_of_their_hashes():
    shas = [f"{number:040x}" for number in range(300)]
    sample = bottom_k_sample(commits(shas), "Keras", 7, 20)
    assert sample["sha"].to_list() == sorted(shas, key=rank)[:20]
    assert sample["sample_rank"].to_list() == list(range(1, 21))
    assert sample.columns == ["sample_rank", "library", "repository_id", "full_name", "sha", "is_reachable"]


@settings(max_examples=100)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 10))
def test_a_sample_does_not_depend_on_the_order_of_rows(rows, random, k):
    shuffled = random.sample(rows, len(rows))
    sample = bottom_k_sample(frame(rows), "Keras", 7, k)
    assert sample.rows() == bottom_k_sample(frame(shuffled), "Keras", 7, k).rows()
    distinct = {row[3] for row in rows if row[0] == "Keras"}
    assert sample["sha"].to_list() == sorted(distinct, key=rank)[:k]


@settings(max_examples=100)
@given(st.sets(st.text("abc0", min_size=1, max_size=4)), st.sets(st.text("abc0", min_size=1, max_size=4)))
def test_new_commits_displace_the_last_ranks_only(old, new):
    before = bottom_k_sample(commits(sorted(old)), "Keras", 7, 5)["sha"].to_list()
    after = bottom_k_sample(commits(sorted(old | new)), "Keras", 7, 5)["sha"].to_list()
    kept = [sha for sha in after if sha in before]
    assert kept == before[: len(kept)]
    assert set(after) - set(before) <= new


@settings(max_examples=50)
@given(ROWS, st.integers(1, 10))
def test_a_smaller_sample_is_a_prefix_of_a_larger_one(rows, k):
    larger = bottom_k_sample(frame(rows), "Keras", 7, k + 3)
    assert bottom_k_sample(frame(rows), "Keras", 7, k).rows() == larger.head(k).rows()


def test_a_commit_of_several_repositories_counts_once_in_the_one_with_the_lowest_id():
    rows = [("Keras", 9, "fork/b", "s1"), ("Keras", 3, "z/origin", "s1"), ("Keras", 10, "a/fork", "s1")]
    assert bottom_k_sample(frame(rows), "Keras", 7, 10).rows() == [(1, "Keras", 3, "z/origin", "s1", True)]


def test_a_commit_counts_in_the_repository_with_an_id_or_else_the_first_name():
    rows = [("Keras", None, "b/b", "s1"), ("Keras", None, "a/a", "s1"), ("Keras", None, "a/a", "s2"),
            ("Keras", 5, "z/z", "s2")]  # fmt: skip
    sample = bottom_k_sample(frame(rows), "Keras", 7, 10)
    assert dict(sample.select("sha", "full_name").iter_rows()) == {"s1": "a/a", "s2": "z/z"}


def test_forks_do_not_raise_the_probability_of_a_commit():
    shas = [f"s{number}" for number in range(40)]
    forked = pl.concat([commits(shas), frame([("Keras", fork, f"f/{fork}", "s1") for fork in range(2, 60)])])
    for seed in range(20):
        assert bottom_k_sample(forked, "Keras", seed, 5)["sha"].to_list() == (
            bottom_k_sample(commits(shas), "Keras", seed, 5)["sha"].to_list()
        )


def test_libraries_are_sampled_independently():
    shas = [f"s{number}" for number in range(50)]
    both = pl.concat([commits(shas), commits(shas, "Torch")])
    keras, torch = (bottom_k_sample(both, library, 7, 10) for library in ("Keras", "Torch"))
    assert set(keras["library"]) == {"Keras"}
    assert keras["sha"].to_list() == bottom_k_sample(commits(shas), "Keras", 7, 10)["sha"].to_list()
    assert torch["sha"].to_list() == sorted(shas, key=lambda sha: rank(sha, library="Torch"))[:10]
    assert keras["sha"].to_list() != torch["sha"].to_list()


def test_all_commits_are_sampled_if_there_are_fewer_than_k():
    assert bottom_k_sample(commits(["a", "b"]), "Keras", 7, 10)["sample_rank"].to_list() == [1, 2]
    assert bottom_k_sample(commits([]), "Keras", 7, 10).height == 0
    assert bottom_k_sample(commits(["a"]), "Torch", 7, 10).height == 0


def test_every_commit_has_the_same_probability():
    shas = [f"{number:040x}" for number in range(30)]
    rows = commits(shas)
    counts = Counter(sha for seed in range(1500) for sha in bottom_k_sample(rows, "Keras", seed, 1)["sha"])
    assert chisquare([counts[sha] for sha in shas]).pvalue > 0.001


def test_unreachable_commits_are_not_sampled():
    rows = commits(["a", "b", "c"]).with_columns(is_reachable=pl.Series([True, False, None]))
    assert set(bottom_k_sample(rows, "Keras", 7, 3)["sha"]) == {"a", "c"}


SAMPLED = table_schema("github.sampled_commits")
FIXES = pl.DataFrame(
    [{"library": "Keras", "full_name": "a/a", "sha": sha, "is_reachable": True} for sha in ("s1", "s2")],
    schema=table_schema("github.fix_commits"),
)


def sample_of(states, *, incomplete=False, earlier=()):
    """Return the commits that are sampled from two fix commits, with whether the corpus was complete."""
    repositories = pl.DataFrame(
        [{"library": "Keras", "full_name": name, "state": state} for name, state in states.items()],
        schema=table_schema("github.repositories"),
    )
    current = pl.DataFrame([{"library": "Keras", "sha": sha} for sha in earlier], schema=SAMPLED)
    part = sampled_commits(
        "Keras",
        lambda *_: current,
        FIXES,
        repositories,
        study=load_study("sample"),
        details=lambda *_: pl.DataFrame(schema=CHANGES),
        incomplete=incomplete,
    )
    assert isinstance(part.frame, pl.DataFrame)
    assert part.frame.columns == SAMPLED.names()
    return sorted(part.frame.select("sha", "is_from_complete_corpus").rows())


def test_a_library_whose_repositories_are_all_read_or_refused_is_sampled():
    states = {"a/a": "ok", "a/b": "gone", "a/c": "blocked", "a/d": "empty"}
    assert sample_of(states) == [("s1", True), ("s2", True)]


def test_nothing_is_sampled_while_a_repository_is_unread(caplog):
    assert sample_of({"a/a": "ok", "a/b": "unread", "a/c": "unread"}) == []
    assert caplog.messages == [
        "Keras: no commit is sampled, because these repositories are unread: a/b, a/c. Fix them, or run with "
        "--incomplete."
    ]


def test_an_earlier_sample_stays_while_a_repository_is_unread_except_for_commits_that_are_gone():
    assert sample_of({"a/a": "ok", "a/b": "unread"}, earlier=["s2", "s9"]) == [("s2", None)]


def test_an_incomplete_library_is_sampled_on_request_and_marked():
    assert sample_of({"a/a": "ok", "a/b": "unread"}, incomplete=True) == [("s1", False), ("s2", False)]
