-- one row per source and library
with
latest_collections as (
    select
        library,
        max_by(state, collection) as state,
        max_by(unread_reason, collection) as unread_reason,
        max(finished_at) as finished_at
    from stackoverflow.collections
    group by library
),

posts as (
    select library, max(retrieved_at) as retrieved_at
    from stackoverflow.raw_posts
    group by library
),

left_out as (
    -- a refresh may receive the same row again
    select library, count(distinct coalesce(cast(post_id as varchar), content)) as rows
    from stackoverflow.irregularities
    where reason like '%left out%'
    group by library
),

queries as (
    select
        libraries.library,
        case
            when not study.posts_are_a_corpus then false
            when collections.library is null then posts.library is null
            else collections.state = 'unread'
        end as is_unread,
        collections.unread_reason,
        coalesce(left_out.rows, 0) as rows_set_aside,
        coalesce(collections.finished_at, posts.retrieved_at) as as_of
    from reference.libraries as libraries
    cross join reference.study as study
    left join latest_collections as collections on collections.library = libraries.library
    left join posts on posts.library = libraries.library
    left join left_out on left_out.library = libraries.library
),

repositories as (
    select
        library,
        count(*) as followed,
        count(*) filter (state = 'unread') as unread,
        count(*) filter (state in ('gone', 'blocked')) as refused,
        count(*) filter (state <> 'unread' and unread_reason is not null) as outdated,
        string_agg(full_name || ': ' || unread_reason, '; ' order by full_name)
            filter (unread_reason is not null) as unread_reason,
        max(retrieved_at) as retrieved_at
    from github.repositories
    group by library
),

visits as (
    select library, max(finished_at) as finished_at
    from github.collections
    group by library
)

select
    'Stack Overflow' as source,
    library,
    1 as followed,
    if(is_unread, 0, 1) as read,
    if(is_unread, 1, 0) as unread,
    0 as refused,
    0 as outdated,
    rows_set_aside,
    if(is_unread, coalesce(unread_reason, 'not collected yet'), null) as unread_reason,
    as_of
from queries
where 'Stack Overflow' in (select sources.source from reference.sources as sources)
union all
select
    'GitHub' as source,
    libraries.library,
    coalesce(repositories.followed, if(study.commits_are_a_corpus, 1, 0)) as followed,
    coalesce(repositories.followed - repositories.unread - repositories.refused, 0) as read,
    coalesce(repositories.unread, if(study.commits_are_a_corpus, 1, 0)) as unread,
    coalesce(repositories.refused, 0) as refused,
    coalesce(repositories.outdated, 0) as outdated,
    0 as rows_set_aside,
    if(
        repositories.library is null and study.commits_are_a_corpus,
        'no repository is known: none was found, or it was not collected yet',
        repositories.unread_reason
    ) as unread_reason,
    coalesce(visits.finished_at, repositories.retrieved_at) as as_of
from reference.libraries as libraries
cross join reference.study as study
left join repositories on repositories.library = libraries.library
left join visits on visits.library = libraries.library
where 'GitHub' in (select sources.source from reference.sources as sources)
order by source, library
