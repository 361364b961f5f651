-- one row per printed cell: reference, category, library and source
with published_shares as (
    select 'table2' as reference, 'bug_type' as dimension, category, library, source, percent
    from reference.table2_bug_type
    union all
    select 'table3' as reference, 'root_cause' as dimension, category, library, source, percent
    from reference.table3_root_cause
    union all
    select 'table4' as reference, 'effect' as dimension, category, library, source, percent
    from reference.table4_effect
),

published_p as (
    select 'table2_p' as reference, 'bug_type' as dimension, category, p_value from reference.table2_p
    union all
    select 'table3_p' as reference, 'root_cause' as dimension, category, p_value from reference.table3_p
    union all
    select 'table4_p' as reference, 'effect' as dimension, category, p_value from reference.table4_p
),

-- a P value replicates a printed one only if it is computed over the paper's libraries
other_libraries as (
    select count(*) as number
    from reference.table1 as table1
    full outer join reference.libraries as libraries on table1.library = libraries.library
    where table1.library is null or libraries.library is null
),

share_cells as (
    select
        published.reference,
        published.dimension,
        published.category,
        published.library,
        published.source,
        published.percent as published,
        -- a single division of integers keeps an exact half exact, so that it rounds as in the paper
        100 * counts.bugs / nullif(counts.total, 0) as computed,
        counts.bugs,
        counts.total,
        0 as decimals
    from published_shares as published
    left join analysis.label_counts as counts
        on published.dimension = counts.dimension
        and published.category = counts.category
        and published.library = counts.library
        and published.source = counts.source
),

p_cells as (
    select
        published.reference,
        published.dimension,
        published.category,
        'All' as library,
        'both' as source,
        published.p_value as published,
        case when other_libraries.number = 0 then comparison.p_paper_rounded end as computed,
        cast(null as bigint) as bugs,
        cast(null as bigint) as total,
        4 as decimals
    from published_p as published
    cross join other_libraries
    left join analysis.source_comparison as comparison
        on published.dimension = comparison.dimension
        and published.category = comparison.category
),

cells as (
    select * from share_cells
    union all
    select * from p_cells
)

select
    cells.reference,
    cells.dimension,
    cells.category,
    cells.library,
    cells.source,
    cast(cells.published as double) as published,
    cast(cells.computed as double) as computed,
    cast(cells.computed - cells.published as double) as difference,
    abs(round(cast(cells.computed as double), cells.decimals) - cells.published) < 1e-9 as same_when_rounded,
    cast(cells.bugs as bigint) as bugs,
    cast(cells.total as bigint) as total
from cells
left join reference.taxonomy as categories
    on cells.dimension = categories.dimension
    and cells.category = categories.name
left join reference.taxonomy as sources
    on sources.dimension = 'source'
    and cells.source = sources.name
order by cells.reference, categories.position, cells.category, cells.library, sources.position
