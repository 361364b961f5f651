-- one row per finding: the verdicts on its headline claim
select
    headline.finding,
    numbers.verdict,
    headline.support,
    headline.probability,
    headline.claim
    || ': ' || coalesce('number ' || numbers.verdict || ', ', '')
    || 'claim ' || headline.support || '. ' || headline.note as summary,
    (select count(*) from analysis.claims as claims where claims.finding = headline.finding) as metrics
from analysis.claims as headline
inner join analysis.findings as numbers on numbers.position = headline.position
where headline.role = 'headline'
order by headline.finding
