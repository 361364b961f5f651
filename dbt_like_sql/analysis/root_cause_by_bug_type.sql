-- one row per source (and `both`), bug type and root cause
with sources as (
    select name as source, position from reference.taxonomy where dimension = 'source'
    union all
    select 'both' as source, 1000 as position
),

bug_types as (
    select name as bug_type, position from reference.taxonomy where dimension = 'bug_type'
),

root_causes as (
    select name as root_cause, position from reference.taxonomy where dimension = 'root_cause'
),

counted as (
    select
        case when grouping(labels.source) = 1 then 'both' else labels.source end as source,
        labels.bug_type,
        labels.root_cause,
        count(*) as bugs
    from labeling.labels as labels
    inner join reference.libraries as studied on labels.library = studied.library
    where trim(labels.bug_type) <> '' and trim(labels.root_cause) <> ''
    group by labels.bug_type, labels.root_cause, cube (labels.source)
),

dense as (
    select
        sources.source,
        bug_types.bug_type,
        root_causes.root_cause,
        coalesce(counted.bugs, 0) as bugs,
        sources.position as source_position,
        bug_types.position as bug_type_position,
        root_causes.position as root_cause_position
    from sources
    cross join bug_types
    cross join root_causes
    left join counted
        on sources.source = counted.source
        and bug_types.bug_type = counted.bug_type
        and root_causes.root_cause = counted.root_cause
),

with_totals as (
    select *, sum(bugs) over (partition by source, bug_type) as total from dense
)

select
    source,
    bug_type,
    root_cause,
    cast(bugs as bigint) as bugs,
    cast(total as bigint) as total,
    cast(bugs / nullif(total, 0) as double) as share,
    case when total = 0 then 'no bug of this type has a root cause' end as undefined_reason
from with_totals
order by source_position, bug_type_position, root_cause_position
