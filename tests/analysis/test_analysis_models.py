"""SQL models of the schema analysis, run unchanged."""

import polars as pl
import pytest

from dlbug_assets.analysis.distributions import yearly_evolution
from dlbug_assets.asset_factories.sql_models import column_origins, load_models
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema
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


def test_bugs_of_uncertain_years_may_be_of_each_possible_one(study):
    small = study("Keras", "Caffe")
    for year, effect in ((2015, "Crash"), (2015, "Hang"), (2016, "Crash"), (2018, "Hang")):
        small.label(source=SO, library="Keras", effect=effect, year=year, year_low=year, year_high=year)
    small.label(source=SO, library="Keras", effect="Crash", year_low=2015, year_high=2016)
    small.label(source=SO, library="Keras", effect="Hang", year_high=2015)
    small.label(source=SO, library="Keras", effect="Hang", year_low=2016)
    small.label(source=SO, library="Caffe", effect="Crash", year_low=2015, year_high=2016)
    small.label(source=SO, library="Keras", effect="Crash")  # nothing is known about the year

    rows = yearly_evolution(small.run("yearly_counts")).filter(source=SO, library="Keras", category="Crash")

    columns = ("year", "bugs", "total", "bugs_high", "total_high", "share_at_least", "share_at_most")
    assert rows.select(columns).rows() == [
        (2015, 1, 2, 2, 4, 1 / 3, 2 / 3),
        (2016, 1, 1, 2, 3, 1 / 2, 1),
        (2018, 0, 1, 0, 2, 0, 0),
    ]
    # Caffe has no bug that is surely of a year.
    assert small.run("yearly_counts")["library"].unique().sort().to_list() == ["All", "Keras"]


def test_yearly_counts_without_years_are_empty(study):
    small = study("Keras")
    small.label(source=SO, library="Keras", effect="Crash")

    assert small.run("yearly_counts").height == 0


def test_the_headline_decides_a_finding(study):
    claims, numbers = [], []
    for finding, position, role, verdict, support, probability in (
        (1, 1, "supporting", "not reproduced", "contradicted", 0.01),
        (1, 2, "headline", "reproduced", "supported", 0.97),
        (2, 3, "headline", "not testable", "not testable", None),
        (2, 4, "supporting", "reproduced", "supported", 1.0),
        # Nothing is printed.
        (3, 5, "headline", None, "undecided", 0.5),
    ):
        row = {"finding": finding, "position": position, "claim": f"Claim {position}"}
        claims.append(row | {"role": role, "support": support, "probability": probability, "note": f"N{position}."})
        numbers.append(row | {"verdict": verdict})
    small = study("Keras")
    small.put("analysis.claims", pl.DataFrame(claims, schema=table_schema("analysis.claims")))
    small.put("analysis.findings", pl.DataFrame(numbers, schema=table_schema("analysis.findings")))

    assert small.run("finding_verdicts").rows() == [
        (1, "reproduced", "supported", 0.97, "Claim 2: number reproduced, claim supported. N2.", 2),
        (2, "not testable", "not testable", None, "Claim 3: number not testable, claim not testable. N3.", 2),
        (3, None, "undecided", 0.5, "Claim 5: claim undecided. N5.", 1),
    ]


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


def test_a_finding_survives_with_its_headline(study):
    once = "one vote per commit"
    columns = ("finding", "position", "role", "variant", "verdict", "survives")
    rows = [
        (1, 1, "headline", "as labelled", "reproduced", True),
        (1, 2, "supporting", "as labelled", "reproduced", True),
        (1, 1, "headline", once, "reproduced differently", True),
        (1, 2, "supporting", once, "not reproduced", False),
        (2, 3, "headline", "as labelled", "reproduced", True),
        (2, 3, "headline", once, "not reproduced", False),
        (3, 4, "headline", "as labelled", "not testable", None),
        (3, 5, "supporting", "as labelled", "reproduced", True),
        # The headline is a query.
        (4, 7, "supporting", "as labelled", None, True),
    ]
    small = study("Keras")
    schema = table_schema("analysis.finding_sensitivity")
    small.put(
        "analysis.finding_sensitivity",
        pl.DataFrame([dict(zip(columns, row, strict=True)) for row in rows], schema=schema),
    )

    assert small.run("finding_survival").rows() == [
        (1, "as labelled", "reproduced", 2, 2, 2, True),
        (1, once, "reproduced differently", 2, 2, 1, True),
        (2, "as labelled", "reproduced", 1, 1, 1, True),
        (2, once, "not reproduced", 1, 1, 0, False),
        (3, "as labelled", "not testable", 2, 1, 1, None),
        (4, "as labelled", None, 1, 1, 1, None),
    ]
