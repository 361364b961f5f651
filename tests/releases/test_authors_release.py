"""The authors' own release. Numbers in brackets are those of the known irregularities in its README."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from dlbug_assets import releases
from dlbug_assets.releases import Released
from support.release import STUDY, TAXONOMY, WRITTEN, label_rows, raw_cells, release_path


@pytest.fixture(scope="module")
def path() -> Path:
    return release_path()


@pytest.fixture(scope="module")
def release(path) -> Released:
    return releases.read(STUDY, TAXONOMY, {"DLBUG_ARTIFACT": str(path)}, path.parent)


@pytest.fixture(scope="module")
def released(release) -> pl.DataFrame:
    return label_rows(release)


def counts(rows: pl.DataFrame, *columns: str) -> dict:
    """Return value (or tuple of values) of these columns -> number of rows."""
    return dict(Counter(rows[columns[0]] if len(columns) == 1 else rows.select(columns).iter_rows()))


def written_as(released: pl.DataFrame, column: str, label: str) -> pl.DataFrame:
    return released.filter(pl.col(column) == label)


LABEL_ROWS = {
    "SO/Caffe_SO_Final.xlsx": 35,
    "SO/Keras_SO_Final.xlsx": 162,
    "SO/TF_SO_Final.xlsx": 166,
    "SO/Theano_SO_Final.xlsx": 27,
    "SO/Torch_SO_Final.xlsx": 25,
    "Github/Caffe_Github_Final.xlsx": 26,
    "Github/Keras_Github_Final.xlsx": 350,
    "Github/TF_Github_Final.xlsx": 100,
    "Github/Theano_Github_Final.xlsx": 35,
    "Github/Torch_Github_Final.xlsx": 46,
}


def test_released_rows_per_file_and_sheet(released):
    assert counts(released, "file", "sheet") == {
        (file, "Sheet3" if "Theano_Github" in file else "Sheet1"): number for file, number in LABEL_ROWS.items()
    }
    assert counts(released, "source") == {"Stack Overflow": 415, "GitHub": 557}
    for file, numbers in released.group_by("file").agg("row").rows():
        assert numbers == list(range(2, LABEL_ROWS[file] + 2))


@pytest.mark.parametrize("file", LABEL_ROWS)
def test_an_independent_reader_reads_the_same_cells(path, released, file):
    ours = released.filter(pl.col("file") == file)
    _, *cells = raw_cells(path, file, ours["sheet"][0])
    for row, (identity, *labels) in zip(ours.rows(named=True), cells, strict=True):
        written = [row[column] for column in WRITTEN]
        assert sorted(written, key=str) == sorted(labels, key=str)
        assert (written != labels) is row["swapped"]
        if row["post_id"] is None:
            assert row["link"] == str(identity).strip()
        else:
            assert row["post_id"] == int(float(str(identity)))


def test_released_swaps(released):  # [1, 2]
    swapped = released.filter("swapped")
    assert counts(swapped, "file") == {"Github/TF_Github_Final.xlsx": 100, "SO/Keras_SO_Final.xlsx": 1}
    single = swapped.filter(pl.col("source") == "Stack Overflow")
    assert single.select("row", "post_id").rows() == [(155, 50079585)]


def test_released_empty_cells(released):  # [3]
    empty = released.filter(pl.any_horizontal(pl.col(WRITTEN).is_null()))
    assert empty.select("file", "row").rows() == [("Github/Keras_Github_Final.xlsx", row) for row in (256, 257)]
    assert empty.select(WRITTEN).null_count().row(0) == (0, 0, 2)


def test_released_trailing_whitespace(
    released,
):  # [4]; in the sheet, the one of the swapped row is in the column Effect
    ends = released.filter(pl.col("root_cause_as_written").str.ends_with(" "))
    assert counts(ends, "source", "library") == {
        ("Stack Overflow", "Caffe"): 22,
        ("Stack Overflow", "Keras"): 73 + 1,
        ("Stack Overflow", "Tensorflow"): 64,
        ("Stack Overflow", "Theano"): 11,
        ("Stack Overflow", "Torch"): 8,
        ("GitHub", "Caffe"): 11,
        ("GitHub", "Keras"): 104,
        ("GitHub", "Tensorflow"): 17,
        ("GitHub", "Theano"): 14,
        ("GitHub", "Torch"): 25,
    }
    assert counts(ends.filter(pl.col("source") == "Stack Overflow"), "swapped")[True] == 1
    assert set(ends["root_cause_as_written"]) == {
        "Incorrect Model Parameter or Structure (IPS) ",
        "Structure Ineffciency (SI) ",
    }
    for column in ("bug_type_as_written", "effect_as_written"):
        assert not released[column].str.ends_with(" ").any()


@pytest.mark.parametrize(
    ("column", "label", "expected"),
    [
        ("bug_type_as_written", "data Bug", {("GitHub", "Keras"): 5}),  # [6]
        ("bug_type_as_written", "SB.Data Flow Bug", {("GitHub", "Theano"): 4}),  # [7]
        ("bug_type_as_written", "SB.CSB", {("GitHub", "Caffe"): 1, ("GitHub", "Torch"): 2}),  # [8]
        ("bug_type_as_written", "NMSB.CSB", {("GitHub", "Torch"): 3}),  # [8]
        ("bug_type_as_written", "Structural Bug.Logic Bugs", {("GitHub", "Torch"): 1}),  # [9]
        ("root_cause_as_written", "Structure Ineffciency (SI) (non functional)", {("GitHub", "Torch"): 1}),  # [10]
        ("effect_as_written", "Performance", {("GitHub", "Keras"): 48}),  # [11]
        ("bug_type_as_written", "Logic Bug", {("GitHub", "Keras"): 1}),  # [13]
        ("bug_type_as_written", "Coding Bug", {("GitHub", "Keras"): 1}),  # [13]
    ],
)
def test_released_spellings(released, column, label, expected):
    assert counts(written_as(released, column, label), "source", "library") == expected


def test_released_spellings_share_a_row_or_a_category(released):  # [9, 10, 11]
    for column, label in (
        ("bug_type_as_written", "Structural Bug.Logic Bugs"),
        ("root_cause_as_written", "Structure Ineffciency (SI) (non functional)"),
    ):
        assert written_as(released, column, label)["row"].to_list() == [39]
    slow_keras = released.filter(
        (pl.col("file") == "Github/Keras_Github_Final.xlsx") & (pl.col("effect") == "Bad Performance")
    )
    assert slow_keras["effect_as_written"].unique().to_list() == ["Performance"]


@pytest.mark.parametrize(
    ("dimension", "label", "category", "places"),
    [
        ("bug_type", "Logic Bug", "Structural Logic Bug", [80]),  # [13]
        (  # [14]
            "root_cause",
            "Combination of parameters can lead to suboptimal performance",
            "Incorrect Model Parameter or Structure",
            [258, 261, 321, *range(327, 333), 335, 336, 337, 339],
        ),
        ("root_cause", "Absence of backward compatibility while versioning", "API Change", [256, 257, 266]),  # [15]
        (  # [16]
            "root_cause",
            "Absence of suggestions in chosing hyper parameters",
            "Incorrect Model Parameter or Structure",
            [80],
        ),
        ("root_cause", "Absence of the training process monitoring", "Confusion with Computation Model", [81]),  # [16]
    ],
)
def test_released_labels_outside_the_taxonomy(released, dimension, label, category, places):
    written = written_as(released, f"{dimension}_as_written", label)
    assert written["row"].to_list() == places
    assert set(written["file"]) == {"Github/Keras_Github_Final.xlsx"}
    assert set(written[dimension]) == {category}
    assert written["mapped"].str.contains(dimension).all()


def test_released_labels_before_and_after_mapping(released):  # [13 to 16]
    mapped = released.filter(pl.col("mapped").is_not_null())
    assert counts(mapped, "mapped") == {"bug_type; root_cause": 1, "root_cause": 17}
    keras = released.filter(pl.col("file") == "Github/Keras_Github_Final.xlsx")
    before = {
        name: keras.filter((pl.col(dimension) == name) & ~pl.col("mapped").fill_null("").str.contains(dimension)).height
        for dimension, name in MAPPED_TO
    }
    after = {name: keras.filter(pl.col(dimension) == name).height for dimension, name in MAPPED_TO}
    assert before == {
        "Structural Logic Bug": 7,
        "Incorrect Model Parameter or Structure": 88,
        "API Change": 180,
        "Confusion with Computation Model": 1,
    }
    assert after == {
        "Structural Logic Bug": 8,
        "Incorrect Model Parameter or Structure": 102,
        "API Change": 183,
        "Confusion with Computation Model": 2,
    }
    coding = written_as(released, "bug_type_as_written", "Coding Bug")
    assert coding.select("row", "bug_type", "mapped").rows() == [(81, "Coding Bug", "root_cause")]


MAPPED_TO = (
    ("bug_type", "Structural Logic Bug"),
    ("root_cause", "Incorrect Model Parameter or Structure"),
    ("root_cause", "API Change"),
    ("root_cause", "Confusion with Computation Model"),
)


def test_released_bugs_against_table_1(released):  # [17]
    printed = pl.read_csv(STUDY.files.published / "table1.csv").select("library", "so_bugs", "gh_bugs")
    differing = {}
    for library, *bugs in printed.filter(pl.col("library").is_in(TAXONOMY.names("library"))).rows():
        for source, number in zip(("Stack Overflow", "GitHub"), bugs, strict=True):
            found = released.filter((pl.col("library") == library) & (pl.col("source") == source)).height
            if found != number:
                differing[source, library] = (number, found)
    assert differing == {("GitHub", "Keras"): (348, 350)}


def test_released_commits(release):  # [18]
    numbers = {library: releases.commits(release, library).height for library in TAXONOMY.names("library")}
    assert numbers == {"Caffe": 17, "Keras": 51, "Tensorflow": 28, "Theano": 18, "Torch": 29}


def test_released_repeated_posts(release, released):  # [19]
    posts = released.filter(pl.col("source") == "Stack Overflow")
    assert posts["post_id"].n_unique() == 391
    recurring = posts.group_by("post_id").agg(pl.len(), pl.col("library").unique().sort()).filter(pl.col("len") > 1)
    both = recurring.filter(pl.col("library").list.len() == 2)
    assert recurring.height == 22
    assert {tuple(pair) for pair in both["library"]} == {("Keras", "Tensorflow")}
    assert counts(both, "len") == {2: 18, 3: 2}
    assert recurring.filter(pl.col("library").list.len() == 1).height == 2
    within = {
        library: posts.filter(pl.col("library") == library).height - releases.posts(release, library).height
        for library in TAXONOMY.names("library")
    }
    assert within == {"Caffe": 0, "Keras": 2, "Tensorflow": 2, "Theano": 0, "Torch": 0}


def test_released_repeated_commits(released):  # [20]
    commits = released.filter(pl.col("source") == "GitHub")
    assert commits.select("library", "link").n_unique() == 405
    assert commits.select("repository", "commit_sha").n_unique() == 143
    assert commits["commit_sha"].n_unique() == 142
    forked = commits.filter(pl.col("commit_sha") == "d91c0adc5ccd34f6e346fdeddc0a2ce7085a4ffb")
    assert counts(forked, "repository") == {"dishen12/keras_frcnn": 66, "FrodeWY/keras-frcnn": 59}


def test_released_repeated_rows(released):  # [21]
    commits = released.filter(pl.col("source") == "GitHub")
    exact = commits.filter(~pl.struct("library", "link", *WRITTEN).is_first_distinct())
    again = commits.filter(~pl.struct("library", "link").is_first_distinct())
    assert counts(exact, "library") == {"Keras": 94}
    assert counts(again, "library") == {"Keras": 150, "Caffe": 2}
    triples = commits.select("library", "link", *WRITTEN).unique().group_by("library", "link").len()
    assert counts(triples.filter(pl.col("len") > 1), "library") == {"Keras": 55, "Caffe": 1}


def test_released_rows_per_commit(released):  # [22]
    commits = released.filter(pl.col("source") == "GitHub")
    sizes = commits.group_by("library", "repository", "commit_sha").len().sort("len", descending=True)
    assert (sizes["len"].min(), sizes["len"].max()) == (1, 66)
    largest = sizes.head(4)
    assert (set(largest["library"]), largest["len"].sum()) == ({"Keras"}, 193)


def test_released_kinds_of_link(released):  # [23]
    links = released.filter(pl.col("source") == "GitHub").with_columns(
        kind=pl.when(pl.col("link").str.contains("/blob/"))
        .then(pl.lit("blob"))
        .when(pl.col("link").str.contains("#"))
        .then(pl.lit("commit with a fragment"))
        .otherwise(pl.lit("commit"))
    )
    assert counts(links, "kind") == {"commit with a fragment": 500, "commit": 32, "blob": 25}
    assert counts(links.filter(pl.col("kind") == "blob"), "library") == {"Keras": 23, "Torch": 2}
    assert links.filter(pl.col("commit_sha").str.contains("^[0-9a-f]{40}$")).height == 557


def test_released_irregularities_and_tables(release):
    assert releases.data_quality(release, STUDY) == {
        "label_rows": 972,
        "rows_set_aside": 0,
        "rows_with_swapped_columns": 101,
        "empty_cells": 2,
        "labels_spelled_otherwise": 1422,
        "labels_mapped": 19,
        "keys_that_a_joined_release_lacks": 0,
        "distinct_items": 553,
        "rows_that_repeat_a_link": 152 + 4,
        "rows_that_repeat_link_and_labels": 94 + 1,
    }
    labels = releases.labels(release, STUDY)
    assert labels.height == labels["bug_id"].n_unique() == 972
    # 391 posts, 20 of them in two libraries, and 142 shas, none of them in two libraries.
    assert counts(releases.items(release), "source") == {"Stack Overflow": 391 + 20, "GitHub": 142}
    assert {library: releases.posts(release, library).shape for library in TAXONOMY.names("library")} == {
        "Caffe": (35, 16),
        "Keras": (160, 16),
        "Tensorflow": (164, 16),
        "Theano": (27, 16),
        "Torch": (25, 16),
    }
    assert {releases.commits(release, library).width for library in TAXONOMY.names("library")} == {4}
    assert releases.units(release).select("item_id", "bug_index").n_unique() == 972
