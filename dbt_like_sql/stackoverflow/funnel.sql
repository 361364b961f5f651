-- one row per library: number of questions remaining after each selection step
select
    libraries.library,
    count(screening.post_id) as collected,
    count(*) filter (where screening.is_in_scope) as in_scope,
    count(*) filter (where screening.is_in_scope and screening.has_code) as with_code,
    count(*) filter (where screening.is_candidate) as candidates
from reference.libraries as libraries
left join stackoverflow.screening as screening on libraries.library = screening.library
group by libraries.library, libraries.position
order by libraries.position
