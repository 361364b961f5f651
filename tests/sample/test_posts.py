"""Synthetic posts: of about the paper's sizes, with the markup and the irregularities of real ones."""

import html
import re
from datetime import date, datetime

import polars as pl
import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.sample import posts as sample

LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
#: Table 1 of the paper.
SIZES = {"Caffe": 183, "Keras": 567, "Tensorflow": 1558, "Theano": 231, "Torch": 177}
FIRST_DAYS = {
    "Caffe": date(2014, 1, 1),
    "Keras": date(2015, 1, 1),
    "Tensorflow": date(2015, 1, 1),
    "Theano": date(2010, 1, 1),
    "Torch": date(2008, 9, 15),
}
BLOCK = re.compile(r"<pre[^>]*>\s*<code[^>]*>(.*?)</code>\s*</pre>", re.DOTALL)


@pytest.fixture(scope="module")
def study():
    return load_study("sample")


@pytest.fixture(scope="module")
def posts(study):
    return pl.concat([sample.posts(study, library) for library in LIBRARIES])


@pytest.fixture(scope="module")
def answers(study):
    return pl.concat([sample.answers(study, library) for library in LIBRARIES])


def licence_of(moment):
    if moment < datetime(2011, 4, 8):
        return "CC BY-SA 2.5"
    return "CC BY-SA 3.0" if moment < datetime(2018, 5, 2) else "CC BY-SA 4.0"


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_has_the_papers_number_of_posts_with_code_and_some_without(study, library):
    bodies = sample.posts(study, library)["body_html"]
    candidates = sum(bool(BLOCK.search(body)) for body in bodies)
    assert candidates == pytest.approx(SIZES[library], rel=0.03)
    assert (len(bodies) - candidates) / candidates == pytest.approx(0.15, abs=0.03)


def test_scores_start_at_the_minimum_and_are_skewed(study, posts):
    assert min(posts["score"]) == study.selection.min_score == 6
    assert posts["score"].median() < 15
    assert max(posts["score"]) > 50


def test_posts_have_old_and_new_markup_or_only_inline_code(posts):
    bodies = posts["body_html"].to_list()
    for opening in (
        "<pre><code>",
        '<pre class="lang-py prettyprint-override"><code>',
        '<pre class="lang-py s-code-block"><code class="hljs language-python">',
    ):
        assert sum(opening in body for body in bodies) > 100
    without = [body for body in bodies if not BLOCK.search(body)]
    assert not any("<pre" in body for body in without)
    assert sum("<code>" in body for body in without) > 50
    assert sum("<code>" not in body for body in without) > 40
    assert {len(BLOCK.findall(body)) for body in bodies} == {0, 1, 2, 3}


def test_code_is_escaped_as_html(posts, answers):
    blocks = [code for body in (*posts["body_html"], *answers["body_html"]) for code in BLOCK.findall(body)]
    assert not any("<" in code or ">" in code for code in blocks)
    assert not any(re.search(r"&(?!amp;|lt;|gt;)", code) for code in blocks)
    assert any("<batch>" in html.unescape(code) for code in blocks)
    assert any("&amp;&amp;" in code for code in blocks)


def test_templates_of_titles_and_bodies_are_filled(posts, answers):
    for text in (*posts["title"], *posts["body_html"], *answers["body_html"]):
        assert text.strip()
    assert all(title[0].isupper() for title in posts["title"])
    assert not any(re.search(r"\{(library|layer|other|thing|trouble)\}", text) for text in posts["body_html"])


def test_a_post_with_two_libraries_is_the_same_for_both(study, posts):
    tag_of = {library.name: library.tags[0] for library in study.libraries}
    under = posts.group_by("post_id").agg("library", rows=pl.len())
    shared = under.filter(pl.col("rows") == 2)
    assert max(under["rows"]) == 2
    assert 0.02 < shared.height / under.height < 0.05
    alike = posts.drop("library").filter(pl.col("post_id").is_in(shared["post_id"].implode()))
    assert alike.unique().height == shared.height
    tags = dict(posts.select("post_id", "tags").iter_rows())
    for post_id, libraries, _ in under.iter_rows():
        assert set(tags[post_id]) & set(tag_of.values()) == {tag_of[library] for library in libraries}
        assert len(set(tags[post_id])) == len(tags[post_id])


def test_the_answers_of_a_shared_post_are_the_same_for_both_libraries(answers):
    assert answers.unique("answer_id").height == answers.unique().height < answers.height


def test_ids_are_unique_across_questions_and_answers_and_rise_with_time(posts, answers):
    questions = posts.unique("post_id").sort("created_at", "post_id")
    assert questions["post_id"].is_sorted()
    assert questions["post_id"].n_unique() == questions.height
    ids = {*posts["post_id"], *answers["answer_id"]}
    assert len(ids) == questions.height + answers["answer_id"].n_unique()
    assert answers.filter(pl.col("answer_id") <= pl.col("post_id")).is_empty()
    assert min(ids) >= 1


