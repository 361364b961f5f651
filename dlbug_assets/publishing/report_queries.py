"""The queries of the report: each number on the page is in the rows of one of them, and the page shows which.

They follow the study; `dlbug sql` runs them unchanged.
"""

import functools
import re
from collections.abc import Callable, Mapping

import polars as pl

from dlbug_assets.protocol.names import slug
from dlbug_assets.protocol.published_cells import BOTH_SOURCES
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing import tables
from dlbug_assets.publishing.contents import main_dimension, printed_correlation, printed_evolution
from dlbug_assets.publishing.figures import figures
from dlbug_assets.warehouse.table_specs import load_specs

#: The verdicts on each finding: those on its headline claim. Where nothing is printed there is none on its number.
FINDINGS = """
select verdicts.finding, verdicts.verdict, verdicts.support, headline.claim
from analysis.finding_verdicts as verdicts
inner join analysis.claims as headline on headline.finding = verdicts.finding and headline.role = 'headline'
order by verdicts.finding
""".strip()

_EVERY_STUDY = {
    "info": "from publishing.study_info",
    "sizes": "from analysis.dataset_sizes",
    "repeats": "select * from analysis.repeats where labels > 0",
    "dependence": """
select
    count(*) > count(distinct coalesce(link, item_id)) as shares_items,
    count(repository) > count(distinct repository) as shares_repositories
from labeling.labels""",
    "kappas": """
select kappas.dimension, kappas.checkpoint, kappas.units, kappas.kappa, kappas.kappa_low, kappas.kappa_high,
    kappas.kappa_boot_low, kappas.kappa_boot_high, kappas.alpha, kappas.reached_target, kappas.undefined_reason
from labeling.kappa_checkpoints as kappas
left join reference.dimensions as dimensions on dimensions.dimension = kappas.dimension
where kappas.source = 'all' and kappas.scope = 'cumulative'
    and kappas."round" = (select max(newest."round") from labeling.kappa_checkpoints as newest)
qualify kappas.checkpoint = min(kappas.checkpoint) over (partition by kappas.dimension)
    or kappas.checkpoint = max(kappas.checkpoint) over (partition by kappas.dimension)
    or kappas.checkpoint = 10
order by dimensions.position nulls first, kappas.checkpoint""",
    "disagreements": """
select found.dimension, count(*) as disagreements, count(found.adjudicated_label) as decided
from labeling.disagreements as found
left join reference.dimensions as dimensions on dimensions.dimension = found.dimension
group by found.dimension, dimensions.position
order by dimensions.position nulls first""",
    "years": """
select
    labels.source, count(*) as labels, count(labels."year") as dated,
    count(labels."year") filter (labels.year_source = 'estimated') as estimated,
    count(*) filter (labels."year" is null and labels.year_source is not null) as uncertain
from labeling.labels as labels
left join reference.sources as sources on sources.source = labels.source
group by labels.source, sources.position
order by sources.position""",
    "repeat_agreement": """
select basis, source, dimension, pairs, agreements, observed_agreement, kappa, kappa_low, kappa_high, underpowered,
    coalesce(undefined_reason, interval_undefined_reason) as undefined_reason
from analysis.repeat_agreement
where pairs > 0""",
    "rater_labels": "select count(*) as answers from labeling.rater_labels",
    "further_labels": """
select sum(agreements) as agreements, sum(pairs) as pairs
from analysis.repeat_agreement
where basis = 'leftover sheet' and source <> 'both'
having sum(pairs) > 0""",
}
_COLLECTED = {
    "refreshes": "from publishing.corpus_refreshes order by corpus",
    "completeness": "from publishing.completeness order by library, source desc",
}
_POSTS = {
    "tags": "select library, array_to_string(tags, ', ') as tags from reference.libraries order by position",
}
_POST_CORPUS = {"selection": "from stackoverflow.funnel"}
_COMMITS = {
    "sampled_incomplete": """
select library, count(*) as commits
from github.sampled_commits
where not is_from_complete_corpus
group by library
order by library""",
}
_RELEASED = {"mappings": "select dimension, written, category, reason from reference.taxonomy_mappings"}
_STRATIFIED = {
    "stratified_tests": """
select dimension, libraries, shift, p_clusters, cmh, cmh_df, p_cmh, undefined_reason
from analysis.stratified_tests""",
}
_CLAIMS = {
    "claims": """
select position, finding, claim, metric, role, printed, computed, number_verdict, support, probability, at_threshold,
    bugs, note
from analysis.claims
order by finding, position""",
    "history": """
with conclusions as (
    select
        *,
        lag(number_verdict) over claims as number_before,
        lag(support) over claims as support_before
    from analysis.claim_history
    where revision = 1 or changes_conclusion
    window claims as (partition by finding, claim, repetition order by revision)
)

select
    stated.position, conclusions.published_at as since, conclusions.number_before, conclusions.support_before
from (
    select position, finding, claim, row_number() over (partition by finding, claim order by position) as repetition
    from analysis.claims
) as stated
inner join conclusions using (finding, claim, repetition)
qualify conclusions.revision = max(conclusions.revision) over (partition by stated.position)
order by stated.position""",
    "findings": """
select position, verdict, estimator, decisive, interval_low, interval_high
from analysis.findings
order by position""",
    "verdict_counts": """
select about, verdict, count(*) as findings
from (
    unpivot (select verdict as "number", support as claim from analysis.finding_verdicts)
    on "number", claim into name about value verdict
)
group by about, verdict
order by about desc, list_position(
    [
        'reproduced', 'reproduced differently', 'not reproduced', 'supported', 'contradicted', 'undecided',
        'not testable'
    ],
    verdict
)""",
    "verdicts": FINDINGS,
    "leave_one_out": """
select position, left_out, units, deciding, largest, largest_bugs
from analysis.leave_one_out
where deciding > 0
order by position, left_out""",
    "thresholds": """
select supported_from, contradicted_to, is_used, supported, contradicted, undecided, not_testable
from analysis.claim_thresholds
order by supported_from, contradicted_to""",
    "survival": """
select finding, variant, verdict, decided, surviving, survives
from analysis.finding_survival
where variant <> 'as labelled'
order by finding, variant""",
}
_PRINTED = {
    "diff_counts": """
select
    reference, count(*) as cells, count(*) filter (same_when_rounded) as same,
    count(*) filter (not same_when_rounded) as differ, count(*) filter (computed is null) as not_computed,
    count(*) filter (not same_when_rounded and explanation is not null) as explained,
    count(*) filter (computed is not null and same_when_rounded is null) as measured
from analysis.replication_diff
group by reference
order by min(position)""",
    "diff_totals": """
select
    count(*) as cells, count(*) filter (same_when_rounded) as same, count(*) filter (not same_when_rounded) as differ,
    count(*) filter (not same_when_rounded and explanation is not null) as explained
from analysis.replication_diff""",
    "differing": """
select
    reference, dimension, category, within_category, library, library_b, source, "year", unit, published, computed,
    difference, decimals, reconstructed, explanation
from analysis.replication_diff
where not same_when_rounded
order by position""",
    "nearer_correlations": """
select
    nearest.reference, stated.dimension as stated, stated.mean_difference as stated_difference,
    nearest.dimension as nearest, nearest.mean_difference as nearest_difference
from analysis.printed_correlations as nearest
inner join analysis.printed_correlations as stated
    on stated.reference = nearest.reference and stated.source = nearest.source
where nearest.fits_best and stated.is_stated and not nearest.is_stated
order by nearest.reference, nearest.source""",
    "first_batch": """
select
    reference, count(*) as numbers, count(*) filter (released_fits) as of_all, count(*) filter (fits) as of_batch
from analysis.first_batch
group by reference
order by min(position)""",
    "reconstruction": """
select reference, "column", edit, concerns, evidence, gain, is_chosen
from analysis.reconstruction
order by reference, "column", is_chosen desc, gain desc, edit""",
}


