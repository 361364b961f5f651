-- Agreement of the raters at a checkpoint in percent: one row per round and dimension, with intervals. Example:
-- from kappa_at(20, source := 'GitHub'). Without a source, all sources together; scope := 'increment' covers only the items
-- since the checkpoint before. kappa_low and kappa_high are analytic, kappa_boot_low and kappa_boot_high resample items.
create or replace macro kappa_at(checkpoint, source := 'all', scope := 'cumulative') as table
select
    k."round",
    k.source,
    k.dimension,
    k.units,
    k.waiting,
    k.kappa,
    k.kappa_low,
    k.kappa_high,
    k.kappa_boot_low,
    k.kappa_boot_high,
    k.reached_target,
    k.disagree_most,
    k.undefined_reason
from labeling.kappa_checkpoints as k
where k.checkpoint = checkpoint and k.source = source and k.scope = scope
