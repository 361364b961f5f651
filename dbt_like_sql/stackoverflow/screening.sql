-- one row per library and collected question: the selection criteria it meets
with pres as (
    select
        library,
        post_id,
        regexp_extract_all(body_html, '(?is)<pre(?:\s[^>]*)?>(.*?)</pre>', 1) as contents
    from stackoverflow.raw_posts
),

blocks as (
    -- A code block is a <pre> element that contains <code>, with any attributes; inline code does not count.
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
        -- unknown where the body is
        len(codes) as code_blocks,
        case
            when codes is not null
                then
                    coalesce(
                        list_sum(list_transform(codes, lambda code: length(regexp_replace(code, '<[^>]*>', '', 'g')))),
                        0
                    )
        end as code_chars
    from blocks
),

judged as (
    select
        post.library,
        post.post_id,
        -- a value that the source lacks fails the criterion
        coalesce(
            post.in_scope
            and post.deleted_at is null
            and post.score >= study.min_score
            and post.created_at is not null
            and (study.created_from is null or post.created_at >= study.created_from)
            and (study.created_until is null or post.created_at < study.created_until + interval 1 day),
            false
        ) as is_in_scope,
        study.require_code
    from stackoverflow.raw_posts as post
    cross join reference.study as study
)

select
    judged.library,
    judged.post_id,
    judged.is_in_scope,
    measured.code_blocks > 0 as has_code,
    judged.is_in_scope and (coalesce(measured.code_blocks > 0, false) or not judged.require_code) as is_candidate,
    measured.code_blocks,
    measured.code_chars
from judged
inner join measured on judged.library = measured.library and judged.post_id = measured.post_id
order by judged.library, judged.post_id
