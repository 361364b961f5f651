"""Which claims of a study use a number."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dlbug_assets.warehouse.ad_hoc import tables_read

#: The columns of analysis.claims that say what became of a claim, and its definition.
CLAIMS = """select finding, role, claim, metric, printed, computed, number_verdict, support, note, definition
from analysis.claims inner join (select position, definition from reference.claims) using (position)
order by position"""


def uses(definition: str, table: str, dimension: str | None, category: str | None, *, is_input: bool) -> bool:
    """Return whether a claim, given its definition as JSON, uses numbers of a table.

    A claim with a query of its own uses the tables that it reads. Any other is about the bugs of a dimension: it uses
    numbers of that dimension, and of the categories that it names. Where ``dimension`` is None, the table is not about
    one, and all these claims use it if it is an input of them (``is_input``).
    """
    content = json.loads(definition)
    if "query" in content:
        return table in tables_read(content["query"])
    texts = set(_texts(content))
    if dimension is None:
        return is_input
    return dimension in texts and (category is None or category in texts)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(each)
