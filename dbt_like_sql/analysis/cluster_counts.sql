-- one row per source, library, cluster, dimension, category
with clustered as (
    select
        labels.source,
        labels.library,
        -- bugs of one repository resemble each other; where it is not known, bugs of one post or commit
        case
            when labels.source = 'GitHub' then coalesce(labels.repository, labels.item_id)
            else coalesce(labels.link, labels.item_id)
        end as cluster,
        labels.bug_type,
        labels.root_cause,
        labels.effect,
        labels.stage,
        labels.antipattern
    from labeling.labels as labels
    inner join reference.libraries as studied on labels.library = studied.library
),

written as (
    select source, library, cluster, 'bug_type' as dimension, bug_type as category from clustered
    union all
    select source, library, cluster, 'root_cause' as dimension, root_cause as category from clustered
    union all
    select source, library, cluster, 'effect' as dimension, effect as category from clustered
    union all
    select source, library, cluster, 'stage' as dimension, stage as category from clustered
    union all
    select source, library, cluster, 'antipattern' as dimension, antipattern as category from clustered
)

select
    source,
    library,
    cluster,
    dimension,
    category,
    cast(count(*) as bigint) as bugs
from written
where trim(category) <> ''
group by source, library, cluster, dimension, category
order by source, library, dimension, cluster, category
