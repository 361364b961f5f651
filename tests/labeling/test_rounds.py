"""Frozen rounds of the queue do not change with the corpora; later items form the next round."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.rounds import ROUND, freeze, frozen, write_if_changed

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456)
NO_POSTS = pl.DataFrame(
    schema={
        "library": pl.String, "post_id": pl.Int64, "title": pl.String, "link": pl.String,
        "created_at": pl.Datetime("us"), "year": pl.Int32,
    }
)  # fmt: skip


def commits(names):
    """Return github.fix_commits of one library with these hashes."""
    return pl.DataFrame(
        {"sha": list(names)}, schema={"sha": pl.String}
    ).with_columns(
        library=pl.lit("Keras"), repository_id=pl.lit(1), full_name=pl.lit("a/b"), title=pl.format("Fix {}", "sha"),
        url=pl.format("https://github.com/a/b/commit/{}", "sha"), authored_at=pl.lit(datetime(2020, 1, 1)),
        year=pl.lit(2020), is_reachable=pl.lit(value=True),
    )  # fmt: skip


def sampled(names, k=5):
    return bottom_k_sample(commits(names), "Keras", 7, k)


def with_texts(items):
    """Return items with the texts that raters read."""
    return items.with_columns(content=pl.format('Read "{}",\nplease', "item_id"), accepted_answer=None)


def test_a_frozen_round_is_read_back_unchanged(tmp_path, study):
    items = queue(NO_POSTS, sampled("abc"), study)
    written = freeze(tmp_path, with_texts(items), NOW)
    assert written.equals(frozen(tmp_path))
    assert written.drop("content", "accepted_answer", "frozen_at").equals(items.drop("frozen_at"))
    assert set(written["frozen_at"]) == {NOW}
    assert written["content"].to_list() == with_texts(items)["content"].to_list()


def test_an_empty_round_is_not_frozen(tmp_path, study):
    assert frozen(tmp_path).is_empty()
    assert freeze(tmp_path, with_texts(queue(NO_POSTS, sampled(""), study)), NOW).is_empty()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@given(
    old=st.sets(st.text("abcdefgh", min_size=1, max_size=4), max_size=12),
    new=st.sets(st.text("abcdefgh", min_size=1, max_size=4), max_size=12),
)
def test_a_growing_sample_does_not_change_a_frozen_queue(tmp_path_factory, study, old, new):
    folder = tmp_path_factory.mktemp("queue")
    first = freeze(folder, with_texts(queue(NO_POSTS, sampled(old), study)), NOW)
    items = queue(NO_POSTS, sampled(old | new), study, frozen(folder))
    kept = items.filter(pl.col("frozen_at").is_not_null())
    assert kept.equals(first.drop("content", "accepted_answer"))
    # New items form the next round, from position 1.
    following = items.filter(pl.col("frozen_at").is_null())
    assert set(following["commit_sha"]) == set(sampled(old | new)["sha"]) - set(first["commit_sha"])
    assert following["position"].to_list() == list(range(1, following.height + 1))
    assert set(following["round"]) <= {2 if first.height else 1}


def test_round_numbers_are_consecutive(tmp_path, study):
    freeze(tmp_path, with_texts(queue(NO_POSTS, sampled("ab", k=9), study)), NOW)
    freeze(tmp_path, with_texts(queue(NO_POSTS, sampled("abc", k=9), study, frozen(tmp_path))), NOW)
    # Without new items there is no further round.
    after = freeze(tmp_path, with_texts(queue(NO_POSTS, sampled("abc", k=9), study, frozen(tmp_path))), NOW)
    assert sorted(after.select("round", "position", "commit_sha").rows(), key=lambda row: row[:2]) == [
        (1, 1, after.filter(round=1, position=1)["commit_sha"].item()),
        (1, 2, after.filter(round=1, position=2)["commit_sha"].item()),
        (2, 1, "c"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-001.parquet", "round-002.parquet"]


def test_a_damaged_round_is_reported_with_its_path(tmp_path, study):
    freeze(tmp_path, with_texts(queue(NO_POSTS, sampled("ab"), study)), NOW)
    path = tmp_path / "round-001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DlbugError, match=r"round-001.parquet is damaged: .*Restore it from a backup"):
        frozen(tmp_path)


def test_a_file_is_written_atomically_and_only_if_it_changes(tmp_path):
    path = tmp_path / "folder" / "file"
    write_if_changed(path, b"one")
    before = path.stat().st_mtime_ns
    write_if_changed(path, b"one")
    assert path.stat().st_mtime_ns == before
    write_if_changed(path, b"two")
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"two"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DlbugError, match="cannot write .*: File exists"):
        write_if_changed(tmp_path / "file" / "below", b"")


def test_round_files_have_the_columns_of_the_queue_and_the_text():
    assert ROUND.names()[-3:] == ["frozen_at", "content", "accepted_answer"]


def test_a_round_that_was_frozen_by_a_former_version_is_read(tmp_path, study):
    written = freeze(tmp_path, with_texts(queue(NO_POSTS, sampled("abc"), study)), NOW)
    (path,) = tmp_path.iterdir()
    pl.read_parquet(path).drop("raters", "accepted_answer").write_parquet(path)
    assert frozen(tmp_path).equals(written)
