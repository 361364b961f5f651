"""The study's Dagster instance: runs belong to the code location, and failures that a user can fix are messages.

It is named in dagster.yaml (``instance_class``), so every process that opens the instance uses it, with any storage.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from dlbug_assets.automation.failures import without_trace

#: The code location that workspace.yaml loads.
CODE_LOCATION = "dlbug_assets"
# The name of a repository that Dagster makes of definitions.
_REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), "__repository__")


class StudyInstance(dg.DagsterInstance):
    """An instance whose runs have the code location, as launched ones do, even if they are executed in process.

    The UI's timeline and the pages of jobs list only runs of a code location.
    """

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Return the settings of its own in dagster.yaml: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """Return the defaults of what dagster.yaml does not set: Dagster's own."""
        return InstanceRef.config_defaults(base_dir)

    def create_run_for_job(self, job_def: dg.JobDefinition, *arguments: Any, **named: Any) -> dg.DagsterRun:
        """Create a run of a job that this process executes."""
        named["tags"] = {**(named.get("tags") or {}), "dagster/code_location": CODE_LOCATION}
        named["remote_job_origin"] = _REPOSITORY.get_job_origin(job_def.name)
        return super().create_run_for_job(job_def, *arguments, **named)

    def handle_new_event(self, event: dg.EventLogEntry, **named: Any) -> None:
        """Store an event, without the stack traces of failures that a user can fix."""
        super().handle_new_event(without_trace(event), **named)
