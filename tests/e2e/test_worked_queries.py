"""The queries of docs/queries.md, as they stand there, on the sample study."""

import re

import pytest

from dlbug_assets.layout import PROJECT

PAGE = (PROJECT / "docs" / "queries.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^([^\n]+[:.])\n\n```sql\n(.*?)```", PAGE, flags=re.M | re.S)


def test_there_are_as_many_as_the_title_says():
    assert PAGE.startswith("# Fifteen queries\n")
    assert len(QUERIES) == PAGE.count("```sql") == 15


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[title[:40] for title, _ in QUERIES])
def test_a_query_has_an_answer_in_the_columns_it_names(sample, query):
    answer = sample.query(query)
    assert answer.height > 0
    assert not [name for name in answer.columns if "(" in name]
    # A column in which there is nothing would be of no use to anybody.
    assert [name for name in answer.columns if answer[name].null_count() == answer.height] == []


def test_the_python_that_is_shown_reads_the_labels(sample):
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    names = {}
    exec(shown.replace("warehouse/islam2019.duckdb", str(sample.home.published)), names)  # noqa: S102 - our own page
    assert names["labels"].height == sample.query("from labeling.labels").height
