-- one row per finding of the paper and counting variant
select
    finding,
    variant,
    -- the headline decides; a finding whose headline is a query has none here
    any_value(verdict) filter (where role = 'headline') as verdict,
    count(*) as metrics,
    count(survives) as decided,
    count(*) filter (where survives) as surviving,
    any_value(survives) filter (where role = 'headline') as survives
from analysis.finding_sensitivity
group by finding, variant
order by finding, min(list_position(['as labelled', 'repeats counted once', 'one vote per commit', 'first batch'], variant))
