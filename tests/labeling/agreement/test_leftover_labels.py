"""Labels in further sheets of a release are read, and aligned with the released bugs."""

import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dlbug_assets.labeling.agreement.leftover_labels import leftover_labels
from dlbug_assets.protocol.sections import Sources
from support import release, released_studies, workbooks
from support.release import KERAS_SO, STUDY, TAXONOMY, release_path
from support.workbooks import POST_HEADER, Cell, workbook

_TF_SO = "SO/TF_SO_Final.xlsx"
_NAME = "Wilhelmina"


def leftovers(path: Path) -> pl.DataFrame:
    return leftover_labels(study=STUDY, release=lambda: release.read(path))


def random_labels(number: int, seed: int) -> list[tuple[str, str, str]]:
    """Return rows of bug type, root cause and effect, all independent."""
    choose = np.random.default_rng(seed)
    names = [TAXONOMY.names(dimension) for dimension in ("bug_type", "root_cause", "effect")]
    drawn = [choose.choice(of_dimension, number).tolist() for of_dimension in names]
    return list(zip(*drawn, strict=True))


def labelled(folder: Path, labels: list[tuple[str, str, str]], **sheets: list[tuple[Cell, ...]]) -> pl.DataFrame:
    """Return what is left over beside the labels of posts 1, 2 .. of Keras, in sheets of the same workbook."""
    rows = [(number, *row) for number, row in enumerate(labels, start=1)]
    content = workbook({"Labels": [POST_HEADER, *rows], **sheets})
    return leftovers(workbooks.release(folder, {KERAS_SO: content}))


def bugs_by_row(found: pl.DataFrame) -> dict[int, str | None]:
    return dict(found.unique("row", maintain_order=True).select("row", "bug_id").iter_rows())


def of_posts(rows: range, first: int) -> dict[int, str | None]:
    return {row: f"SO-Keras-{first + step}#1" for step, row in enumerate(rows)}


RATED = ("Rated Bug Type", "Rated Root Cause", "Rated Effect")


def test_rows_without_keys_align_by_their_order(tmp_path):
    labels = random_labels(30, seed=1)
    found = labelled(tmp_path, labels, Other=[RATED, *labels[5:25]])
    assert bugs_by_row(found) == of_posts(range(2, 22), first=6)
    assert found["agrees"].to_list() == [True] * 60
    assert found.row(0, named=True) == {
        "source": "Stack Overflow",
        "library": "Keras",
        "sheet": f"{KERAS_SO}, sheet 2",
        "row": 2,
        "link": "https://stackoverflow.com/questions/6",
        "bug_id": "SO-Keras-6#1",
        "dimension": "bug_type",
        "as_written": labels[5][0],
        "category": labels[5][0],
        "agrees": True,
    }


def test_a_row_that_was_not_released_aligns_with_none_and_is_of_the_library_around_it(tmp_path):
    labels = random_labels(30, seed=2)
    found = labelled(tmp_path, [*labels[:14], *labels[15:]], Other=[RATED, *labels])
    assert bugs_by_row(found) == {**of_posts(range(2, 16), 1), 16: None, **of_posts(range(17, 32), 15)}
    extra = found.filter(pl.col("bug_id").is_null())
    assert extra.select("source", "library", "link", "agrees").unique().rows() == [
        ("Stack Overflow", "Keras", None, None)
    ]


def test_a_rater_who_labels_otherwise_aligns_all_the_same(tmp_path):
    labels = random_labels(60, seed=3)
    fresh, keeps = random_labels(60, seed=4), np.random.default_rng(3).random((60, 3)) < 0.7
    keeps[[0, -1]] = True  # nothing shows that rows at the ends belong to the others if they differ
    others = [tuple(np.where(kept, row, other).tolist()) for kept, row, other in zip(keeps, labels, fresh, strict=True)]
    found = labelled(tmp_path, labels, Other=[RATED, *others])
    assert bugs_by_row(found) == of_posts(range(2, 62), first=1)
    assert found["agrees"].sum() == (np.array(labels) == np.array(others)).sum()
    assert 100 < found["agrees"].sum() < 180


def test_other_labels_align_with_nothing(tmp_path):
    sheets = {f"Other{seed}": [RATED, *random_labels(100, seed)] for seed in range(10)}
    found = labelled(tmp_path, random_labels(100, seed=100), **sheets)
    assert found.height == 10 * 300
    assert set(found["bug_id"]) == {None}


