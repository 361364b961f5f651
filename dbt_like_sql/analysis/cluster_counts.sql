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
)

select
    clustered.source,
    clustered.library,
    clustered.cluster,
    bug_labels.dimension,
    bug_labels.category,
    cast(count(*) as bigint) as bugs
from clustered
inner join labeling.bug_labels as bug_labels on clustered.bug_id = bug_labels.bug_id
group by clustered.source, clustered.library, clustered.cluster, bug_labels.dimension, bug_labels.category
order by clustered.source, clustered.library, bug_labels.dimension, clustered.cluster, bug_labels.category
