"""Synthetic commits: their days, and patches that fit the numbers beside them."""

import re
from datetime import date

import polars as pl

from dlbug_assets.protocol.study import load_study
from dlbug_assets.sample import commits as sample


def test_a_patch_shows_each_file_once_and_no_more_lines_than_were_counted():
    study = load_study("sample")
    for library in study.library_names:
        shas = sample.fix_commits(study, library)["sha"].unique(maintain_order=True).to_list()
        details = sample.commit_details(study, library, shas)
        for row in details.iter_rows(named=True):
            paths = re.findall(r"(?m)^--- a/(.+)$", row["patch_excerpt"])
            assert len(set(paths)) == len(paths) <= row["files_changed"]
            assert len(re.findall(r"(?m)^\+(?!\+\+ b/)", row["patch_excerpt"])) <= row["additions"]
            assert len(re.findall(r"(?m)^-(?!-- a/)", row["patch_excerpt"])) <= row["deletions"]
            assert len(row["patch_excerpt"].encode()) < 2048


def test_commits_are_committed_and_pushed_within_the_selection():
    study = load_study("sample")
    for library in study.library_names:
        assert sample.fix_commits(study, library)["committed_at"].dt.date().max() <= date(2018, 12, 31)
        assert sample.repositories(study, library)["pushed_at"].dt.date().max() <= date(2018, 12, 31)


def test_a_selection_that_ends_before_there_is_anything_has_no_repositories():
    study = load_study("sample")
    days = {"created_from": None, "created_until": date(2005, 1, 1)}
    early = study.model_copy(update={"selection": study.selection.model_copy(update=days)})
    found = pl.concat([sample.repositories(early, library) for library in early.library_names])
    assert found.is_empty()
    assert sample.fix_commits(early, "Torch").is_empty()