def test_sorted_labels_do_not_align_because_they_are_sorted(tmp_path):
    sheets = {f"Other{seed}": [RATED, *sorted(random_labels(100, seed))] for seed in range(10)}
    found = labelled(tmp_path, sorted(random_labels(100, seed=100)), **sheets)
    assert found.height == 10 * 300
    assert set(found["bug_id"]) == {None}


def test_rows_of_several_files_in_one_sheet_align_with_each(tmp_path):
    keras, tensorflow = random_labels(20, seed=5), random_labels(20, seed=6)
    contents = {
        KERAS_SO: workbook({"Labels": [POST_HEADER, *((n, *row) for n, row in enumerate(keras, start=1))]}),
        _TF_SO: workbook(
            {
                "Other": [RATED, *tensorflow, *keras],
                "Labels": [POST_HEADER, *((n, *row) for n, row in enumerate(tensorflow, start=1))],
            }
        ),
    }
    found = leftovers(workbooks.release(tmp_path, contents))
    assert found.group_by("library", maintain_order=True).agg(pl.col("agrees").sum(), pl.len()).rows() == [
        ("Tensorflow", 60, 60), ("Keras", 60, 60),
    ]  # fmt: skip
    assert set(found["sheet"]) == {f"{_TF_SO}, sheet 1"}


def test_rows_with_keys_align_by_them_whatever_their_labels_and_order(tmp_path):
    labels = [("API Bug", "API Change", "Crash"), ("Data Bug", "API Misuse", "Hang")]
    other = [("Post#", *RATED), (2, "Data Bug", "Others", "Hang"), (9, "Data Bug", "Others", "Hang"), (1, *labels[0])]
    found = labelled(tmp_path, labels, Other=other)
    assert bugs_by_row(found) == {2: "SO-Keras-2#1", 3: None, 4: "SO-Keras-1#1"}
    assert found["agrees"].to_list() == [True, False, True, None, None, None, True, True, True]
    assert found.filter(pl.col("row") == 3)["link"].unique().to_list() == ["https://stackoverflow.com/questions/9"]


def test_several_raters_in_one_sheet_are_told_apart(tmp_path):
    labels = random_labels(20, seed=7)
    header = tuple(f"{rater}: {name}" for rater in ("Ada", "Bea") for name in POST_HEADER[1:])
    found = labelled(tmp_path, labels, Other=[header, *((*row, *labels[0]) for row in labels)])
    assert found.group_by("sheet", maintain_order=True).agg(pl.col("agrees").sum()).rows() == [
        (f"{KERAS_SO}, sheet 2, columns 1", 60),
        (f"{KERAS_SO}, sheet 2, columns 2", 0),
    ]


@pytest.mark.parametrize(
    "sheet",
    [
        [],
        [()],
        [("Rated Bug Type", "Rated Effect"), ("API Bug", "Crash")],
        [("Rated Bug Type", "Root Cause", "Effects")],
        [RATED],
        [("Count of Bug Type", "Row Labels"), ("API Bug", 10), ("Data Bug", 7)],
        [RATED, *[("Sum of bug type", "Average", "12"), ("Total", "1", "2"), ("API Bug", "API Change", "Crash")]],
    ],
    ids=["empty", "without cells", "without a dimension", "of other names", "header only", "pivot", "numbers"],
)
def test_other_sheets_are_not_labels(tmp_path, sheet):
    assert labelled(tmp_path, random_labels(20, seed=8), Other=sheet).is_empty()


def test_what_no_category_is_spelled_like_is_left_out(tmp_path):
    labels = random_labels(20, seed=9)
    rows = [("see Wilhelmina", *labels[0][1:]), *labels[1:], RATED]
    found = labelled(tmp_path, labels, Other=[RATED, *rows])
    assert found.filter(pl.col("row") == 2)["dimension"].to_list() == ["root_cause", "effect"]
    assert found["row"].max() == 21


