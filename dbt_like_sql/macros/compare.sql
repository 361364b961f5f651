-- Shares of the categories of a dimension, side by side: one row per pair of sources (or of libraries) and category. Example:
-- from compare('effect'), or from compare('effect', across := 'library', source := 'GitHub'). The difference is share_a -
-- share_b; its 95% interval follows from those of the two shares by clusters, taken as independent (Newcombe 1998,
-- method 10). It is not corrected for the number of comparisons: analysis.source_tests decides whether sources differ.
create or replace macro compare(dimension, across := 'source', source := 'both', library := 'All') as table
with shares as (
    select
        d.*,
        case across when 'source' then d.source else d.library end as name
    from query_table('analysis.' || dimension || '_distribution') as d
    where case across
        when 'source' then d.library = library and d.source <> 'both'
        when 'library' then d.source = source and d.library <> 'All'
        else error('compare: across is ''source'' or ''library''')
    end
)

select
    a.category,
    a.name as a,
    b.name as b,
    a.bugs as bugs_a,
    b.bugs as bugs_b,
    a.total as total_a,
    b.total as total_b,
    a.share as share_a,
    b.share as share_b,
    a.share - b.share as difference,
    difference - sqrt((a.share - a.cluster_low) ** 2 + (b.cluster_high - b.share) ** 2) as difference_low,
    difference + sqrt((a.cluster_high - a.share) ** 2 + (b.share - b.cluster_low) ** 2) as difference_high
from shares as a
inner join shares as b on a.category = b.category and a.name < b.name