def queries(study: Study) -> Mapping[str, str]:
    """Return all queries of a study's report by name."""
    return _queries(study)


@functools.cache
def _queries(study: Study) -> Mapping[str, str]:
    specs = load_specs(study=study)
    sources = study.sources
    parts = [
        _EVERY_STUDY,
        {"shares": _shares(study)},
        _COLLECTED if sources.posts or sources.commits else {},
        _POSTS if sources.posts else {},
        _POST_CORPUS if sources.posts not in (None, "release") else {},
        _COMMITS if sources.commits else {},
        _RELEASED if sources.labels == "release" else {},
        _comparison(study) if "analysis.source_tests" in specs else {},
        _STRATIFIED if "analysis.stratified_tests" in specs else {},
        _residuals(study) if "analysis.source_residuals" in specs else {},
        _correlation(study) if len(study.libraries) > 1 else {},
        {"trends": _trends(study)},
        _CLAIMS if study.files.claims else {},
        _PRINTED if study.published else {},
        tables.queries(study),
        {figure.name: figure.query for figure in figures(study)},
    ]
    return {name: query.strip() for part in parts for name, query in part.items()}


def report_tables(study: Study) -> tuple[str, ...]:
    """Return the tables that the queries read; the report depends on them."""
    read = (re.findall(r"\b(?:from|join)\s+(\w+\.\w+)", query) for query in queries(study).values())
    return tuple(sorted({table for found in read for table in found}))


