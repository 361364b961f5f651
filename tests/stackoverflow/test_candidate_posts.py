"""SQL models screening, candidate_posts and funnel, run over handwritten posts."""

from datetime import date, datetime

import duckdb
import pytest

from dlbug_assets.layout import MODELS
from dlbug_assets.warehouse.table_specs import load_specs

SPECS = load_specs()
CODE = "<pre><code>x</code></pre>"
STUDY = {"min_score": 6, "require_code": True, "created_from": None, "created_until": None}


def create(connection, table, rows):
    spec = SPECS[table]
    columns = ", ".join(f"{column.name} {column.data_type}" for column in spec.columns)
    connection.execute(f"create schema if not exists {spec.schema}")
    connection.execute(f"create table {table} ({columns})")
    for row in rows:
        values = [row.get(column) for column in spec.column_names]
        connection.execute(f"insert into {table} values ({', '.join('?' * len(values))})", values)


def model(table):
    return (MODELS / table.replace(".", "/")).with_suffix(".sql").read_text(encoding="utf-8")


def select(*posts, table="stackoverflow.candidate_posts", **study):
    """Return the rows of `table` as dicts; a post meets every criterion that its dict doesn't override."""
    good = {"library": "Keras", "body_html": CODE, "score": 6, "created_at": datetime(2016, 5, 4), "in_scope": True}
    with duckdb.connect() as connection:
        create(connection, "reference.study", [{"name": "tiny", **STUDY, **study}])
        rows = [good | {"post_id": number} | post for number, post in enumerate(posts, start=1)]
        create(connection, "stackoverflow.raw_posts", rows)
        create(
            connection,
            "reference.libraries",
            [{"library": "Keras", "position": 1}, {"library": "Torch", "position": 2}],
        )
        connection.execute(f"create table stackoverflow.screening as {model('stackoverflow.screening')}")
        cursor = connection.execute(model(table))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def candidate_ids(*posts, **study):
    return [row["post_id"] for row in select(*posts, **study)]


def blocks(body):
    """Return code_blocks and code_chars of a body."""
    (row,) = select({"body_html": body}, table="stackoverflow.screening")
    return row["code_blocks"], row["code_chars"]


def test_candidates_have_the_described_columns():
    (row,) = select({"title": "T", "accepted_answer_id": 9, "link": "L", "created_at": datetime(2016, 12, 31, 23, 59)})
    assert row == {
        "library": "Keras",
        "post_id": 1,
        "title": "T",
        "score": 6,
        "created_at": datetime(2016, 12, 31, 23, 59),
        "year": 2016,
        "code_blocks": 1,
        "code_chars": 1,
        "accepted_answer_id": 9,
        "link": "L",
    }
    assert list(row) == list(SPECS["stackoverflow.candidate_posts"].column_names)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("<p>a</p>\n<pre><code>x = 1\n</code></pre>", (1, 6), id="old"),
        pytest.param('<pre class="lang-py prettyprint-override"><code>xyz</code></pre>', (1, 3), id="language hint"),
        pytest.param(
            '<pre class="lang-py s-code-block"><code class="hljs language-py">xy</code></pre>', (1, 2), id="new"
        ),
        pytest.param('<pre\nclass="a"\n>\n  <code\n class="b">x</code>\n</pre>', (1, 1), id="newlines in attributes"),
        pytest.param("<PRE CLASS='a'><Code>x</CODE></pRe>", (1, 1), id="capitals"),
        pytest.param(f"{CODE}<p>then</p>{CODE}\n{CODE}", (3, 3), id="several"),
        pytest.param("<pre><code></code></pre>", (1, 0), id="empty"),
        pytest.param("<pre><code>a\n\nb</code></pre>", (1, 4), id="blank line"),
        pytest.param("<pre><code>a &lt; b</code></pre>", (1, 8), id="entities as written"),
        pytest.param('<pre><code><span class="k">if</span> x</code></pre>', (1, 4), id="tags not counted"),
        pytest.param(f"<p><code>inline</code></p>{CODE}<code>more</code>", (1, 1), id="inline beside a block"),
        pytest.param(f"<blockquote><ul><li>{CODE}</li></ul></blockquote>", (1, 1), id="nested"),
        pytest.param("<p>call <code>fit(x)</code></p>", (0, 0), id="inline only"),
        pytest.param("<pre>x = 1</pre>", (0, 0), id="pre without code"),
        pytest.param("<pre>x</pre><p><code>y</code></p>", (0, 0), id="pre, then inline code"),
        pytest.param(f"<pre>log</pre><p><code>y</code></p>{CODE}", (1, 1), id="pre, inline code, then a block"),
        pytest.param("&lt;pre&gt;&lt;code&gt;x&lt;/code&gt;&lt;/pre&gt;", (0, 0), id="escaped"),
        pytest.param("<p>Größe</p><pre><code>größe</code></pre>", (1, 5), id="characters, not bytes"),
        pytest.param("<pre>log: <code>x</code></pre>", (1, 1), id="code after text in a pre"),
        pytest.param(f"<pre><code>a</code> b</pre><p>prose</p>{CODE}", (2, 2), id="text after code in a pre"),
        pytest.param("<prefix><code>x</code></prefix><pre><codes>x</codes></pre>", (0, 0), id="same prefix"),
        pytest.param("", (0, 0), id="empty body"),
    ],
)
def test_a_code_block_is_a_pre_that_contains_code(body, expected):
    assert blocks(body) == expected
    assert candidate_ids({"body_html": body}) == ([1] if expected[0] else [])


