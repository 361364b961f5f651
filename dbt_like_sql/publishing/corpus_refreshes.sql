-- one row per corpus
select
    'posts' as corpus,
    (select count(*) from stackoverflow.raw_posts) as rows,
    -- a collection that found nothing new also counts as a refresh
    greatest(
        (select max(retrieved_at) from stackoverflow.raw_posts),
        (select max(finished_at) from stackoverflow.collections)
    ) as last_refresh
union all
select
    'commits' as corpus,
    (select count(*) from github.fix_commits) as rows,
    max(retrieved_at) as last_refresh
from github.repositories
order by corpus