def run_queries(query: Callable[[str], pl.DataFrame], study: Study) -> Mapping[str, pl.DataFrame]:
    """Return the rows of every query of a study's report by its name; ``query`` runs one."""
    return {name: query(sql) for name, sql in queries(study).items()}


def _shares(study: Study) -> str:
    pooled = "library = 'All' and source <> 'both' and bugs > 0"
    return "\nunion all\n".join(
        f"select '{name}' as dimension, * from analysis.{name}_distribution\nwhere {pooled}"
        for name in study.dimension_names
    )


def _comparison(study: Study) -> Mapping[str, str]:
    slugs = [slug(name) for name in study.source_names]
    means = [f"mean_share_{name}" for name in slugs]
    return {
        "comparison": f"""
select dimension, category, {", ".join(means)}, p_paper, p_paper_rounded, p_published, p_holm, rejects,
    undefined_reason
from analysis.source_comparison
where {" or ".join(f"{mean} > 0" for mean in means)}""",
        "source_tests": f"""
select library, dimension, {", ".join(f"bugs_{name}, clusters_{name}" for name in slugs)}, decision, p_holm,
    p_clusters, p_benjamini_hochberg, p_score, cramers_v, chi_square, p_permutation, p_fisher, family,
    coalesce(undefined_reason, undecided_reason) as reason
from analysis.source_tests""",
    }


def _residuals(study: Study) -> Mapping[str, str]:
    bugs = ", ".join(f"bugs_{slug(name)}" for name in study.source_names)
    return {
        "residuals": f"""
select library, dimension, category, {bugs}, residual, p_clusters
from analysis.source_residuals
where differs
order by dimension, library = 'All' desc, library, p_clusters, category"""
    }


def _correlation(study: Study) -> Mapping[str, str]:
    printed = printed_correlation(study)
    dimension = main_dimension(study, printed).name
    of_pairs = f"source = '{_quoted(printed.source if printed else BOTH_SOURCES)}' and dimension = '{dimension}'"
    return {
        "correlation": f"""
select library_a, library_b, pearson, pearson_low, pearson_high, pearson_clr, spearman, spearman_low, spearman_high,
    jensen_shannon, jensen_shannon_low, jensen_shannon_high, pearson_without_largest, most_influential,
    coalesce(undefined_reason, interval_undefined_reason) as undefined_reason
from analysis.library_correlation
where {of_pairs}""",
        "left_out": f"""
select distinct left_out
from analysis.library_correlation
where {of_pairs} and left_out is not null""",
    }


def _trends(study: Study) -> str:
    """Return the query of the trends of all categories over all libraries, and of the two most frequent in each."""
    printed = printed_evolution(study)
    dimension = main_dimension(study, printed).name
    source = _quoted(printed.source if printed else BOTH_SOURCES)
    return f"""
with frequent as (
    select category
    from analysis.trends
    where source = '{source}' and dimension = '{dimension}' and library = 'All'
    order by bugs desc, category
    limit 2
)

select library, category, years, first_year, last_year, bugs, total, clusters, share_first, share_last,
    cluster_statistic, direction, p_clusters, p_holm, p_benjamini_hochberg, family,
    coalesce(undefined_reason, underpowered_reason) as reason
from analysis.trends
where source = '{source}' and dimension = '{dimension}' and bugs > 0
    and (library = 'All' or category in (select frequent.category from frequent))
order by category, library = 'All' desc, library"""


def _quoted(name: str) -> str:
    return name.replace("'", "''")
