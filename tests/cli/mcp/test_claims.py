"""Which claims use a number: those about its dimension and category, and those whose query reads its table."""

import json

import pytest

from dlbug_assets.cli.mcp.claims import uses

LEADS = {"kind": "leads", "text": "Most bugs crash", "dimension": "effect", "category": "Crash"}
WITHIN = {
    "kind": "share",
    "text": "Data bugs crash",
    "dimension": "effect",
    "categories": ["Crash", "Hang"],
    "within": {"dimension": "bug_type", "categories": ["Data Bug"]},
}
QUERY = {"kind": "query", "text": "x", "query": "select count(*) as value from labeling.labels as effect"}


@pytest.mark.parametrize(
    ("claim", "table", "names", "is_input", "expected"),
    [
        (LEADS, "analysis.effect_distribution", ("effect", None), False, True),
        (LEADS, "analysis.effect_distribution", ("effect", "Crash"), False, True),
        (LEADS, "analysis.effect_distribution", ("effect", "Hang"), False, False),
        (LEADS, "analysis.stage_distribution", ("stage", None), False, False),
        (WITHIN, "analysis.crosstab", ("effect", "Hang"), False, True),
        (WITHIN, "analysis.crosstab", ("bug_type", "Data Bug"), False, True),
        (LEADS, "labeling.labels", (None, None), True, True),
        (LEADS, "github.funnel", (None, None), False, False),
        (QUERY, "labeling.labels", ("effect", "Crash"), False, True),
        (QUERY, "labeling.items", (None, None), True, False),
        (QUERY, "analysis.effect_distribution", ("effect", None), True, False),
    ],
)
def test_a_claim_uses_numbers_of_what_it_names_or_reads(claim, table, names, is_input, expected):
    dimension, category = names
    assert uses(json.dumps(claim), table, dimension, category, is_input=is_input) is expected
