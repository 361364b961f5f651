-- one row per finding of the paper and counting variant
with ranked as (
    select
        *,
        list_position(
            ['not reproduced', 'not testable', 'underpowered', 'reproduced differently', 'reproduced'], verdict
        ) as severity
    from analysis.finding_sensitivity
)

select
    finding,
    variant,
    first(verdict order by severity, position) as verdict,
    cast(count(*) as bigint) as metrics,
    cast(count(survives) as bigint) as decided,
    cast(count(*) filter (where survives) as bigint) as surviving,
    -- a finding survives if all its decided metrics keep their outcome; NULL if none is decided
    bool_and(survives) as survives
from ranked
group by finding, variant
order by finding, min(list_position(['as labelled', 'repeats counted once', 'one vote per commit'], variant))
