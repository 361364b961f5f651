"""The queries of the report: each number on the page is in the rows of one of them, and the page shows which.

`dlbug sql` runs them unchanged.
"""

import re
from collections.abc import Callable, Mapping

import polars as pl

from dlbug_assets.publishing import tables
from dlbug_assets.publishing.figures import FIGURES

_IN_ORDER = "list_position(['is_bug', 'bug_type', 'root_cause', 'effect', 'stage', 'antipattern'], dimension)"

_PAGE_QUERIES = {
    "info": "from publishing.study_info",
    "study": "from reference.study",
    "libraries": "select library, array_to_string(tags, ', ') as tags from reference.libraries order by position",
    "refreshes": "from publishing.corpus_refreshes order by corpus",
    "completeness": "from publishing.completeness order by library, source desc",
    "sampled_incomplete": """
select library, count(*) as commits
from github.sampled_commits
where not is_from_complete_corpus
group by library
order by library""",
    "mappings": "select dimension, written, category, reason from reference.taxonomy_mappings",
    "selection": "from stackoverflow.funnel",
    "kappas": f"""
select dimension, checkpoint, units, kappa, kappa_low, kappa_high, kappa_boot_low, kappa_boot_high, alpha,
    reached_target, undefined_reason
from labeling.kappa_checkpoints
where source = 'all' and scope = 'cumulative'
    and "round" = (select max(newest."round") from labeling.kappa_checkpoints as newest)
qualify checkpoint = min(checkpoint) over (partition by dimension)
    or checkpoint = max(checkpoint) over (partition by dimension)
    or checkpoint = 10
order by {_IN_ORDER}, checkpoint""",
    "disagreements": f"""
select dimension, count(*) as disagreements, count(adjudicated_label) as decided
from labeling.disagreements
group by dimension
order by {_IN_ORDER}""",
    "verdict_counts": """
select verdict, count(*) as findings
from analysis.finding_verdicts
group by verdict
order by list_position(
    ['reproduced', 'reproduced differently', 'not reproduced', 'underpowered', 'not testable'], verdict
)""",
    "verdicts": """
select verdicts.finding, verdicts.verdict, cast(split_part(min(printed.section), '.', 1) as integer) as chapter
from analysis.finding_verdicts as verdicts
inner join reference.findings as printed on printed.number = verdicts.finding
group by verdicts.finding, verdicts.verdict
order by verdicts.finding""",
    "findings": "select * from analysis.findings order by finding, position",
    "comparison": """
select dimension, category, mean_share_stack_overflow, mean_share_github, p_paper, p_paper_rounded, p_published,
    p_holm, rejects, undefined_reason
from analysis.source_comparison
where mean_share_stack_overflow > 0 or mean_share_github > 0""",
    "shares": """
select 'bug_type' as dimension, * from analysis.bug_type_distribution
where library = 'All' and source <> 'both' and bugs > 0
union all
select 'root_cause' as dimension, * from analysis.root_cause_distribution
where library = 'All' and source <> 'both' and bugs > 0
union all
select 'effect' as dimension, * from analysis.effect_distribution
where library = 'All' and source <> 'both' and bugs > 0""",
    "source_tests": """
select library, dimension, bugs_stack_overflow, bugs_github, chi_square, p_permutation, p_fisher, p_clusters,
    cramers_v, p_holm, p_benjamini_hochberg, family, undefined_reason
from analysis.source_tests""",
    "residuals": """
select library, dimension, category, bugs_stack_overflow, bugs_github, residual, bound
from analysis.source_residuals
where differs
order by dimension, library = 'All' desc, library, abs(residual) desc, category""",
    "correlation": """
select library_a, library_b, pearson, pearson_low, pearson_high, spearman, spearman_low, spearman_high,
    jensen_shannon, jensen_shannon_low, jensen_shannon_high, pearson_without_largest, most_influential,
    coalesce(undefined_reason, interval_undefined_reason) as undefined_reason
from analysis.library_correlation
where source = 'Stack Overflow' and dimension = 'bug_type'""",
    "left_out": """
select distinct left_out
from analysis.library_correlation
where source = 'Stack Overflow' and dimension = 'bug_type' and left_out is not null""",
    "trends": """
select library, category, years, first_year, last_year, bugs, total, share_first, share_last, statistic, direction,
    p_monte_carlo, p_holm, p_benjamini_hochberg, family, coalesce(undefined_reason, underpowered_reason) as reason
from analysis.trends
where source = 'Stack Overflow' and dimension = 'bug_type'
    and (category in ('Structural Logic Bug', 'Data Bug') or library = 'All') and bugs > 0
order by category, library = 'All' desc, library""",
    "survival": """
select finding, variant, verdict, decided, surviving, survives
from analysis.finding_survival
where variant <> 'as labelled'
order by finding, variant""",
    "repeat_agreement": """
select source, dimension, pairs, agreements, observed_agreement, kappa, kappa_low, kappa_high, underpowered,
    undefined_reason
from analysis.repeat_agreement
where pairs > 0""",
    "diff_counts": """
select
    reference, count(*) as cells, count(*) filter (same_when_rounded) as same,
    count(*) filter (not same_when_rounded) as differ, count(*) filter (computed is null) as not_computed,
    count(*) filter (not same_when_rounded and explanation is not null) as explained
from analysis.replication_diff
where reading = 'printed'
group by reference
order by min(position)""",
    "differing": """
select
    reference, coalesce(category, library_b, unit) as category, library, source, decimals, published, computed,
    difference, explanation
from analysis.replication_diff
where not same_when_rounded
order by position""",
    "repeats": "select * from analysis.repeats where labels > 0",
}

#: All queries of the page by name.
QUERIES = {
    **{name: query.strip() for name, query in _PAGE_QUERIES.items()},
    **tables.QUERIES,
    **{figure.name: figure.query for figure in FIGURES},
}

#: The tables that the queries read; the report depends on them.
REPORT_TABLES = tuple(
    sorted({table for query in QUERIES.values() for table in re.findall(r"\b(?:from|join)\s+(\w+\.\w+)", query)})
)


def run_queries(query: Callable[[str], pl.DataFrame]) -> Mapping[str, pl.DataFrame]:
    """Return the rows of every query by its name; ``query`` runs one."""
    return {name: query(sql) for name, sql in QUERIES.items()}
