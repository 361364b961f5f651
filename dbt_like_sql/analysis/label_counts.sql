-- one row per source (and `both`), library (and `All`), dimension and category
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
        -- the order of the paper's research questions
        list_position(['bug_type', 'root_cause', 'effect', 'stage', 'antipattern'], dimension) as dimension_position
    from reference.taxonomy
    where dimension in ('bug_type', 'root_cause', 'effect', 'stage', 'antipattern')
),

labels_of_the_study as (
    select labels.*
    from labeling.labels as labels
    inner join reference.libraries as studied on labels.library = studied.library
),

written as (
    select source, library, dimension, category
    from labels_of_the_study
    unpivot (category for dimension in (bug_type, root_cause, effect, stage, antipattern))
),

counted as (
    select
        case when grouping(source) = 1 then 'both' else source end as source,
        case when grouping(library) = 1 then 'All' else library end as library,
        dimension,
        category,
        count(*) as bugs
    from written
    where trim(category) <> ''
    group by dimension, category, cube (source, library)
),

dense as (
    select
        sources.source,
        libraries.library,
        categories.dimension,
        categories.category,
        coalesce(counted.bugs, 0) as bugs,
        sources.position as source_position,
        libraries.position as library_position,
        categories.dimension_position,
        categories.position as category_position
    from sources
    cross join libraries
    cross join categories
    left join counted
        on sources.source = counted.source
        and libraries.library = counted.library
        and categories.dimension = counted.dimension
        and categories.category = counted.category
)

select
    source,
    library,
    dimension,
    category,
    cast(bugs as bigint) as bugs,
    cast(sum(bugs) over (partition by source, library, dimension) as bigint) as total
from dense
order by source_position, library_position, dimension_position, category_position
