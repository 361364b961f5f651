-- one row per source (and `both`), bug type and root cause
with sources as (
    select source, position from reference.sources
    union all
    select 'both' as source, 1000 as position
),

counted as (
    select source, category_a as bug_type, category_b as root_cause, bugs, total
    from analysis.crosstab
    where library = 'All' and dimension_a = 'bug_type' and dimension_b = 'root_cause'
),

totals as (
    select source, bug_type, max(total) as total from counted group by source, bug_type
)

select
    sources.source,
    bug_types.category as bug_type,
    root_causes.category as root_cause,
    cast(coalesce(counted.bugs, 0) as bigint) as bugs,
    cast(coalesce(totals.total, 0) as bigint) as total,
    cast(coalesce(counted.bugs, 0) / totals.total as double) as share,
    case when totals.total is null then 'no bug of this type has a root cause' end as undefined_reason
from sources
cross join labeling.categories as bug_types
cross join labeling.categories as root_causes
left join totals on sources.source = totals.source and bug_types.category = totals.bug_type
left join counted
    on sources.source = counted.source
    and bug_types.category = counted.bug_type
    and root_causes.category = counted.root_cause
where bug_types.dimension = 'bug_type' and root_causes.dimension = 'root_cause'
order by sources.position, bug_types.position, root_causes.position
