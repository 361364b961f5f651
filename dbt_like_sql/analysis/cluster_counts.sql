-- one row per source, library, cluster, dimension and category
with clustered as (
    select
        labels.source,
        labels.library,
        -- bugs from one repository are not independent; without a repository or link, the item is the cluster
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
    select source, library, cluster, dimension, category
    from clustered
    unpivot (category for dimension in (bug_type, root_cause, effect, stage, antipattern))
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