def test_answer_counts_and_accepted_answers_match_the_answers(study):
    for library in LIBRARIES:
        questions, answers = sample.posts(study, library), sample.answers(study, library)
        counted = answers.group_by("post_id").agg(
            written=pl.len(), accepted=pl.col("answer_id").filter("is_accepted"), last=pl.col("created_at").max()
        )
        both = questions.join(counted, on="post_id", how="left")
        assert set(answers["post_id"]) <= set(questions["post_id"])
        assert both["answer_count"].to_list() == both["written"].fill_null(0).to_list()
        accepted = both["accepted"].fill_null([]).to_list()
        assert accepted == [[] if number is None else [number] for number in both["accepted_answer_id"]]
        latest = both.select(pl.max_horizontal("created_at", "last")).to_series()
        assert both["last_activity_at"].to_list() == latest.to_list()
        assert min(questions["answer_count"]) == 0


def test_answers_are_not_older_than_their_questions(posts, answers):
    asked = posts.unique("post_id").select("post_id", asked="created_at")
    both = answers.join(asked, on="post_id", how="left")
    assert both["asked"].null_count() == 0
    assert both.filter(pl.col("created_at") < pl.col("asked")).is_empty()


@pytest.mark.parametrize("library", LIBRARIES)
def test_dates_are_within_the_selection_and_the_librarys_lifetime(study, library):
    questions, answers = sample.posts(study, library), sample.answers(study, library)
    assert min(questions["created_at"]).date() >= FIRST_DAYS[library]
    assert max(questions["created_at"]).date() <= date(2018, 12, 31)
    assert max(answers["created_at"]) < datetime(2019, 1, 1)
    # Posts become more frequent: more than half of them are in the second half of the period.
    middle = FIRST_DAYS[library] + (date(2018, 12, 31) - FIRST_DAYS[library]) / 2
    assert sum(questions["created_at"].dt.date() > middle) > 0.6 * questions.height


def test_licences_depend_on_the_date(posts, answers):
    for frame in (posts, answers):
        assert frame["content_license"].to_list() == [licence_of(moment) for moment in frame["created_at"]]
    assert answers["content_license"].n_unique() == posts["content_license"].n_unique() == 3


@pytest.mark.slow
def test_a_narrow_selection_and_its_minimum_score_are_respected(study):
    days = {"created_from": date(2017, 3, 1), "created_until": date(2017, 3, 2), "min_score": 2}
    narrow = study.model_copy(update={"selection": study.selection.model_copy(update=days)})
    found = pl.concat([sample.posts(narrow, library) for library in LIBRARIES])
    assert set(found["created_at"].dt.date()) == {date(2017, 3, 1), date(2017, 3, 2)}
    assert min(found["score"]) == 2
    assert max(sample.answers(narrow, "Keras")["created_at"]) < datetime(2017, 3, 3)
    assert found["post_id"].n_unique() == found.unique(found.columns[1:]).height


@pytest.mark.parametrize(
    ("first", "last"), [(date(2009, 1, 1), date(2009, 12, 31)), (date(2023, 1, 1), date(2023, 6, 30))]
)
def test_a_selection_outside_of_a_librarys_lifetime_has_posts(study, first, last):
    days = {"created_from": first, "created_until": last}
    other = study.model_copy(update={"selection": study.selection.model_copy(update=days)})
    created = sample.posts(other, "Keras")["created_at"].dt.date()
    assert first <= min(created) <= max(created) <= last


def test_libraries_that_are_not_in_the_paper_have_the_mean_of_its_sizes():
    study = load_study("modern")
    for library in ("PyTorch", "JAX", "scikit-learn"):
        found = sample.posts(study, library)
        candidates = sum(bool(BLOCK.search(body)) for body in found["body_html"])
        assert candidates == pytest.approx(sum(SIZES.values()) / 5, rel=0.03)
        assert set(found["library"]) == {library}
    assert {"pytorch", "jax"} & set(found["tags"].explode()) == {"pytorch", "jax"}


def test_a_study_of_one_library_has_no_shared_posts(study):
    alone = study.model_copy(update={"libraries": study.libraries[:1]})
    assert sample.posts(alone, "Caffe").height == 183 + 27


def test_another_seed_has_other_posts(study, posts):
    other = study.model_copy(update={"study": study.study.model_copy(update={"seed": 2020})})
    assert set(sample.posts(other, "Caffe")["owner_hash"]).isdisjoint(posts["owner_hash"])


def study_of(first, last):
    study = load_study("sample")
    days = {"created_from": first, "created_until": last}
    return study.model_copy(update={"selection": study.selection.model_copy(update=days)})


def test_no_question_is_older_than_the_site():
    study = study_of(date(2005, 1, 1), date(2012, 1, 1))
    found = pl.concat([sample.posts(study, library) for library in study.library_names])
    assert min(found["created_at"].dt.date()) >= date(2008, 9, 15)
    assert max(found["created_at"].dt.date()) <= date(2012, 1, 1)
    assert min(found["post_id"]) >= 1


def test_a_selection_that_ends_before_the_site_opened_has_no_posts_and_no_answers():
    for first in (None, date(2001, 1, 1)):
        study = study_of(first, date(2005, 1, 1))
        assert sample.posts(study, "Torch").is_empty()
        assert sample.answers(study, "Torch").is_empty()
        assert sample.posts(study, "Torch").schema == sample.posts(load_study("sample"), "Torch").schema
