-- one row per source, library, cluster, dimension and category
with labelled as (
    select
        clusters.source,
        clusters.library,
        clusters.cluster,
        bug_labels.bug_id,
        bug_labels.dimension,
        bug_labels.category
    from analysis.clusters as clusters
    inner join labeling.bug_labels as bug_labels on clusters.bug_id = bug_labels.bug_id
),

-- a bug with several categories counts once
totals as (
    select source, library, cluster, dimension, count(distinct bug_id) as total
    from labelled
    group by source, library, cluster, dimension
)

select
    labelled.source,
    labelled.library,
    labelled.cluster,
    labelled.dimension,
    labelled.category,
    cast(count(*) as bigint) as bugs,
    cast(any_value(totals.total) as bigint) as total
from labelled
inner join totals
    on labelled.source = totals.source
    and labelled.library = totals.library
    and labelled.cluster = totals.cluster
    and labelled.dimension = totals.dimension
group by labelled.source, labelled.library, labelled.cluster, labelled.dimension, labelled.category
order by labelled.source, labelled.library, labelled.dimension, labelled.cluster, labelled.category
