"""Synthetic repositories and commits: forks, deleted and empty repositories included."""

import re
from datetime import date, datetime

import polars as pl
import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.sample import commits as sample

LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")


@pytest.fixture(scope="module")
def study():
    return load_study("sample")


@pytest.fixture(scope="module")
def repositories(study):
    return pl.concat([sample.repositories(study, library) for library in LIBRARIES])


@pytest.fixture(scope="module")
def commits(study):
    return pl.concat([sample.fix_commits(study, library) for library in LIBRARIES])


def test_there_are_a_few_hundred_repositories_and_a_few_thousand_commits(repositories, commits):
    assert repositories.group_by("library", maintain_order=True).len().rows() == [(name, 50) for name in LIBRARIES]
    assert 2000 < commits.height < 6000
    per_library = commits.group_by("library").agg(pl.col("sha").n_unique())["sha"]
    assert per_library.min() > 500


def test_every_title_matches_the_fix_pattern(study, commits):
    assert all(re.search(study.selection.fix_pattern, title) for title in commits["title"])
    assert commits.filter(pl.col("message").str.split("\n").list.first() != pl.col("title")).is_empty()
    words = " ".join(commits["title"]).lower()
    assert all(word in words for word in ("fix ", "fixed", "fixes", "fixing", "bugfix", "hotfix"))
    assert not any("{" in title for title in commits["title"])


def test_commits_whose_title_does_not_match_are_left_out(study):
    other = study.model_copy(update={"selection": study.selection.model_copy(update={"fix_pattern": "^Hotfix"})})
    titles = sample.fix_commits(other, "Keras")["title"]
    assert 0 < len(titles) < 200
    assert all(title.startswith("Hotfix: ") for title in titles)


def test_commits_are_unique_in_a_repository_and_each_has_one(repositories, commits):
    assert commits.select("repository_id", "sha").is_duplicated().sum() == 0
    assert all(re.fullmatch("[0-9a-f]{40}", sha) for sha in commits["sha"])
    known = repositories.select("library", "repository_id", "full_name")
    assert commits.join(known, on=known.columns, how="anti").is_empty()
    assert repositories["repository_id"].n_unique() == repositories["full_name"].n_unique() == repositories.height


def test_a_fork_has_the_first_commits_of_another_repository_of_its_library(repositories, commits):
    forks = repositories.filter("is_fork")
    assert 0 < forks.height < 40
    for library, fork in forks.select("library", "repository_id").iter_rows():
        own = commits.filter(pl.col("repository_id") == fork)
        others = commits.filter((pl.col("library") == library) & (pl.col("repository_id") < fork))
        shared = own.filter(pl.col("sha").is_in(others["sha"].implode()))
        assert shared.height > 0
        assert own.head(shared.height)["sha"].to_list() == shared["sha"].to_list()
        columns = [column for column in commits.columns if column not in ("repository_id", "full_name", "url")]
        assert shared.select(columns).join(others.select(columns), on=columns, how="anti", nulls_equal=True).is_empty()
    twice = commits.filter(pl.col("sha").is_duplicated())
    assert twice.group_by("sha").agg(pl.col("library").n_unique())["library"].max() == 1
    first = commits.unique("sha", keep="first", maintain_order=True)
    assert commits.height - first.height > 50


def test_a_deleted_or_empty_repository_has_neither_commits_nor_a_head(repositories, commits):
    assert set(repositories["state"]) == {"ok", "renamed", "gone", "empty"}
    without = repositories.filter(pl.col("state").is_in(["gone", "empty"]))
    assert without["head_sha"].null_count() == without.height
    assert set(without["repository_id"]).isdisjoint(commits["repository_id"])
    assert without["is_fork"].sum() == 0
    assert without["pushed_at"].to_list() == without["created_at"].to_list()


def test_the_head_of_a_repository_is_its_last_commit(repositories, commits):
    last = commits.group_by("repository_id").agg(pl.col("sha").last(), pl.col("committed_at").max())
    alive = repositories.filter(pl.col("state").is_in(["ok", "renamed"])).join(last, on="repository_id", how="left")
    assert alive["sha"].null_count() == 0
    assert alive["head_sha"].to_list() == alive["sha"].to_list()
    assert alive["pushed_at"].to_list() == alive["committed_at"].to_list()


