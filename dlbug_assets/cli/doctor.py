"""`dlbug doctor`: what is missing on this machine, what that breaks, and how to fix it."""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dlbug_assets.clock import Clock, format_minute
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones.git import count_and_size
from dlbug_assets.ingest.quota import Ledger, format_status
from dlbug_assets.ingest.spark import VARIABLE, missing_requirements
from dlbug_assets.installation import how_to_repair, unmet_requirements
from dlbug_assets.layout import ENV_FILE, PACKAGE, Home
from dlbug_assets.protocol.cron import next_due
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse import lease

_OLDEST_PYTHON = (3, 11)
_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Line:
    """One line of the report; the status is 'ok', 'note' (something optional is missing) or 'FAIL' (with the fix)."""

    status: str
    subject: str
    text: str


def examine(study: Study, home: Home, environ: Mapping[str, str]) -> Iterator[Line]:
    """Check Python, packages, clock, tokens and Spark, and the home.

    Of the home and the study: disk, permissions, files of releases, clones, lease, quotas, completeness of the corpora,
    and schedules.
    """
    yield _python()
    yield _packages()
    yield _clock()
    for name, what in (
        ("GITHUB_TOKEN", "GitHub allows 60 requests an hour instead of 5,000"),
        ("STACKEXCHANGE_KEY", "Stack Exchange allows 300 requests a day instead of 10,000"),
    ):
        if environ.get(name):
            yield Line("ok", name, "set")
        else:
            yield Line("note", name, f"not set: {what}. Studies that run offline do not need it.")
    yield from _env_file()
    yield from _spark(environ)
    try:
        home.check_access()
    except DlbugError as error:
        yield Line("FAIL", "folder", str(error))
        return
    yield from _disk(home)
    yield from _privacy(home)
    yield from _releases(study, home, environ)
    yield from _clones(home)
    yield _lock(home)
    yield from _quota(home)
    yield from _completeness(home)
    yield from _schedules(study, home)


def _python() -> Line:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        return Line("FAIL", "Python", f"{found} is too old: dlbug does not run. Install Python 3.11 or newer.")
    return Line("ok", "Python", found)


def _packages() -> Line:
    problems = unmet_requirements()
    if problems:
        return Line("FAIL", "packages", f"{'; '.join(problems)}. {how_to_repair()}")
    return Line("ok", "packages", "as pyproject.toml requires")


def _disk(home: Home) -> Iterator[Line]:
    folder = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    if not os.access(folder, os.W_OK):
        yield Line("FAIL", "folder", f"{folder} is not writable: every run fails. Make it writable or set DLBUG_HOME.")
    free = shutil.disk_usage(folder).free
    if free < _DISK_BYTES:
        yield Line("FAIL", "disk", f"{free >> 20} MiB free at {folder}: runs may fail to write. Free 1 GiB.")
    else:
        yield Line("ok", "disk", f"{free >> 30} GiB free at {folder}")


def _privacy(home: Home) -> Iterator[Line]:
    # Runs create everything for their user only; what is older, or was copied, can be open to others.
    private = (home.folder, home.published, home.quota)
    open_to_others = [path for path in private if path.exists() and path.stat().st_mode & 0o077]
    if open_to_others and home.root.stat().st_mode & 0o077:
        paths = " ".join(shlex.quote(str(path)) for path in open_to_others)
        yield Line("note", "folder", f"its mode lets others on this machine read the study: chmod -R go= {paths}")


def _releases(study: Study, home: Home, environ: Mapping[str, str]) -> Iterator[Line]:
    if not study.releases:
        return
    # Polars takes a second to import: only studies with releases need it.
    from dlbug_assets.releases.locate import found  # noqa: PLC0415

    files = {file: release for release in study.releases for file in release.file_names}
    for file, release in files.items():
        try:
            path = found(release, file, study.name, environ, home.releases)
        except DlbugError as error:
            yield Line("FAIL", "release", str(error))
            continue
        if path is None:
            yield Line("note", "release", f"{file}: the next run downloads it from {release.address_of(file)}")
        else:
            yield Line("ok", "release", str(path))


def _clones(home: Home) -> Iterator[Line]:
    count, size = count_and_size(home.clones)
    if count:
        deleted = "deleted clones are fetched again, except for commits that the remote no longer has"
        yield Line("ok", "clones", f"{count} repositories, {size >> 20} MiB in {home.clones}; {deleted}")


def _lock(home: Home) -> Line:
    if lease.is_held(home.lock):
        return Line("note", "lease", f"held by {lease.holder_of(home.lock)}: a run that starts now waits for it")
    return Line("ok", "lease", f"no run is writing the study {home.study}")


def _clock() -> Line:
    newest = max(path.stat().st_mtime for path in PACKAGE.glob("*.py"))
    if time.time() < newest - 86_400:
        return Line(
            "FAIL", "clock", f"{time.ctime()} is before the date of the program's own files: set the clock (UTC)."
        )
    return Line("ok", "clock", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))


def _quota(home: Home) -> Iterator[Line]:
    ledger = Ledger(home.quota, Clock())
    for service in ledger.services():
        status = ledger.quota_status(service)
        yield Line("note" if status.holds else "ok", "quota", f"{service}: {format_status(status)}")


def _completeness(home: Home) -> Iterator[Line]:
    if not home.published.is_file():
        return
    # DuckDB and Polars take a second to import: only published studies need them.
    from dlbug_assets.ingest.completeness import are_corpora_known, unread_corpora  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    try:
        with published_query(home) as query:
            if not are_corpora_known(query):
                return
            unread = unread_corpora(query)
    except DlbugError as error:
        yield Line("FAIL", "corpora", str(error))
        return
    for line in unread:
        yield Line("FAIL", "corpora", f"{line}: no commit is sampled, no queue frozen. Fix the cause; run again.")
    if not unread:
        yield Line("ok", "corpora", "everything that the study follows was read")


def _env_file() -> Iterator[Line]:
    if ENV_FILE.is_file() and ENV_FILE.stat().st_mode & 0o077:
        yield Line("note", ".env", f"others on this machine can read its tokens: chmod 600 {ENV_FILE.resolve()}")


def _spark(environ: Mapping[str, str]) -> Iterator[Line]:
    address = environ.get(VARIABLE)
    missing = dict(missing_requirements(address or "local"))
    if not address:
        not_found = f" Not found: {', '.join(missing)}." if missing else ""
        yield Line("note" if missing else "ok", "Spark", f"{VARIABLE} is not set: no cluster is used.{not_found}")
        return
    for what, fix in missing.items():
        yield Line("FAIL", what, f"{fix}.")
    if not missing:
        yield Line("ok", "Spark", f"this machine has all that {address} needs")


def _schedules(study: Study, home: Home) -> Iterator[Line]:
    if not study.follows_a_source:
        yield Line("ok", "schedules", f"none: no source of {study.name} changes over time")
        return
    # Dagster takes a second to import: only studies with schedules need it.
    from dlbug_assets.cli.instance import running_schedules  # noqa: PLC0415

    running = running_schedules(home)
    for name, cron in (("refresh", study.schedule.refresh), ("sweep", study.schedule.sweep)):
        due = format_minute(next_due(cron, Clock().now()))
        if name in running:
            yield Line("ok", "schedule", f"{name}: next at {due}, while `dlbug ui` runs")
        else:
            yield Line("note", "schedule", f"{name}: off; it would run at {due}. Start it in the UI (Automation).")
