-- one row per printed set of correlations, and dimension whose shares they may be of
with printed as (
    select reference, source, dimension, library, library_b, value, decimals
    from reference.published_cells
    where unit = 'correlation'
),

pairs as (
    select source, dimension, library_a, library_b, pearson
    from analysis.library_correlation
    union all
    select source, dimension, library_b, library_a, pearson
    from analysis.library_correlation
),

compared as (
    select
        printed.reference,
        printed.source,
        pairs.dimension,
        bool_or(pairs.dimension = printed.dimension) as is_stated,
        count(*) as pairs,
        count(*) filter (round(pairs.pearson, printed.decimals) = printed.value) as same_when_rounded,
        -- of all pairs or none: sets of different pairs can't be compared
        case when count(pairs.pearson) = count(*) then avg(abs(pairs.pearson - printed.value)) end as mean_difference,
        case when count(pairs.pearson) = count(*) then max(abs(pairs.pearson - printed.value)) end as largest_difference
    from printed
    inner join pairs
        on printed.source = pairs.source
        and printed.library = pairs.library_a
        and printed.library_b = pairs.library_b
    group by printed.reference, printed.source, pairs.dimension
)

select
    compared.reference,
    compared.source,
    compared.dimension,
    compared.is_stated,
    compared.pairs,
    compared.same_when_rounded,
    cast(compared.mean_difference as double) as mean_difference,
    cast(compared.largest_difference as double) as largest_difference,
    coalesce(
        compared.mean_difference = min(compared.mean_difference) over (partition by compared.reference, compared.source),
        false
    ) as fits_best
from compared
inner join reference.dimensions as dimensions on compared.dimension = dimensions.dimension
order by compared.reference, compared.source, dimensions.position
