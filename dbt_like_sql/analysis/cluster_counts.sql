-- one row per source, library, cluster, dimension and category
with clustered as (
    select
        labels.bug_id,
        labels.source,
        labels.library,
        -- bugs from one repository are not independent; without a repository or link, the item is the cluster
        coalesce(labels.repository, labels.link, labels.item_id) as cluster
    from labeling.labels as labels
    inner join reference.libraries as studied on labels.library = studied.library
),

labelled as (
    select
        clustered.source,
        clustered.library,
        clustered.cluster,
        bug_labels.bug_id,
        bug_labels.dimension,
        bug_labels.category
    from clustered
    inner join labeling.bug_labels as bug_labels on clustered.bug_id = bug_labels.bug_id
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
