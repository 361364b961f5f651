-- one row per source (and `both`), library (and `All`), and pair of categories of two dimensions that occurs
with labelled as (
    select labels.source, labels.library, bug_labels.bug_id, bug_labels.dimension, bug_labels.category
    from labeling.bug_labels as bug_labels
    inner join labeling.labels as labels on bug_labels.bug_id = labels.bug_id
    inner join reference.libraries as studied on labels.library = studied.library
),

pairs as (
    select
        a.source,
        a.library,
        a.bug_id,
        a.dimension as dimension_a,
        a.category as category_a,
        b.dimension as dimension_b,
        b.category as category_b
    from labelled as a
    inner join labelled as b on a.bug_id = b.bug_id and a.dimension <> b.dimension
),

counted as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        dimension_a,
        category_a,
        dimension_b,
        category_b,
        count(*) as bugs
    from pairs
    group by dimension_a, category_a, dimension_b, category_b, cube (source, library)
),

-- a bug with several categories of the second dimension counts once
totals as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        dimension_a,
        category_a,
        dimension_b,
        count(distinct bug_id) as total
    from pairs
    group by dimension_a, category_a, dimension_b, cube (source, library)
)

select
    counted.source,
    counted.library,
    counted.dimension_a,
    counted.category_a,
    counted.dimension_b,
    counted.category_b,
    cast(counted.bugs as bigint) as bugs,
    cast(totals.total as bigint) as total,
    cast(counted.bugs / totals.total as double) as share
from counted
inner join totals
    on counted.source = totals.source
    and counted.library = totals.library
    and counted.dimension_a = totals.dimension_a
    and counted.category_a = totals.category_a
    and counted.dimension_b = totals.dimension_b
order by
    counted.source, counted.library, counted.dimension_a, counted.category_a, counted.dimension_b, counted.category_b
