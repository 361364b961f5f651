-- one row per library of the study, and one for `Total`
with posts_read as (
    select library, count(*) as posts from stackoverflow.candidate_posts group by library
),

commits_read as (
    select library, count(*) as commits from github.sampled_commits group by library
),

bugs_found as (
    select
        library,
        count(*) filter (where source = 'Stack Overflow') as post_bugs,
        count(*) filter (where source = 'GitHub') as commit_bugs
    from labeling.labels
    group by library
),

per_library as (
    select
        libraries.library,
        libraries.position,
        -- where a release lists only labelled items, the number of items read is unknown
        case when study.posts_are_a_corpus then coalesce(posts_read.posts, 0) end as posts,
        coalesce(bugs_found.post_bugs, 0) as post_bugs,
        case when study.commits_are_a_corpus then coalesce(commits_read.commits, 0) end as commits,
        coalesce(bugs_found.commit_bugs, 0) as commit_bugs,
        published.so_posts as published_posts,
        published.so_bugs as published_post_bugs,
        published.gh_commits as published_commits,
        published.gh_bugs as published_commit_bugs
    from reference.libraries as libraries
    cross join reference.study as study
    left join posts_read on libraries.library = posts_read.library
    left join commits_read on libraries.library = commits_read.library
    left join bugs_found on libraries.library = bugs_found.library
    left join reference.table1 as published on libraries.library = published.library
),

-- the paper's totals are comparable only if the study covers all libraries of the paper
paper as (
    select
        sum(table1.so_posts) as posts,
        sum(table1.so_bugs) as post_bugs,
        sum(table1.gh_commits) as commits,
        sum(table1.gh_bugs) as commit_bugs
    from reference.table1 as table1
    left join reference.libraries as libraries on table1.library = libraries.library
    having count(*) = count(libraries.library)
),

total as (
    select
        'Total' as library,
        1000000 as position,
        sum(posts) as posts,
        sum(post_bugs) as post_bugs,
        sum(commits) as commits,
        sum(commit_bugs) as commit_bugs
    from per_library
),

total_beside_paper as (
    select
        total.library,
        total.position,
        total.posts,
        total.post_bugs,
        total.commits,
        total.commit_bugs,
        paper.posts as published_posts,
        paper.post_bugs as published_post_bugs,
        paper.commits as published_commits,
        paper.commit_bugs as published_commit_bugs
    from total
    left join paper on true
),

rows_in_order as (
    select * from per_library
    union all by name
    select * from total_beside_paper
)

select
    library,
    cast(posts as bigint) as posts,
    cast(post_bugs as bigint) as post_bugs,
    cast(commits as bigint) as commits,
    cast(commit_bugs as bigint) as commit_bugs,
    cast(published_posts as bigint) as published_posts,
    cast(published_post_bugs as bigint) as published_post_bugs,
    cast(published_commits as bigint) as published_commits,
    cast(published_commit_bugs as bigint) as published_commit_bugs
from rows_in_order
order by position