def test_links_find_bugs_in_any_release_and_sets_of_categories_agree_in_any_order(tmp_path):
    further = [
        ("Link", "First symptom", "First cause", "First inputs", "First remark"),
        ("https://example.org/2", "Hang", "Race", "", ""),
        ("https://example.org/1", "Crash", "Race", "port; file", "by day"),
    ]
    content = workbook({"Labels": [released_studies.HEADER, *released_studies.ROWS], "Other": further})
    (tmp_path / "bugs.xlsx").write_bytes(content)
    # The sheet is named, so that it alone is read at first.
    study = released_studies.study_of(tmp_path, {"file": "bugs.xlsx", "sheet": "Labels"})
    found = leftover_labels(study=study, release=lambda: released_studies.read(study))
    assert found.select("library", "sheet", "row", "bug_id", "dimension", "category", "agrees").rows() == [
        ("Beta", "bugs.xlsx, sheet 2", 2, "Beta-https://example.org/2#1", "symptom", "Hang", True),
        ("Beta", "bugs.xlsx, sheet 2", 2, "Beta-https://example.org/2#1", "cause", "Race", None),
        ("Alpha", "bugs.xlsx, sheet 2", 3, "Alpha-https://example.org/1#1", "symptom", "Crash", True),
        ("Alpha", "bugs.xlsx, sheet 2", 3, "Alpha-https://example.org/1#1", "cause", "Race", False),
        ("Alpha", "bugs.xlsx, sheet 2", 3, "Alpha-https://example.org/1#1", "inputs", "port; file", True),
        ("Alpha", "bugs.xlsx, sheet 2", 3, "Alpha-https://example.org/1#1", "remark", "by day", False),
    ]


def test_files_without_sheets_have_no_leftovers(tmp_path):
    (tmp_path / "bugs.csv").write_text(released_studies.csv_text(), encoding="utf-8")
    study = released_studies.study_of(tmp_path, {"file": "bugs.csv"})
    assert leftover_labels(study=study, release=lambda: released_studies.read(study)).is_empty()


def test_a_release_without_further_sheets_has_no_leftovers(tmp_path):
    assert labelled(tmp_path, random_labels(20, seed=10)).is_empty()


def test_leftovers_of_a_release_without_bugs_align_with_none(tmp_path):
    found = labelled(tmp_path, [], Other=[RATED, *random_labels(20, seed=11)])
    assert found.select("bug_id", "source", "library").unique().rows() == [(None, None, None)]


def test_labels_that_are_not_from_a_release_have_no_leftovers():
    def unread():
        raise AssertionError

    sources = Sources.model_validate({"posts": "sample", "commits": "sample", "labels": "sample"})
    study = STUDY.model_copy(update={"sources": sources})
    assert leftover_labels(study=study, release=unread).is_empty()


def test_names_of_people_reach_no_table(tmp_path):
    labels = random_labels(20, seed=12)
    header = tuple(f"{_NAME} {name}" for name in POST_HEADER[1:])
    rows = [(number, *row) for number, row in enumerate(labels, start=1)]
    content = io.BytesIO(workbook({"Labels": [POST_HEADER, *rows], f"Sheet of {_NAME}": [header, *labels]}))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("docProps/core.xml", f"<coreProperties><creator>{_NAME}</creator></coreProperties>")
    read = release.read(workbooks.release(tmp_path, {KERAS_SO: content.getvalue()}))
    found = leftover_labels(study=STUDY, release=lambda: read)
    assert found["bug_id"].null_count() == 0
    for rows in (found, read.leftovers, read.rejected):
        assert _NAME.casefold() not in str(rows.rows()).casefold()


def test_the_authors_release_holds_the_labels_of_the_first_batch():
    found = leftover_labels(study=STUDY, release=lambda: release.read(release_path()))
    assert found["sheet"].unique().to_list() == [f"{_TF_SO}, sheet 6"]
    assert found["row"].n_unique() == 307
    aligned = found.filter(pl.col("bug_id").is_not_null())
    assert dict(aligned.group_by("library").agg(pl.col("bug_id").n_unique()).iter_rows()) == {
        "Theano": 27, "Torch": 25, "Caffe": 35, "Keras": 106, "Tensorflow": 113,
    }  # fmt: skip
    assert aligned["agrees"].to_list() == [True] * 3 * 306
    extra = found.filter(pl.col("bug_id").is_null())
    assert extra.select("source", "library", "row", "dimension", "category").rows() == [
        ("Stack Overflow", "Theano", 15, "bug_type", "Non Model Structural Logic Bug"),
        ("Stack Overflow", "Theano", 15, "effect", "Crash"),
    ]
