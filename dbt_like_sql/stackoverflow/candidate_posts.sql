-- one row per library and question that passes the study's selection
with pres as (
    select
        library,
        post_id,
        regexp_extract_all(body_html, '(?is)<pre(?:\s[^>]*)?>(.*?)</pre>', 1) as contents
    from stackoverflow.raw_posts
),

blocks as (
    -- A code block is a pre with code in it, whatever attributes either carries; inline code alone is no snippet.
    select
        library,
        post_id,
        list_transform(
            list_filter(contents, lambda content: regexp_matches(content, '(?is)<code(?:\s[^>]*)?>.*</code>')),
            lambda content: regexp_extract(content, '(?is)<code(?:\s[^>]*)?>(.*)</code>', 1)
        ) as codes
    from pres
),

measured as (
    select
        library,
        post_id,
        len(codes) as code_blocks,
        coalesce(list_sum(list_transform(codes, lambda code: length(regexp_replace(code, '<[^>]*>', '', 'g')))), 0)
            as code_chars
    from blocks
)

select
    post.library,
    post.post_id,
    post.title,
    post.score,
    post.created_at,
    year(post.created_at) as year,
    measured.code_blocks,
    measured.code_chars,
    post.accepted_answer_id,
    post.link
from stackoverflow.raw_posts as post
inner join measured on post.library = measured.library and post.post_id = measured.post_id
cross join reference.study as study
where post.in_scope
    and post.deleted_at is null
    and post.score >= study.min_score
    and (measured.code_blocks > 0 or not study.require_code)
    and (study.created_from is null or post.created_at >= study.created_from)
    and (study.created_until is null or post.created_at < study.created_until + interval 1 day)
order by post.library, post.post_id
