-- one row per finding of the paper
with ranked as (
    select
        *,
        list_position(
            ['not reproduced', 'not testable', 'underpowered', 'reproduced differently', 'reproduced'], verdict
        ) as severity
    from analysis.findings
),

-- the least favourable metric decides; ties go to the first
numbered as (
    select
        *,
        row_number() over (partition by finding order by severity, position) as place
    from ranked
),

per_finding as (
    select
        finding,
        count(*) as metrics,
        count(*) filter (where verdict = 'reproduced') as as_printed,
        count(*) filter (where verdict = 'reproduced differently') as differently
    from ranked
    group by finding
)

select
    numbered.finding,
    numbered.verdict,
    numbered.claim
    || ': ' || numbered.verdict
    || case
        when per_finding.metrics = 1 then '. '
        else ' (of ' || per_finding.metrics || ' metrics ' || per_finding.as_printed || ' as printed, '
            || per_finding.differently || ' with other numbers). '
    end
    || numbered.note as summary,
    cast(per_finding.metrics as bigint) as metrics
from numbered
inner join per_finding on numbered.finding = per_finding.finding
where numbered.place = 1
order by numbered.finding