def test_a_post_without_code_is_a_candidate_where_code_is_not_required():
    assert candidate_ids({"body_html": "<p>why?</p>"}, {}) == [2]
    assert candidate_ids({"body_html": "<p>why?</p>"}, {}, require_code=False) == [1, 2]


def test_the_minimum_score_is_inclusive_and_a_null_score_fails():
    assert candidate_ids({"score": 5}, {"score": 6}, {"score": 7}, {"score": None}, {"score": -6}) == [2, 3]
    assert candidate_ids({"score": -1}, {"score": 0}, min_score=0) == [2]


def test_both_end_days_are_inclusive():
    times = (
        datetime(2016, 2, 29, 23, 59, 59, 999999),
        datetime(2016, 3, 1),
        datetime(2016, 3, 31, 23, 59, 59, 999999),
        datetime(2016, 4, 1),
    )
    posts = [{"created_at": time} for time in times]
    assert candidate_ids(*posts, created_from=date(2016, 3, 1), created_until=date(2016, 3, 31)) == [2, 3]
    assert candidate_ids(*posts, created_from=date(2016, 3, 1)) == [2, 3, 4]
    assert candidate_ids(*posts, created_until=date(2016, 3, 31)) == [1, 2, 3]
    assert candidate_ids(*posts) == [1, 2, 3, 4]
    assert candidate_ids(*posts, created_from=date(2016, 4, 1), created_until=date(2016, 4, 1)) == [4]


def test_a_post_that_is_out_of_scope_or_deleted_is_excluded():
    assert candidate_ids({"in_scope": False}, {"deleted_at": datetime(2020, 1, 1)}, {}) == [3]


def test_a_post_without_a_body_has_no_code():
    assert candidate_ids({"body_html": None}, {}) == [2]


def test_a_post_of_two_libraries_is_a_candidate_of_both():
    found = select({"library": "Theano"}, {"post_id": 1}, {"post_id": 0})
    assert [(row["library"], row["post_id"]) for row in found] == [("Keras", 0), ("Keras", 1), ("Theano", 1)]


def test_unknown_values_fail_their_criterion_and_stay_unknown():
    unknown = {"body_html": None, "score": None, "created_at": None}
    (row,) = select(unknown, table="stackoverflow.screening")
    assert row == {
        "library": "Keras",
        "post_id": 1,
        "is_in_scope": False,
        "has_code": None,
        "is_candidate": False,
        "code_blocks": None,
        "code_chars": None,
    }


@pytest.mark.parametrize(("require_code", "candidates"), [(True, 2), (False, 3)])
def test_the_funnel_counts_the_questions_after_each_step(require_code, candidates):
    posts = [{}, {}, {"body_html": "<p>why?</p>"}, {"score": 5}, {"deleted_at": datetime(2020, 1, 1)}]
    assert select(*posts, table="stackoverflow.funnel", require_code=require_code) == [
        {"library": "Keras", "collected": 5, "in_scope": 3, "with_code": 2, "candidates": candidates},
        {"library": "Torch", "collected": 0, "in_scope": 0, "with_code": 0, "candidates": 0},
    ]
