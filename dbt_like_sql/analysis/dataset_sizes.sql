-- one row per source (and `both`) and library (and `All`)
with items_read as (
    select 'Stack Overflow' as source, library, count(*) as items from stackoverflow.candidate_posts group by library
    union all
    select 'GitHub' as source, library, count(*) as items from github.sampled_commits group by library
),

-- where a release lists only labelled items, the number of items read is unknown
corpora as (
    select 'Stack Overflow' as source from reference.study where posts_are_a_corpus
    union all
    select 'GitHub' as source from reference.study where commits_are_a_corpus
),

labelled as (
    select source, library, count(distinct item_id) as items_with_bugs, count(*) as bugs
    from labeling.labels
    group by source, library
),

per_source_and_library as (
    select
        sources.source,
        libraries.library,
        sources.position as source_position,
        libraries.position as library_position,
        case when corpora.source is not null then coalesce(items_read.items, 0) end as items,
        coalesce(labelled.items_with_bugs, 0) as items_with_bugs,
        coalesce(labelled.bugs, 0) as bugs
    from reference.sources as sources
    cross join reference.libraries as libraries
    left join corpora on sources.source = corpora.source
    left join items_read on sources.source = items_read.source and libraries.library = items_read.library
    left join labelled on sources.source = labelled.source and libraries.library = labelled.library
)

select
    case when grouping(source) = 1 then 'both' else source end as source,
    case when grouping(library) = 1 then 'All' else library end as library,
    cast(case when count(items) = count(*) then sum(items) end as bigint) as items,
    cast(sum(items_with_bugs) as bigint) as items_with_bugs,
    cast(sum(bugs) as bigint) as bugs
from per_source_and_library
group by cube ((source, source_position), (library, library_position))
order by source_position nulls last, library_position nulls last
