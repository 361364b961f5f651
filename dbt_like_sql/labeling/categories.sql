-- one row per dimension and category
with found as (
    -- of open dimensions, categories that only labels have
    select dimension, category from labeling.bug_labels
    except
    select dimension, name from reference.taxonomy
),

numbered as (
    select dimension, category, row_number() over (partition by dimension order by category) as number from found
),

known as (
    select dimension, max(position) as last_position from reference.taxonomy group by dimension
)

select taxonomy.dimension, taxonomy.name as category, taxonomy.position, taxonomy.parent
from reference.taxonomy as taxonomy
inner join reference.dimensions as dimensions on taxonomy.dimension = dimensions.dimension
union all
select
    numbered.dimension,
    numbered.category,
    cast(coalesce(known.last_position, 0) + numbered.number as integer) as position,
    cast(null as varchar) as parent
from numbered
left join known on numbered.dimension = known.dimension
order by dimension, position
