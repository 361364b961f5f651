-- one row per source and library (and `All`)
with scopes as (
    select sources.source, libraries.library, sources.position as source_position, libraries.position
    from reference.sources as sources
    cross join (
        select library, position from reference.libraries
        union all
        select 'All' as library, 1000000 as position
    ) as libraries
),

written as (
    select
        bug_labels.bug_id,
        list((bug_labels.dimension, bug_labels.as_written) order by bug_labels.dimension, bug_labels.as_written) as answers
    from labeling.bug_labels as bug_labels
    inner join reference.dimensions as dimensions on bug_labels.dimension = dimensions.dimension
    where
        dimensions.is_required
        -- a study may require none
        or (dimensions.is_asked and not exists (select * from reference.dimensions where is_required))
    group by bug_labels.bug_id
),

per_answers as (
    select scopes.source, scopes.library, labels.link, written.answers, count(*) as labels
    from scopes
    inner join labeling.labels as labels
        on scopes.source = labels.source
        and (scopes.library = 'All' or scopes.library = labels.library)
    inner join reference.libraries as studied on labels.library = studied.library
    left join written on labels.bug_id = written.bug_id
    group by scopes.source, scopes.library, labels.link, written.answers
),

per_link as (
    select
        source,
        library,
        link,
        sum(labels) as labels,
        -- bugs without a link can't be matched
        case when link is null then 0 else sum(labels - 1) end as exact_repeats
    from per_answers
    group by source, library, link
),

per_scope as (
    select
        source,
        library,
        sum(labels) as labels,
        count(link) as distinct_links,
        count(link) filter (where labels > 1) as repeated_links,
        sum(exact_repeats) as exact_repeats
    from per_link
    group by source, library
)

select
    scopes.source,
    scopes.library,
    cast(coalesce(per_scope.labels, 0) as bigint) as labels,
    cast(coalesce(per_scope.distinct_links, 0) as bigint) as distinct_links,
    cast(coalesce(per_scope.repeated_links, 0) as bigint) as repeated_links,
    cast(coalesce(per_scope.exact_repeats, 0) as bigint) as exact_repeats
from scopes
left join per_scope
    on scopes.source = per_scope.source
    and scopes.library = per_scope.library
order by scopes.source_position, scopes.position
