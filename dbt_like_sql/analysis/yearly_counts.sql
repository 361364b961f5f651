-- one row per source (and `both`), library (and `All`), year, dimension and category
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

bugs as (
    select
        labels.source,
        labels.library,
        labels.year,
        labels.year_low,
        labels.year_high,
        bug_labels.dimension,
        bug_labels.category,
        bug_labels.position
    from labeling.bug_labels as bug_labels
    inner join labeling.labels as labels on bug_labels.bug_id = labels.bug_id
    inner join reference.libraries as studied on labels.library = studied.library
),

years as (
    select distinct year from bugs
    where year is not null
),

-- a bug whose post may be of several years is in each of them
labelled as (
    select source, library, year, dimension, category, position, true as is_certain
    from bugs
    where year is not null
    union all
    select bugs.source, bugs.library, years.year, bugs.dimension, bugs.category, bugs.position, false as is_certain
    from bugs
    inner join years
        on
            years.year >= coalesce(bugs.year_low, years.year)
            and years.year <= coalesce(bugs.year_high, years.year)
    where bugs.year is null and coalesce(bugs.year_low, bugs.year_high) is not null
),

counted as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        year,
        dimension,
        category,
        count(*) filter (where is_certain) as bugs,
        count(*) as bugs_high
    from labelled
    group by year, dimension, category, cube (source, library)
),

-- a bug with several categories counts once; only years with bugs: without bugs a share is undefined
totals as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        year,
        dimension,
        count(*) filter (where is_certain) as total,
        count(*) as total_high
    from labelled
    where position = 1
    group by year, dimension, cube (source, library)
    having total > 0
)

select
    totals.source,
    totals.library,
    cast(totals.year as integer) as year,
    totals.dimension,
    categories.category,
    cast(coalesce(counted.bugs, 0) as bigint) as bugs,
    cast(totals.total as bigint) as total,
    cast(coalesce(counted.bugs_high, 0) as bigint) as bugs_high,
    cast(totals.total_high as bigint) as total_high
from totals
inner join sources on totals.source = sources.source
inner join libraries on totals.library = libraries.library
inner join reference.dimensions as dimensions on totals.dimension = dimensions.dimension
inner join labeling.categories as categories on totals.dimension = categories.dimension
left join counted
    on totals.source = counted.source
    and totals.library = counted.library
    and totals.year = counted.year
    and totals.dimension = counted.dimension
    and categories.category = counted.category
order by sources.position, libraries.position, totals.year, dimensions.position, categories.position
