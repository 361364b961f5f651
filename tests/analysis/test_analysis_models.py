"""SQL models of the schema analysis, run unchanged."""

import polars as pl
import pytest

from dlbug_assets.asset_factories.sql_models import column_origins, load_models
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.table_specs import load_specs
from support.small_studies import GH, SO


def test_label_counts_are_dense_and_include_both_and_all(study):
    small = study("Keras", "Caffe")
    small.label(source=SO, library="Keras", bug_type="Data Bug", effect="Crash")
    small.label(source=GH, library="Keras", bug_type="API Bug")
    small.label(source=GH, library="Caffe", bug_type="Data Bug")
    small.label(source=GH, library="Chainer", bug_type="Data Bug")  # not a library of the study

    rows = small.run("label_counts")

    assert rows.height == 3 * 3 * (12 + 10 + 7 + 7 + 7)
    assert not rows.select(pl.struct("source", "library", "dimension", "category")).is_duplicated().any()
    data_bugs = rows.filter(dimension="bug_type", category="Data Bug").select("source", "library", "bugs", "total")
    assert data_bugs.rows() == [
        (SO, "Keras", 1, 1), (SO, "Caffe", 0, 0), (SO, "All", 1, 1),
        (GH, "Keras", 0, 1), (GH, "Caffe", 1, 1), (GH, "All", 1, 2),
        ("both", "Keras", 1, 2), ("both", "Caffe", 1, 1), ("both", "All", 2, 3),
    ]  # fmt: skip
    effect = rows.filter(source="both", library="All", dimension="effect")
    assert effect["total"].unique().to_list() == [1]  # a bug without a label is not counted


def test_label_counts_follow_study_and_taxonomy_order(study):
    rows = study("Torch", "Caffe").run("label_counts")

    assert rows["library"].unique(maintain_order=True).to_list() == ["Torch", "Caffe", "All"]
    assert rows["dimension"].unique(maintain_order=True).to_list() == [
        "bug_type", "root_cause", "effect", "stage", "antipattern"
    ]  # fmt: skip


