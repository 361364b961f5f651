-- one row per corpus
select
    'posts' as corpus,
    count(*) as rows,
    max(retrieved_at) as last_refresh
from stackoverflow.raw_posts
union all
select
    'commits' as corpus,
    (select count(*) from github.fix_commits) as rows,
    max(retrieved_at) as last_refresh
from github.repositories
order by corpus
