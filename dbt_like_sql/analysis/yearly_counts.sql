-- one row per source (and `both`), library (and `All`), year, dimension and category
with sources as (
    select name as source, position from reference.taxonomy where dimension = 'source'
    union all
    select 'both' as source, 1000 as position
),

libraries as (
    select library, position from reference.libraries
    union all
    select 'All' as library, 1000000 as position
),

categories as (
    select
        dimension,
        name as category,
        position,
        list_position(['bug_type', 'root_cause', 'effect', 'stage', 'antipattern'], dimension) as dimension_position
    from reference.taxonomy
    where dimension in ('bug_type', 'root_cause', 'effect', 'stage', 'antipattern')
),

dated_labels as (
    select labels.*
    from labeling.labels as labels
    inner join reference.libraries as studied on labels.library = studied.library
    where labels.year is not null
),

written as (
    select source, library, year, dimension, category
    from dated_labels
    unpivot (category for dimension in (bug_type, root_cause, effect, stage, antipattern))
),

counted as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        year,
        dimension,
        category,
        count(*) as bugs
    from written
    where trim(category) <> ''
    group by year, dimension, category, cube (source, library)
),

-- only years with bugs: without bugs a share is undefined
totals as (
    select source, library, year, dimension, sum(bugs) as total
    from counted
    group by source, library, year, dimension
),

dense as (
    select
        totals.source,
        totals.library,
        totals.year,
        totals.dimension,
        categories.category,
        coalesce(counted.bugs, 0) as bugs,
        totals.total,
        sources.position as source_position,
        libraries.position as library_position,
        categories.dimension_position,
        categories.position as category_position
    from totals
    inner join sources on totals.source = sources.source
    inner join libraries on totals.library = libraries.library
    inner join categories on totals.dimension = categories.dimension
    left join counted
        on totals.source = counted.source
        and totals.library = counted.library
        and totals.year = counted.year
        and totals.dimension = counted.dimension
        and categories.category = counted.category
)

select
    source,
    library,
    cast(year as integer) as year,
    dimension,
    category,
    cast(bugs as bigint) as bugs,
    cast(total as bigint) as total
from dense
order by source_position, library_position, year, dimension_position, category_position
