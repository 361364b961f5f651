-- one row per library and question that meets the study's selection criteria
select
    post.library,
    post.post_id,
    post.title,
    post.score,
    post.created_at,
    year(post.created_at) as year,
    screening.code_blocks,
    screening.code_chars,
    post.accepted_answer_id,
    post.link
from stackoverflow.screening as screening
inner join stackoverflow.raw_posts as post
    on screening.library = post.library and screening.post_id = post.post_id
where screening.is_candidate
order by post.library, post.post_id
