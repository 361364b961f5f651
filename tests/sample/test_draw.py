"""Random draws depend only on their key, on every machine."""

import os
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from dlbug_assets.sample.draw import Draw, digest


def sampled(*key):
    draw = Draw(*key)
    return [draw.share(), draw.chance(0.5), draw.between(1, 1000), draw.one("abcdef"), draw.some(range(50), 5)]


def test_the_same_key_has_the_same_draws_and_another_key_has_others():
    assert sampled(2019, "post", "Keras", 7) == sampled(2019, "post", "Keras", 7)
    assert sampled(2019, "post", "Keras", 7) == sampled("2019", "post", "Keras", "7")
    assert len({str(sampled(2019, "post", "Keras", number)) for number in range(200)}) == 200


def test_shares_are_the_same_in_every_python_version():
    draw = Draw(2019, "anchor")
    assert [draw.share() for _ in range(3)] == [0.015404445332885874, 0.8411734707822671, 0.8236986506554076]


def test_a_share_is_at_least_zero_and_below_one():
    draw = Draw("shares")
    shares = [draw.share() for _ in range(10_000)]
    assert min(shares) >= 0
    assert max(shares) < 1


def test_a_probability_of_zero_is_never_and_of_one_is_always_true():
    draw = Draw("chances")
    assert {draw.chance(0) for _ in range(1000)} == {False}
    assert {draw.chance(1) for _ in range(1000)} == {True}


@pytest.mark.parametrize(("lowest", "highest"), [(1, 3), (-1, 1), (5, 5)])
def test_between_includes_both_limits(lowest, highest):
    draw = Draw("between", lowest, highest)
    assert {draw.between(lowest, highest) for _ in range(1000)} == set(range(lowest, highest + 1))


def test_some_returns_different_choices():
    draw = Draw("some")
    assert sorted(draw.some("abc", 3)) == ["a", "b", "c"]
    assert sorted(draw.some("abc", 9)) == ["a", "b", "c"]
    assert draw.some("abc", 0) == []
    assert {tuple(draw.some("abc", 2)) for _ in range(500)} == {(a, b) for a in "abc" for b in "abc" if a != b}


@pytest.mark.parametrize(
    "weights", [{"first": 0, "some": 1, "more": 3, "last": 0}, {"some": 0.2, "none": 0, "more": 0.6}]
)
def test_weighted_chooses_in_proportion_to_the_weights(weights):
    draw = Draw("weights")
    counts = Counter(draw.weighted(weights) for _ in range(8000))
    assert set(counts) == {"some", "more"}
    assert counts["more"] / 8000 == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.25, 1 - 2**-53])
def test_a_weight_of_zero_is_not_chosen_at_the_limits(monkeypatch, share):
    draw = Draw("edge")
    monkeypatch.setattr(draw._random, "random", lambda: share)
    assert draw.weighted({"a": 0, "b": 1, "c": 0, "d": 3, "e": 0}) in ("b", "d")


def test_a_digest_is_the_sha256_of_the_joined_key():
    assert digest(2019, "Keras", "abc") == digest("2019|Keras|abc")
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


EVERYTHING = """
    import hashlib
    import polars as pl
    from dlbug_assets.github.sampling import bottom_k_sample
    from dlbug_assets.labeling.items import queue
    from dlbug_assets.sample import commits, posts, raters
    from dlbug_assets.protocol.study import load_study
    from dlbug_assets.protocol.taxonomy import load_taxonomy

    study = load_study("sample")
    year = lambda column: pl.col(column).dt.year().alias("year")
    sha = hashlib.sha256()
    questions, sampled = [], []
    for library in study.library_names:
        questions.append(posts.posts(study, library))
        repositories = commits.repositories(study, library)
        fixes = commits.fix_commits(study, library).with_columns(year("authored_at"))
        sampled.append(bottom_k_sample(fixes, library, 2019, 100))
        details = commits.commit_details(study, library, sampled[-1]["sha"].to_list())
        for frame in (questions[-1], posts.answers(study, library), repositories, fixes, details):
            sha.update(frame.write_json().encode())
    items = queue(pl.concat(questions).with_columns(year("created_at")), pl.concat(sampled), study)
    sha.update(raters.rater_rows(study, items, load_taxonomy(study)).write_json().encode())
    print(sha.hexdigest())
"""


@pytest.mark.slow
def test_processes_with_different_hash_seeds_create_the_same_corpus():
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(EVERYTHING)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    digests = [process.communicate()[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 64
