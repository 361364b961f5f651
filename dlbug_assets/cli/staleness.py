"""Whether a run could come to anything new: what the tables are made from, and what the newest run was made from."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import dagster as dg

from dlbug_assets.asset_factories.landings import LANDINGS
from dlbug_assets.asset_factories.tables import asset_key
from dlbug_assets.clock import Clock
from dlbug_assets.code_identity import code_digest
from dlbug_assets.labeling.rounds import round_files
from dlbug_assets.labeling.sheets.inbox import file_stats, settled_files
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study

_MADE_FROM = "dlbug/made_from"
_DATA_VERSION = "dagster/data_version"
_LANDINGS = frozenset(map(asset_key, LANDINGS))


#: What as_they_are says.
Files = Sequence[tuple[str, int, int]]
Corpora = Sequence[dg.AssetKey]


def submitted_files(home: Home, clock: Clock) -> Files:
    """What raters have handed in that is complete, and the rounds that were frozen for them. To be asked before a run:
    what comes while it goes on may have come too late for it."""
    settled, _ = settled_files(home.labels / "inbox", clock)
    return file_stats([*settled, *round_files(home.labels / "queue")])


def input_fingerprint(study: Study, files: Files, instance: dg.DagsterInstance, corpora: Corpora) -> str:
    """A digest of all that the published database depends on: this code, the study, the ``files`` of people, and what
    the ``corpora`` tell now. What only lands tells nothing by itself."""
    return hashlib.sha256(json.dumps(list(_parts(study, files, instance, corpora))).encode()).hexdigest()


def _parts(study: Study, files: Files, instance: dg.DagsterInstance, corpora: Corpora) -> Iterator[object]:
    yield study.hash
    yield code_digest()
    if study.taxonomy.extra:
        yield hashlib.sha256(study.taxonomy.extra.read_bytes()).hexdigest()
    yield files
    for key in sorted(corpora):
        if key in _LANDINGS:
            continue
        event = instance.get_latest_materialization_event(key)
        made = event.asset_materialization if event else None
        yield key.to_user_string(), (made.tags or {}).get(_DATA_VERSION) if made else None


def record_fingerprint(instance: dg.DagsterInstance, run_id: str, digest: str) -> None:
    """Note on a run that it made everything, and from what."""
    instance.add_run_tags(run_id, {_MADE_FROM: digest})


def last_fingerprint(instance: dg.DagsterInstance, *, besides: str) -> str | None:
    """What the newest run was made from, those of the job ``besides`` left out; None where it did not make everything,
    or did not succeed."""
    for run in instance.get_runs(limit=50):
        if run.job_name != besides:
            return run.tags.get(_MADE_FROM) if run.status is dg.DagsterRunStatus.SUCCESS else None
    return None
