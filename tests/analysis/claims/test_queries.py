"""Claims that a query decides: what it may read, and the one row that it has to return."""

import polars as pl
import pytest

from dlbug_assets.analysis.claims.queries import queried_tables
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.claims import QueryClaim

KNOWN = ["analysis.label_counts", "labeling.labels", "analysis.claims", "publishing.completeness"]
COUNTS = pl.DataFrame({"category": ["Crash", "Hang"], "bugs": [30, 12]})


def _claim(query, **keys):
    return QueryClaim(finding=1, text="x", kind="query", query=query, **keys)


def _text(query, printed="42"):
    return f'[[claims]]\nfinding = 1\ntext = "x"\nkind = "query"\nprinted = "{printed}"\nquery = """{query}"""\n'


def _tables(claimed, query):
    return claimed(_text(query), libraries=["Keras"]).tables(**{"analysis.label_counts": COUNTS})


def test_a_query_states_number_verdict_and_bugs(claimed):
    query = "select sum(bugs)::varchar as computed, sum(bugs) > 40 as holds, sum(bugs)::bigint as bugs"

    tables = _tables(claimed, f"{query} from analysis.label_counts")

    assert tables["claims"].select("computed", "number_verdict", "holds", "support", "bugs").row(0) == (
        "42", "reproduced", True, "not testable", 42
    )  # fmt: skip
    assert tables["claims"]["note"].to_list() == ["The query states that it holds; a query is not resampled."]
    assert tables["findings"].select("verdict", "interval_undefined_reason").row(0) == (
        "reproduced", "no single share decides: a query decides"
    )  # fmt: skip


def test_null_is_not_testable(claimed):
    tables = _tables(claimed, "select null as computed, null as holds, 0 as bugs")

    assert tables["claims"].select("number_verdict", "support").row(0) == ("not computable", "not testable")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("select 1 as computed, true as holds", "the query returns computed, holds: select computed, holds, bugs"),
        (
            "select 1 as computed, true as holds, 1 as bugs where false",
            "the query returns no row: a claim needs exactly",
        ),
        ("select 1 as computed, true as holds, 1 as bugs from analysis.label_counts", "returns more than one row"),
        ("select 1 as computed, 'yes' as holds, 1 as bugs", "holds is 'yes': return true or false"),
        ("select 1 as computed, true as holds, 1.5 as bugs", "bugs is .*: return the number of bugs"),
        ("select 1 as computed, true as holds, nothing as bugs", "the query failed: Binder Error"),
        ("select * from 'bugs.csv'", "the query failed: "),
    ],
)
def test_anything_but_one_row_is_an_error_that_names_the_claim(claimed, query, problem):
    with pytest.raises(DlbugError, match=rf"claims\.toml: claims\.0\.query: .*{problem}"):
        _tables(claimed, query)


def test_tables_are_those_that_queries_name():
    queries = ["select * from analysis.label_counts", "with bugs as (from labeling.labels) from bugs", "select 1"]

    assert queried_tables([_claim(query) for query in queries], KNOWN) == {"analysis.label_counts", "labeling.labels"}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("from analysis.label_count", "analysis.label_count is not a table that claims can be made of"
                                      r" \(did you mean 'analysis.label_counts'\?\)"),
        ("from analysis.claims", "analysis.claims is not a table that claims can be made of"),
        ("from publishing.completeness", "publishing.completeness is not a table"),
        ("delete from labeling.labels", "DELETE is refused"),
        ("copy labeling.labels to 'x.csv'", "COPY is refused"),
        ("select * from read_csv('x.csv')", r"read_csv\(\) is refused"),
        ("select 1; select 2", "not a single query"),
        ("selec", "Parser Error"),
    ],
)  # fmt: skip
def test_queries_that_do_more_than_read_the_study_are_refused(query, problem):
    with pytest.raises(DlbugError, match=rf"claims\.toml: claims\.1\.query: .*{problem}"):
        queried_tables([_claim("select 1"), _claim(query)], KNOWN)


def test_a_query_that_runs_too_long_is_stopped(claimed, monkeypatch):
    monkeypatch.setattr("dlbug_assets.analysis.claims.queries._SECONDS", 0.2)

    with pytest.raises(DlbugError, match=r"claims\.0\.query: the query runs longer than 0 seconds"):
        _tables(claimed, "select count(*) as computed, true as holds, 1 as bugs"
                         " from range(1000000) a, range(1000000) b, range(1000) c")  # fmt: skip


def test_a_query_that_needs_too_much_memory_is_stopped(claimed, monkeypatch):
    monkeypatch.setattr("dlbug_assets.analysis.claims.queries._MEMORY", "50MB")

    with pytest.raises(DlbugError, match=r"claims\.0\.query: the query failed: Out of Memory Error"):
        _tables(claimed, "select count(distinct range::varchar || 'x') as computed, true as holds, 1 as bugs"
                         " from range(50000000)")  # fmt: skip