def test_dataset_summary_has_computed_and_published_numbers(study):
    paper = study("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
    paper.connection.execute("update reference.study set posts_are_a_corpus = true, commits_are_a_corpus = true")
    for post in ("('Caffe', 1)", "('Caffe', 2)", "('Torch', 1)"):
        paper.connection.execute(f"insert into stackoverflow.candidate_posts values {post}")
    paper.connection.execute("insert into github.sampled_commits values ('Keras', 'a')")
    paper.label(source=SO, library="Caffe")
    paper.label(source=GH, library="Keras")
    paper.label(source=GH, library="Keras")

    paper.run("dataset_sizes")

    rows = paper.run("dataset_summary").rows()

    assert rows[0] == ("Caffe", 2, 1, 0, 0, 183, 35, 100, 26)
    assert rows[1] == ("Keras", 0, 0, 1, 2, 567, 162, 100, 348)
    assert rows[-1] == ("Total", 3, 1, 1, 2, 2716, 415, 500, 555)


def test_dataset_summary_is_null_for_unknown_numbers_of_posts_and_commits(study):
    released = study("JAX", "Keras")
    released.run("dataset_sizes")

    rows = released.run("dataset_summary").rows()

    assert rows == [
        ("JAX", None, 0, None, 0, None, None, None, None),
        ("Keras", None, 0, None, 0, 567, 162, 100, 348),
        ("Total", None, 0, None, 0, None, None, None, None),
    ]


def test_root_cause_shares_are_within_a_bug_type(study):
    small = study("Keras")
    small.label(source=SO, library="Keras", bug_type="API Bug", root_cause="API Change")
    small.label(source=SO, library="Keras", bug_type="API Bug", root_cause="API Misuse")
    small.label(source=GH, library="Keras", bug_type="API Bug", root_cause="API Change")
    small.label(source=GH, library="Keras", bug_type="API Bug")

    small.run("crosstab")
    rows = small.run("root_cause_by_bug_type")

    assert rows.height == 3 * 12 * 10
    change = rows.filter(bug_type="API Bug", root_cause="API Change").select("source", "bugs", "total", "share")
    assert change.rows() == [(SO, 1, 2, 0.5), (GH, 1, 1, 1.0), ("both", 2, 3, pytest.approx(2 / 3))]
    assert rows.filter(bug_type="Data Bug").select("share", "undefined_reason").unique().rows() == [
        (None, "no bug of this type has a root cause")
    ]


def test_yearly_counts_are_dense_within_years_with_bugs(study):
    small = study("Keras", "Caffe")
    small.label(source=SO, library="Keras", effect="Crash", year=2015)
    small.label(source=SO, library="Keras", effect="Hang", year=2015)
    small.label(source=GH, library="Caffe", effect="Crash", year=2017)
    small.label(source=GH, library="Caffe", effect="Crash")  # no year

    rows = small.run("yearly_counts")

    crash = rows.filter(category="Crash").select("source", "library", "year", "bugs", "total")
    assert crash.rows() == [
        (SO, "Keras", 2015, 1, 2), (SO, "All", 2015, 1, 2),
        (GH, "Caffe", 2017, 1, 1), (GH, "All", 2017, 1, 1),
        ("both", "Keras", 2015, 1, 2), ("both", "Caffe", 2017, 1, 1),
        ("both", "All", 2015, 1, 2), ("both", "All", 2017, 1, 1),
    ]  # fmt: skip
    assert rows.height == 8 * 7  # the seven effects, zeros included; no other dimension has a label


def test_yearly_counts_without_years_are_empty(study):
    small = study("Keras")
    small.label(source=SO, library="Keras", effect="Crash")

    assert small.run("yearly_counts").height == 0


def test_the_least_favourable_verdict_decides(study):
    small = study("Keras")
    small.connection.execute(
        """
        create table analysis.findings as
        from (values
            (1, 1, 'A', 'reproduced', 'N1.'), (2, 1, 'B', 'underpowered', 'N2.'), (3, 1, 'C', 'not testable', 'N3.'),
            (4, 2, 'D', 'reproduced differently', 'N4.'), (5, 2, 'E', 'reproduced', 'N5.'),
            (6, 3, 'F', 'not reproduced', 'N6.'), (7, 3, 'G', 'not testable', 'N7.'), (8, 4, 'H', 'reproduced', 'N8.')
        ) as rows (position, finding, claim, verdict, note)
        """
    )

    assert small.run("finding_verdicts").rows() == [
        (1, "not testable", "C: not testable (of 3 metrics 1 as printed, 0 with other numbers). N3.", 3),
        (2, "reproduced differently",
         "D: reproduced differently (of 2 metrics 1 as printed, 1 with other numbers). N4.", 2),
        (3, "not reproduced", "F: not reproduced (of 2 metrics 0 as printed, 0 with other numbers). N6.", 2),
        (4, "reproduced", "H: reproduced. N8.", 1),
    ]  # fmt: skip


def test_exact_repeats_compare_labels_as_written(study):
    small = study("Keras")
    for written in ("Performance", "Performance", "Bad Performance"):
        small.label(source=SO, library="Keras", link="a", effect="Bad Performance", effect_as_written=written)

    assert small.run("repeats").filter(library="Keras", source=SO)["exact_repeats"].to_list() == [1]


def test_repeats_count_links_with_several_labels_and_exact_repeats(study):
    small = study("Keras", "Caffe")
    for library, link, effect in (
        ("Keras", "a", "Crash"), ("Keras", "a", "Crash"), ("Keras", "a", "Hang"), ("Keras", "b", None),
        ("Keras", "b", None), ("Caffe", "a", "Crash"), ("Caffe", None, "Crash"), ("Caffe", None, "Crash"),
    ):  # fmt: skip
        small.label(source=SO, library=library, link=link, bug_type="API Bug", root_cause="Others", effect=effect)

    assert small.run("repeats").rows() == [
        (SO, "Keras", 5, 2, 2, 2), (SO, "Caffe", 3, 1, 0, 0), (SO, "All", 8, 2, 2, 3),
        (GH, "Keras", 0, 0, 0, 0), (GH, "Caffe", 0, 0, 0, 0), (GH, "All", 0, 0, 0, 0),
    ]  # fmt: skip


def test_clusters_are_repositories_or_posts(study):
    small = study("Keras", "Caffe")
    for library, repository, item in (("Keras", "a/a", "1"), ("Keras", "a/a", "2"), ("Caffe", "a/a", "3"),
                                      ("Keras", None, "4"), ("Keras", None, "4")):  # fmt: skip
        small.label(source=GH, library=library, repository=repository, item_id=item, effect="Crash")
    small.label(source=SO, library="Keras", link="post", item_id="5", effect="Crash")
    small.label(source=SO, library="Keras", item_id="6", effect="Crash")
    small.label(source=SO, library="Chainer", link="other", effect="Crash")  # not a library of the study

    assert small.run("cluster_counts").rows() == [
        (GH, "Caffe", "a/a", "effect", "Crash", 1, 1),
        (GH, "Keras", "4", "effect", "Crash", 2, 2),
        (GH, "Keras", "a/a", "effect", "Crash", 2, 2),
        (SO, "Keras", "6", "effect", "Crash", 1, 1),
        (SO, "Keras", "post", "effect", "Crash", 1, 1),
    ]


#: Several tricks per bug, a cause that counts as its parent, and notes whose categories are found in the labels.
OTHER = {
    "dimensions": {
        "cause": "required = true",
        "cause_group": 'rolls_up = "cause"',
        "trick": "multiple = true",
        "note": "open = true",
    },
    "taxonomy": "dimension,name,parent\ncause,Off by one,Logic\ncause,Wrong sign,Logic\ncause,Typo,\n"
    "trick,Sleep,\ntrick,Retry,\n",
}


def _small(study, *sources):
    """Return two bugs of Ebb in one repository and one of Flow."""
    small = study("Ebb", "Flow", sources=sources, **OTHER)
    same = {"source": sources[0], "library": "Ebb", "repository": "a/a", "year": 2020}
    small.label(**same, cause="Off by one", trick=["Sleep", "Retry"], note="late")
    small.label(**same, cause="Wrong sign", trick=["Sleep"])
    small.label(source=sources[-1], library="Flow", item_id="7", year=2021, cause="Typo")
    return small


def test_bugs_with_several_categories_count_once_in_totals(study):
    small = _small(study, "Mail", "Chat", "Forum")

    counts = small.run("label_counts").filter(dimension="trick")
    clusters = small.run("cluster_counts").filter(dimension="trick")
    years = small.run("yearly_counts").filter(dimension="trick", source="both", library="All")

    all_bugs = counts.filter(source="both", library="All").select("category", "bugs", "total")
    assert all_bugs.rows() == [("Sleep", 2, 2), ("Retry", 1, 2)]
    assert counts["source"].unique(maintain_order=True).to_list() == ["Mail", "Chat", "Forum", "both"]
    assert clusters.rows() == [
        ("Mail", "Ebb", "a/a", "trick", "Retry", 1, 2), ("Mail", "Ebb", "a/a", "trick", "Sleep", 2, 2)
    ]  # fmt: skip
    assert years.select("year", "category", "bugs", "total").rows() == [(2020, "Sleep", 2, 2), (2020, "Retry", 1, 2)]


def test_rolled_up_and_open_categories_are_counted(study):
    counts = _small(study, "Mail").run("label_counts").filter(source="both", library="All")

    assert counts.filter(dimension="cause_group").select("category", "bugs", "total").rows() == [
        ("Logic", 2, 3), ("Typo", 1, 3)
    ]  # fmt: skip
    assert counts.filter(dimension="note").select("category", "bugs", "total").rows() == [("late", 1, 1)]


def test_one_source_has_the_counts_of_both(study):
    counts = _small(study, "Mail").run("label_counts")

    columns = ("library", "dimension", "category", "bugs", "total")
    assert counts.filter(source="Mail").select(columns).equals(counts.filter(source="both").select(columns))
    assert counts.height == 2 * 3 * (3 + 2 + 2 + 1)


def test_crosstab_counts_bugs_with_both_categories(study):
    rows = _small(study, "Mail", "Forum").run("crosstab")

    pairs = rows.filter(source="both", library="All", dimension_a="cause_group", dimension_b="trick")
    assert pairs.select("category_a", "category_b", "bugs", "total", "share").rows() == [
        ("Logic", "Retry", 1, 2, 0.5), ("Logic", "Sleep", 2, 2, 1.0)
    ]  # fmt: skip
    assert rows.filter(source="Forum")["dimension_a"].unique().sort().to_list() == ["cause", "cause_group"]


def test_exact_repeats_compare_all_dimensions_if_none_is_required(study):
    small = study(
        "Ebb", sources=("Mail",), dimensions={"harm": "", "trick": "multiple = true"},
        taxonomy="dimension,name\nharm,Loss\nharm,Delay\ntrick,Sleep\ntrick,Retry\n",
    )  # fmt: skip
    for link, harm, trick in (
        ("a", "Loss", ["Sleep", "Retry"]), ("a", "Loss", ["Retry", "Sleep"]), ("a", "Delay", ["Sleep"]),
        ("b", "Loss", ["Sleep"]), ("b", "Delay", ["Sleep"]),
    ):  # fmt: skip
        small.label(source="Mail", library="Ebb", link=link, harm=harm, trick=trick)

    assert small.run("repeats").filter(library="Ebb").rows() == [("Mail", "Ebb", 5, 2, 2, 1)]


def test_counts_of_labels_have_column_lineage():
    specs = load_specs(study=load_study("islam2019"))
    origins = {model.table: column_origins(model, specs) for model in load_models(specs)}
    assert origins["analysis.cluster_counts"]["category"] == [("labeling.bug_labels", "category")]
    assert origins["analysis.yearly_counts"]["year"] == [("labeling.labels", "year")]


def test_a_finding_survives_if_all_its_decided_metrics_survive(study):
    small = study("Keras")
    small.connection.execute(
        """
        create table analysis.finding_sensitivity as
        from (values
            (1, 1, 'as labelled', 'reproduced', true), (1, 2, 'as labelled', 'underpowered', null),
            (1, 1, 'one vote per commit', 'reproduced differently', true),
            (1, 2, 'one vote per commit', 'reproduced', null),
            (2, 3, 'as labelled', 'reproduced', true), (2, 3, 'one vote per commit', 'not reproduced', false),
            (3, 4, 'as labelled', 'not testable', null), (3, 4, 'one vote per commit', 'not testable', null)
        ) as rows (finding, position, variant, verdict, survives)
        """
    )

    assert small.run("finding_survival").rows() == [
        (1, "as labelled", "underpowered", 2, 1, 1, True),
        (1, "one vote per commit", "reproduced differently", 2, 1, 1, True),
        (2, "as labelled", "reproduced", 1, 1, 1, True),
        (2, "one vote per commit", "not reproduced", 1, 1, 0, False),
        (3, "as labelled", "not testable", 1, 0, 0, None),
        (3, "one vote per commit", "not testable", 1, 0, 0, None),
    ]
