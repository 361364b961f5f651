"""Where labels come from: the sample's raters hand in files like anybody, and leave what is there alone."""

from datetime import UTC, datetime

import polars as pl
import pytest

from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.rater_labels import submissions_so_far
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.sample import commits, posts
from support.clocks import ManualClock


@pytest.fixture
def sample():
    """The study `sample` of one library, and its queue."""
    shipped = load_study("sample")
    study = shipped.model_copy(update={"libraries": shipped.libraries[:1]})
    (library,) = study.library_names
    candidates = posts.posts(study, library).filter(pl.col("body_html").str.contains("<pre"))
    fixes = commits.fix_commits(study, library).with_columns(year=pl.col("authored_at").dt.year())
    drawn = bottom_k_sample(fixes, library, study.study.seed, study.selection.commits_per_library)
    return study, queue(candidates.with_columns(year=pl.col("created_at").dt.year()), drawn, study)


def test_the_samples_raters_never_write_over_a_file_of_the_inbox(sample, tmp_path):
    study, items = sample
    clock = ManualClock(datetime(2026, 2, 3, tzinfo=UTC))
    came = submissions_so_far(study, items, load_taxonomy(study), tmp_path, clock)
    assert came.rejected.is_empty()
    first, second, *rest = sorted((tmp_path / "inbox").iterdir())
    edited = first.read_bytes().replace(b"rater_a", b"rater_b", 1)
    first.write_bytes(edited)
    kept = {path: path.read_bytes() for path in rest}
    second.unlink()
    clock.advance(days=1)
    submissions_so_far(study, items, load_taxonomy(study), tmp_path, clock)
    assert first.read_bytes() == edited
    assert {path: path.read_bytes() for path in rest} == kept
    # What is not there is handed in anew.
    assert second.exists()
