"""Simulated raters: their agreement, as the pipeline measures it, develops as in section 2.3 of the paper."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import polars as pl
import pytest

from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.labeling import adjudication, units
from dlbug_assets.labeling.agreement import bootstrap, checkpoints
from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.questions import questions
from dlbug_assets.labeling.sheets import history, validation
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.sample import commits, posts, raters
from dlbug_assets.sample.truth import true_bugs

#: Seeds and numbers of raters.
TWO = (2019, 2)
STUDIES = [
    pytest.param(study, id=f"seed {study[0]}, {study[1]} raters", marks=[pytest.mark.slow] if study != TWO else [])
    for study in (TWO, (1, 2), (42, 2), (2019, 3))
]


@dataclass(frozen=True)
class Labelled:
    study: Study
    items: pl.DataFrame
    rows: pl.DataFrame
    labels: pl.DataFrame
    rejected: pl.DataFrame
    units: pl.DataFrame
    decided: pl.DataFrame
    disagreements: pl.DataFrame


def year_of(column):
    return pl.col(column).dt.year().alias("year")


def validated(rows, items, study):
    """Return labels and rejected rows of submissions with a file per rater, batch and pass, a minute per file."""
    files = rows.with_columns(
        labelled_at=None,
        file=pl.format("{}-{}-{}.csv", "batch", "rater", "pass"),
        line=pl.int_range(2, pl.len() + 2),
    )
    names = files["file"].unique(maintain_order=True).to_list()
    number = pl.col("file").replace_strict({name: number for number, name in enumerate(names)}, return_dtype=pl.Int64)
    files = files.with_columns(received_at=datetime(2026, 1, 1) + pl.duration(minutes=number))
    valid, rejected = validation.validate(
        files.sort("received_at", maintain_order=True), items, study, load_taxonomy(study)
    )
    return history.record(valid, study, {name: name for name in names}, {}).labels, rejected


@cache
def labelled(seed, number):
    shipped = load_study("sample")
    names = ("rater_a", "rater_b", "rater_c")[:number]
    study = shipped.model_copy(
        update={
            "study": shipped.study.model_copy(update={"seed": seed}),
            "labeling": shipped.labeling.model_copy(update={"raters": names}),
        }
    )
    asked = pl.concat([posts.posts(study, library) for library in study.library_names])
    candidates = asked.filter(pl.col("body_html").str.contains("<pre")).with_columns(year_of("created_at"))
    fixes = pl.concat([commits.fix_commits(study, library) for library in study.library_names])
    fixes = fixes.with_columns(year_of("authored_at"))
    sampled = pl.concat([bottom_k_sample(fixes, library, seed, 100) for library in study.library_names])
    items = queue(candidates, sampled, study)
    rows = raters.rater_rows(study, items, load_taxonomy(study))
    labels, rejected = validated(rows, items, study)
    frozen = units.freeze(labels, items, study).units
    states = questions(labels, frozen, items, rejected, study=study)
    return Labelled(
        study,
        items,
        rows,
        labels,
        rejected,
        frozen,
        adjudication.decide(labels, states, frozen, items, study),
        adjudication.disagreements(labels, states, study),
    )


@cache
def kappas(seed, number):
    """Return the cumulative kappa over all sources by dimension and checkpoint."""
    made = labelled(seed, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 1)
        study = made.study.model_copy(update={"dimensions": made.study.dimensions[:1]})
        table = checkpoints.measure(made.labels, made.units, made.items, study).kappa_checkpoints
    table = table.filter((pl.col("source") == "all") & (pl.col("scope") == "cumulative"))
    return {
        dimension: dict(rows.select("checkpoint", "kappa").iter_rows())
        for (dimension,), rows in table.group_by("dimension")
    }


@pytest.fixture(params=STUDIES)
def made(request):
    return labelled(*request.param)


@pytest.mark.parametrize("dimension", ["bug_type", "is_bug"])
@pytest.mark.parametrize("study", STUDIES)
def test_kappa_is_near_zero_then_good_after_the_training_and_nearly_perfect_later(study, dimension):
    kappa = kappas(*study)[dimension]
    assert list(kappa) == [5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert abs(kappa[5]) <= 0.1
    assert abs(kappa[10] - 0.82) <= 0.1
    assert min(kappa[checkpoint] for checkpoint in kappa if checkpoint > 10) > 0.9
    assert max(kappa.values()) < 1


def test_the_queue_has_the_posts_and_a_hundred_commits_of_each_library():
    sizes = labelled(*TWO).items.group_by("source", maintain_order=True).len()
    assert sizes.rows() == [("Stack Overflow", pytest.approx(2716, rel=0.03)), ("GitHub", 500)]


def test_every_row_is_accepted_and_none_is_superseded(made):
    assert made.rejected.is_empty()
    assert made.labels.height == made.rows.height
    assert not made.labels["superseded"].any()
    assert made.rows["batch"].is_in(list(made.study.labeling.checkpoints)).all()


def test_every_rater_labels_every_item_and_those_of_the_first_batch_again(made):
    given = made.rows.filter((pl.col("pass") == "units") & pl.col("rater").is_in(made.study.labeling.raters))
    read = given.select("item_id", "rater", "batch").unique()
    asked = made.items.select("item_id", batch="checkpoint")
    assert read.join(asked, on=["item_id", "batch"]).height == made.items.height * len(made.study.labeling.raters)
    first = made.items.filter(pl.col("checkpoint") == 5)["item_id"]
    for rater in made.study.labeling.raters:
        theirs = read.filter(pl.col("rater") == rater)
        assert set(first) <= set(theirs.filter(pl.col("batch") == 10)["item_id"])
        again = theirs.filter(pl.col("batch") > 20)
        assert again.join(asked, on=["item_id", "batch"]).height == again.height


def test_the_frozen_units_are_the_true_bugs(made):
    bugs = true_bugs(made.study, made.items, load_taxonomy(made.study))
    true = {(item_id, index) for item_id, found in bugs.items() for index in range(1, len(found) + 1)}
    assert set(made.units.select("item_id", "bug_index").iter_rows()) == true
    assert set(made.units["frozen_by"]) == {"agreement", "adjudication"}
    for item_id, index, place in made.units.select("item_id", "bug_index", "place").iter_rows():
        assert place == bugs[item_id][index - 1].place


def test_the_adjudicator_decides_exactly_the_units_on_which_raters_differ(made):
    decided = made.rows.filter((pl.col("rater") == "supervisor") & (pl.col("pass") == "dimensions"))
    differing = made.disagreements.filter(pl.col("dimension") != "is_bug").select("item_id", "bug_index").unique()
    assert decided.select("item_id", "bug_index").is_duplicated().sum() == 0
    assert set(decided.select("item_id", "bug_index").iter_rows()) == set(differing.iter_rows())
    assert decided.height > 0
    by = made.decided.filter(pl.col("decided_by") == "adjudication").select("item_id", "bug_index")
    assert set(by.iter_rows()) == set(differing.iter_rows())


def test_every_unit_has_a_label(made):
    assert made.decided["bug_id"].n_unique() == made.decided.height
    assert made.decided.select("item_id", "bug_index").rows() == made.units.select("item_id", "bug_index").rows()
    assert made.decided.select("bug_type", "root_cause", "effect", "stage").null_count().sum_horizontal().item() == 0


def test_the_adjudicators_labels_are_the_true_ones(made):
    bugs = true_bugs(made.study, made.items, load_taxonomy(made.study))
    decided = made.decided.filter(pl.col("decided_by") == "adjudication")
    for row in decided.iter_rows(named=True):
        labels = bugs[row["item_id"]][row["bug_index"] - 1].labels
        # Where the raters agree in a dimension their label stands, right or wrong.
        differing = made.disagreements.filter(
            (pl.col("item_id") == row["item_id"]) & (pl.col("bug_index") == row["bug_index"])
        )
        for dimension in differing["dimension"]:
            assert row[dimension] == labels.get(dimension)


def test_antipatterns_are_labelled_only_for_the_papers_number_of_posts_per_library(made):
    asked = made.decided.filter(pl.col("antipattern").is_not_null())
    assert set(asked["source"]) == {"Stack Overflow"}
    posts_with_bugs = (
        made.decided.filter(pl.col("source") == "Stack Overflow").group_by("library").agg(pl.col("item_id").n_unique())
    )
    expected = {library: min(30, count) for library, count in posts_with_bugs.iter_rows()}
    assert dict(asked.group_by("library").agg(pl.col("item_id").n_unique()).iter_rows()) == expected


def test_there_are_about_as_many_bugs_as_in_the_paper():
    counts = labelled(*TWO).decided.group_by("source").len()
    # 415 in posts and 555 in commits (Table 1).
    assert dict(counts.iter_rows()) == {
        "Stack Overflow": pytest.approx(415, rel=0.2),
        "GitHub": pytest.approx(555, rel=0.2),
    }


def test_the_order_of_the_items_does_not_matter():
    made = labelled(*TWO)
    again = raters.rater_rows(made.study, made.items.reverse(), load_taxonomy(made.study))
    assert again.equals(made.rows)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_small_queue_can_be_labelled(count):
    made = labelled(*TWO)
    few = made.items.head(count)
    rows = raters.rater_rows(made.study, few, load_taxonomy(made.study))
    labels, rejected = validated(rows, few, made.study)
    assert rejected.is_empty()
    frozen = units.freeze(labels, few, made.study).units
    states = questions(labels, frozen, few, rejected, study=made.study)
    assert adjudication.decide(labels, states, frozen, few, made.study).height == frozen.height


def test_libraries_that_are_not_in_the_paper_can_be_labelled():
    study = load_study("modern")
    candidates = posts.posts(study, "PyTorch").head(200).with_columns(year_of("created_at"))
    sampled = bottom_k_sample(
        commits.fix_commits(study, "PyTorch").with_columns(year_of("authored_at")), "PyTorch", 2026, 50
    )
    items = queue(candidates, sampled, study)
    labels, rejected = validated(raters.rater_rows(study, items, load_taxonomy(study)), items, study)
    assert rejected.is_empty()
    assert set(labels["item_id"]) == set(items["item_id"])


def test_untrained_raters_agree_as_close_to_chance_as_a_shift_of_the_labels_can():
    """The first of the best shifts is chosen, as if all were compared one by one."""
    labels = [name for place in range(40) for name in ("a", "b", "a", "c")[: place % 4 + 1]]
    first, second = raters._untrained({str(place): label for place, label in enumerate(labels)}, 2)
    shifted = [labels[shift:] + labels[:shift] for shift in range(1, len(labels))]
    by_chance = sum(labels.count(name) ** 2 for name in set(labels)) / len(labels) ** 2

    def distance(other):
        return abs((sum(map(str.__eq__, labels, other)) / len(labels) - by_chance) / (1 - by_chance))

    assert list(first.values()) == labels
    assert list(second.values()) == min(shifted, key=distance)