def test_dates_are_within_the_selection(repositories, commits):
    assert min(repositories["created_at"]) >= datetime(2008, 9, 15)
    assert max(commits["authored_at"]).date() <= date(2018, 12, 31)
    assert commits.filter(pl.col("committed_at") < pl.col("authored_at")).is_empty()
    born = dict(repositories.select("repository_id", "created_at").iter_rows())
    originals = commits.unique("sha", keep="first")
    assert all(written.date() >= born[number].date() for number, written in
               originals.select("repository_id", "authored_at").iter_rows())  # fmt: skip
    keras = commits.filter(pl.col("library") == "Keras")
    assert min(keras["authored_at"]) >= datetime(2015, 1, 1)


def test_addresses_contain_an_invented_repository_and_the_commit(commits):
    for name, sha, url in commits.select("full_name", "sha", "url").iter_rows():
        assert url == f"https://github.com/{name}/commit/{sha}"
        assert re.fullmatch(r"synthetic-\d+/[a-z]+-[a-z]+-[a-z]+", name)
    assert all(re.fullmatch("[0-9a-f]{64}", author) for author in commits["author_hash"])


def test_details_have_a_row_per_requested_commit(study, commits):
    requested = commits.filter(pl.col("library") == "Keras")["sha"].unique(maintain_order=True).to_list()[:40]
    details = sample.commit_details(study, "Keras", requested)
    assert details["sha"].to_list() == requested
    assert set(details["library"]) == {"Keras"}
    assert details.null_count().sum_horizontal().item() == 0
    assert (min(details["files_changed"]), max(details["files_changed"])) == (1, 4)
    assert details.filter(pl.col("additions") < pl.col("files_changed")).is_empty()
    assert min(details["deletions"]) >= 0


def test_details_of_a_commit_do_not_depend_on_the_other_commits(study):
    shas = ["a" * 40, "b" * 40, "c" * 40]
    together = sample.commit_details(study, "Keras", shas)
    assert sample.commit_details(study, "Keras", shas[1:2]).rows() == together.rows()[1:2]
    assert sample.commit_details(study, "Keras", shas[::-1]).rows() == together.rows()[::-1]
    nothing = sample.commit_details(study, "Keras", [])
    assert (nothing.height, nothing.schema) == (0, together.schema)


def test_a_patch_is_a_unified_diff_with_hunks_of_the_stated_length(study):
    details = sample.commit_details(study, "Keras", [f"{number:040x}" for number in range(60)])
    hunks = 0
    for excerpt in details["patch_excerpt"]:
        for patch in excerpt.split("--- a/")[1:]:
            header, body = patch.split(" @@\n")
            ((before, after),) = re.findall(r"@@ -\d+,(\d+) \+\d+,(\d+)$", header)
            lines = body.rstrip("\n").split("\n")
            assert sum(line[0] in " -" for line in lines) == int(before)
            assert sum(line[0] in " +" for line in lines) == int(after)
            assert [line[0] for line in lines].count("-") == 1
            hunks += 1
    assert hunks >= 60


def test_there_are_at_most_max_repositories(study):
    few = study.model_copy(update={"libraries": (study.libraries[0].model_copy(update={"max_repositories": 3}),)})
    assert sample.repositories(few, "Caffe").height == 3
    assert sample.fix_commits(few, "Caffe")["repository_id"].n_unique() <= 3


def test_libraries_that_are_not_in_the_paper_have_commits(repositories):
    study = load_study("modern")
    found = sample.repositories(study, "PyTorch")
    assert found.schema == repositories.schema
    assert all(name.endswith("-pytorch") for name in found["full_name"])
    assert sample.fix_commits(study, "PyTorch").height > 500


def test_a_patch_shows_each_file_once_and_at_most_the_counted_lines():
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
        assert max(sample.fix_commits(study, library)["committed_at"].dt.date()) <= date(2018, 12, 31)
        assert max(sample.repositories(study, library)["pushed_at"].dt.date()) <= date(2018, 12, 31)


def test_a_selection_that_ends_before_the_site_opened_has_no_repositories():
    study = load_study("sample")
    days = {"created_from": None, "created_until": date(2005, 1, 1)}
    early = study.model_copy(update={"selection": study.selection.model_copy(update=days)})
    found = pl.concat([sample.repositories(early, library) for library in early.library_names])
    assert found.is_empty()
    assert sample.fix_commits(early, "Torch").is_empty()
