"""Staleness: compare a fingerprint of all inputs with that of the last successful run."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import dagster as dg

from dlbug_assets.asset_factories.landings import LANDINGS
from dlbug_assets.asset_factories.metadata import asset_key
from dlbug_assets.clock import Clock
from dlbug_assets.code_identity import code_digest
from dlbug_assets.labeling.imported.archive import final_versions
from dlbug_assets.labeling.imported.history import FINAL
from dlbug_assets.labeling.rounds import round_files
from dlbug_assets.labeling.sheets.inbox import file_stats, settled_files
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study

#: The tag of a run that holds its fingerprint; the UI hides tags with this prefix.
_FINGERPRINT_TAG = ".dagster/dlbug_fingerprint"
_DATA_VERSION = "dagster/data_version"
_LANDINGS = frozenset(map(asset_key, LANDINGS))

#: Name, size and modification time of each file, as :func:`file_stats` returns them.
Files = Sequence[tuple[str, int, int]]


def submitted_files(home: Home, clock: Clock) -> Files:
    """Return the complete sheets that raters submitted, the imported final labels and the frozen rounds of items.

    Call it before a run: a file that arrives during the run may be too late for it.
    """
    settled, _ = settled_files(home.labels / "inbox", clock)
    imported = [version.path for version in final_versions(home.labels / FINAL)]
    return file_stats([*settled, *imported, *round_files(home.labels / "queue")])


def input_fingerprint(study: Study, files: Files, instance: dg.DagsterInstance, corpora: Sequence[dg.AssetKey]) -> str:
    """Return a digest of everything that the published database depends on.

    That is this code, the study, the released files beside it, the submitted ``files``, and the data versions of the
    ``corpora``. Landings are left out: their content counts once it is loaded.
    """
    return hashlib.sha256(json.dumps(list(_inputs(study, files, instance, corpora))).encode()).hexdigest()


def _inputs(
    study: Study, files: Files, instance: dg.DagsterInstance, corpora: Sequence[dg.AssetKey]
) -> Iterator[object]:
    yield study.hash
    yield code_digest()
    if study.taxonomy.extra:
        yield hashlib.sha256(study.taxonomy.extra.read_bytes()).hexdigest()
    for release in study.releases:
        beside = [path for file in release.file_names if (path := release.path_of(file)) and path.is_file()]
        yield [hashlib.sha256(path.read_bytes()).hexdigest() for path in beside]
    yield files
    for key in sorted(corpora):
        if key in _LANDINGS:
            continue
        event = instance.get_latest_materialization_event(key)
        materialization = event.asset_materialization if event else None
        tags = (materialization.tags or {}) if materialization else {}
        yield key.to_user_string(), tags.get(_DATA_VERSION)


def record_fingerprint(instance: dg.DagsterInstance, run_id: str, fingerprint: str) -> None:
    """Tag a run that materialized everything with the fingerprint of its inputs."""
    instance.add_run_tags(run_id, {_FINGERPRINT_TAG: fingerprint})


def last_fingerprint(instance: dg.DagsterInstance, *, ignoring: str) -> str | None:
    """Return the fingerprint of the newest run that is not of the job ``ignoring``.

    It is None if that run failed or did not materialize everything.
    """
    for run in instance.get_runs(limit=50):
        if run.job_name != ignoring:
            return run.tags.get(_FINGERPRINT_TAG) if run.status is dg.DagsterRunStatus.SUCCESS else None
    return None
