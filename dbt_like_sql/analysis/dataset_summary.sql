-- one row per library of the study, and one for `Total`
with sizes as (
    select
        library,
        max(items) filter (where source = 'Stack Overflow') as posts,
        coalesce(max(bugs) filter (where source = 'Stack Overflow'), 0) as post_bugs,
        max(items) filter (where source = 'GitHub') as commits,
        coalesce(max(bugs) filter (where source = 'GitHub'), 0) as commit_bugs
    from analysis.dataset_sizes
    group by library
),

-- numbers of items and of bugs of any category, as printed
published as (
    select
        library,
        min_by(value, position) filter (where source = 'Stack Overflow' and unit = 'items') as posts,
        min_by(value, position) filter (where source = 'Stack Overflow' and unit = 'bugs') as post_bugs,
        min_by(value, position) filter (where source = 'GitHub' and unit = 'items') as commits,
        min_by(value, position) filter (where source = 'GitHub' and unit = 'bugs') as commit_bugs
    from reference.published_cells
    where dimension is null and library <> 'All'
    group by library
),

-- printed totals are comparable only if the study covers all libraries of what it compares itself with
published_total as (
    select
        sum(published.posts) as posts,
        sum(published.post_bugs) as post_bugs,
        sum(published.commits) as commits,
        sum(published.commit_bugs) as commit_bugs
    from published
    left join reference.libraries as libraries on published.library = libraries.library
    having count(*) = count(libraries.library)
),

published_beside as (
    select * from published
    union all by name
    select 'All' as library, * from published_total
)

select
    case when sizes.library = 'All' then 'Total' else sizes.library end as library,
    sizes.posts,
    sizes.post_bugs,
    sizes.commits,
    sizes.commit_bugs,
    cast(published_beside.posts as bigint) as published_posts,
    cast(published_beside.post_bugs as bigint) as published_post_bugs,
    cast(published_beside.commits as bigint) as published_commits,
    cast(published_beside.commit_bugs as bigint) as published_commit_bugs
from sizes
left join published_beside on sizes.library = published_beside.library
left join reference.libraries as libraries on sizes.library = libraries.library
order by libraries.position nulls last
