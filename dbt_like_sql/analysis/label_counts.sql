-- one row per source (and `both`), library (and `All`), dimension and category
with sources as (
    select source, position from reference.sources
    union all
    select 'both' as source, 1000 as position
),

libraries as (
    select library, position from reference.libraries
    union all
    select 'All' as library, 1000000 as position
),

labelled as (
    select labels.source, labels.library, bug_labels.bug_id, bug_labels.dimension, bug_labels.category
    from labeling.bug_labels as bug_labels
    inner join labeling.labels as labels on bug_labels.bug_id = labels.bug_id
    inner join reference.libraries as studied on labels.library = studied.library
),

counted as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        dimension,
        category,
        count(*) as bugs
    from labelled
    group by dimension, category, cube (source, library)
),

-- a bug with several categories counts once
totals as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        dimension,
        count(distinct bug_id) as total
    from labelled
    group by dimension, cube (source, library)
)

select
    sources.source,
    libraries.library,
    categories.dimension,
    categories.category,
    cast(coalesce(counted.bugs, 0) as bigint) as bugs,
    cast(coalesce(totals.total, 0) as bigint) as total
from sources
cross join libraries
cross join labeling.categories as categories
inner join reference.dimensions as dimensions on categories.dimension = dimensions.dimension
left join counted
    on sources.source = counted.source
    and libraries.library = counted.library
    and categories.dimension = counted.dimension
    and categories.category = counted.category
left join totals
    on sources.source = totals.source
    and libraries.library = totals.library
    and categories.dimension = totals.dimension
order by sources.position, libraries.position, dimensions.position, categories.position
