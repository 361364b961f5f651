"""The simulated raters of the sample study submit files, and do not overwrite existing ones."""

from datetime import UTC, datetime

import polars as pl
import pytest

from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.rater_labels import receive_submissions
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.sample import commits, posts
from support.clocks import ManualClock


@pytest.fixture
def sample():
    """Return the study `sample` with one library, and its queue."""
    shipped = load_study("sample")
    study = shipped.model_copy(update={"libraries": shipped.libraries[:1]})
    (library,) = study.library_names
    candidates = posts.posts(study, library).filter(pl.col("body_html").str.contains("<pre"))
    fixes = commits.fix_commits(study, library).with_columns(year=pl.col("authored_at").dt.year())
    sampled = bottom_k_sample(fixes, library, study.study.seed, study.selection.commits_per_library)
    return study, queue(candidates.with_columns(year=pl.col("created_at").dt.year()), sampled, study)


def test_simulated_raters_do_not_overwrite_files_in_the_inbox(sample, tmp_path):
    study, items = sample
    clock = ManualClock(datetime(2026, 2, 3, tzinfo=UTC))
    submitted = receive_submissions(study, items, load_taxonomy(study), tmp_path, clock)
    assert submitted.rejected.is_empty()
    first, second, *rest = sorted((tmp_path / "inbox").iterdir())
    edited = first.read_bytes().replace(b"rater_a", b"rater_b", 1)
    first.write_bytes(edited)
    kept = {path: path.read_bytes() for path in rest}
    second.unlink()
    clock.advance(days=1)
    receive_submissions(study, items, load_taxonomy(study), tmp_path, clock)
    assert first.read_bytes() == edited
    assert {path: path.read_bytes() for path in rest} == kept
    # Missing files are submitted again.
    assert second.exists()
