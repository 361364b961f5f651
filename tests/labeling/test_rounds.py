"""A frozen round of the queue stays as it was read, whatever the corpora do; what qualifies later is the next one."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.rounds import ROUND, freeze, frozen, keep

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456)
NO_POSTS = pl.DataFrame(
    schema={
        "library": pl.String, "post_id": pl.Int64, "title": pl.String, "link": pl.String,
        "created_at": pl.Datetime("us"), "year": pl.Int32,
    }
)  # fmt: skip


def commits(names):
    """github.fix_commits of one library, by their names."""
    return pl.DataFrame(
        {"sha": list(names)}, schema={"sha": pl.String}
    ).with_columns(
        library=pl.lit("Keras"), repository_id=pl.lit(1), full_name=pl.lit("a/b"), title=pl.format("Fix {}", "sha"),
        url=pl.format("https://github.com/a/b/commit/{}", "sha"), authored_at=pl.lit(datetime(2020, 1, 1)),
        year=pl.lit(2020), is_reachable=pl.lit(value=True),
    )  # fmt: skip


def drawn(names, k=5):
    return bottom_k_sample(commits(names), "Keras", 7, k)


def asked(items):
    """What raters read, to freeze."""
    return items.with_columns(content=pl.format('Read "{}",\nplease', "item_id"))


def test_what_is_frozen_is_read_again_as_it_was(tmp_path, study):
    items = queue(NO_POSTS, drawn("abc"), study)
    written = freeze(tmp_path, asked(items), NOW)
    assert written.equals(frozen(tmp_path))
    assert written.drop("content", "frozen_at").equals(items.drop("frozen_at"))
    assert set(written["frozen_at"]) == {NOW}
    assert written["content"].to_list() == asked(items)["content"].to_list()


def test_nothing_is_frozen_at_first_and_an_empty_round_never_is(tmp_path, study):
    assert frozen(tmp_path).is_empty()
    assert freeze(tmp_path, asked(queue(NO_POSTS, drawn(""), study)), NOW).is_empty()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@given(
    old=st.sets(st.text("abcdefgh", min_size=1, max_size=4), max_size=12),
    new=st.sets(st.text("abcdefgh", min_size=1, max_size=4), max_size=12),
)
def test_growth_of_the_sample_moves_and_displaces_nothing_in_a_frozen_queue(tmp_path_factory, study, old, new):
    folder = tmp_path_factory.mktemp("queue")
    first = freeze(folder, asked(queue(NO_POSTS, drawn(old), study)), NOW)
    items = queue(NO_POSTS, drawn(old | new), study, frozen(folder))
    kept = items.filter(pl.col("frozen_at").is_not_null())
    assert kept.equals(first.drop("content"))
    # What is new forms the next round, from position 1.
    following = items.filter(pl.col("frozen_at").is_null())
    assert set(following["commit_sha"]) == set(drawn(old | new)["sha"]) - set(first["commit_sha"])
    assert following["position"].to_list() == list(range(1, following.height + 1))
    assert set(following["round"]) <= {2 if first.height else 1}


def test_each_round_follows_the_last_one(tmp_path, study):
    freeze(tmp_path, asked(queue(NO_POSTS, drawn("ab", k=9), study)), NOW)
    freeze(tmp_path, asked(queue(NO_POSTS, drawn("abc", k=9), study, frozen(tmp_path))), NOW)
    # Nothing new: no round.
    after = freeze(tmp_path, asked(queue(NO_POSTS, drawn("abc", k=9), study, frozen(tmp_path))), NOW)
    assert sorted(after.select("round", "position", "commit_sha").rows(), key=lambda row: row[:2]) == [
        (1, 1, after.filter(round=1, position=1)["commit_sha"].item()),
        (1, 2, after.filter(round=1, position=2)["commit_sha"].item()),
        (2, 1, "c"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-001.parquet", "round-002.parquet"]


def test_a_damaged_round_is_named(tmp_path, study):
    freeze(tmp_path, asked(queue(NO_POSTS, drawn("ab"), study)), NOW)
    path = tmp_path / "round-001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DlbugError, match=r"round-001.parquet is damaged: .*Restore it from a backup"):
        frozen(tmp_path)


def test_a_file_is_kept_as_a_whole_and_written_only_when_it_changes(tmp_path):
    path = tmp_path / "folder" / "file"
    keep(path, b"one")
    before = path.stat().st_mtime_ns
    keep(path, b"one")
    assert path.stat().st_mtime_ns == before
    keep(path, b"two")
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"two"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DlbugError, match="cannot write .*: File exists"):
        keep(tmp_path / "file" / "below", b"")


def test_rounds_have_the_columns_of_the_queue_and_what_was_read():
    assert ROUND.names()[-2:] == ["frozen_at", "content"]
