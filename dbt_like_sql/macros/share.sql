-- Shares of the categories of a dimension, with the number of bugs and 95% intervals: one row per source (and `both`) and
-- category. Example: from share('bug_type', library := 'Keras', source := 'GitHub'). Without a category, all of them; without
-- a source, all of them; without a library, those of all libraries together. share_low and share_high take bugs as
-- independent (Wilson), cluster_low and cluster_high take clusters as the unit.
create or replace macro share(dimension, category := null, library := 'All', source := null) as table
select
    d.source,
    d.library,
    d.category,
    d.bugs,
    d.total,
    d.share,
    d.share_low,
    d.share_high,
    d.cluster_low,
    d.cluster_high,
    coalesce(d.undefined_reason, d.cluster_undefined_reason) as undefined_reason
from query_table('analysis.' || dimension || '_distribution') as d
where d.library = library
    and (category is null or d.category = category)
    and (source is null or d.source = source)
