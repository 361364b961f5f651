"""The queries of docs/queries.md, run on the sample study."""

import re

import pytest

from dlbug_assets.layout import PROJECT

PAGE = (PROJECT / "docs" / "queries.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^([^\n]+[:.])\n\n```sql\n(.*?)```", PAGE, flags=re.M | re.S)


def test_the_title_has_the_number_of_queries():
    assert PAGE.startswith("# Sixteen queries\n")
    assert len(QUERIES) == PAGE.count("```sql") == 16


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[title[:40] for title, _ in QUERIES])
def test_a_query_returns_rows_with_named_and_filled_columns(sample, query):
    result = sample.query(query)
    assert result.height > 0
    assert not [name for name in result.columns if "(" in name]
    # A column of nulls only would be useless.
    assert [name for name in result.columns if result[name].null_count() == result.height] == []


def test_the_python_example_reads_the_labels(sample):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    names = {}
    exec(example.replace("warehouse/islam2019.duckdb", str(sample.home.published)), names)  # noqa: S102 - our own page
    assert names["labels"].height == sample.query("from labeling.labels").height
