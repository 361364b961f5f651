"""A full disk is reported as such by everything that writes, however little space there is, and nothing is damaged."""

import os
import uuid

import dagster as dg
import pytest

from dlbug_assets.atomic_files import write_folder
from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.labeling.rounds import write_if_changed
from dlbug_assets.labeling.sheets.inbox import receive
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse
from support.small_disks import mount, unmount
from support.tiny_tables import SPEC

pytestmark = pytest.mark.slow

KIB = 1024
MIB = 1024 * KIB


def land(home):
    """Land 6 MiB."""
    landing = Landing(home.landing / "stackoverflow", Clock())
    collection = landing.begin("Keras", "full", {})
    for _ in range(60):
        collection.land({}, os.urandom(100 * KIB))
    collection.finish({})
    assert sum(1 for _ in landing.done("Keras", {"full"})[-1].replies()) == 60


def record_requests(home):
    """Record requests, 6 MiB."""
    ledger = Ledger(home.quota, Clock())
    for _ in range(60):
        ledger.record_request("s" * 50 * KIB, "m")


def record_runs(home):
    """Record runs, 6 MiB."""
    with prepared_instance(home) as instance:
        for _ in range(60):
            instance.add_run(dg.DagsterRun(job_name="j" * 50 * KIB, run_id=str(uuid.uuid4())))


def rows(count):
    return f"select range as bug, md5(range::varchar) || md5((range + 1)::varchar) as library from range({count})"


def write_a_table(home):
    """Write 7 MiB."""
    with Warehouse(home, "a test") as warehouse:
        assert warehouse.replace(SPEC, rows(200_000)).row_count == 200_000


def spill(home):
    """Sort 45 MiB with 16 MiB of memory."""
    with Warehouse(home, "a test", memory=16 * MIB) as warehouse:
        assert warehouse.read(f"select count(*) from (from ({rows(600_000)}) order by library offset 1)").item() > 0


def publish(home):
    """Write 3 MiB and copy them."""
    with Warehouse(home, "a test") as warehouse:
        warehouse.replace(SPEC, rows(70_000))
        assert warehouse.publish().stat().st_size > 2 * MIB


def write_a_report(home):
    """Write 6 MiB."""
    write_folder(home.report, {f"figures/{number}.svg": os.urandom(MIB) for number in range(6)})
    assert len(list((home.report / "figures").iterdir())) == 6


def export_sheets(home):
    """Write 6 MiB."""
    for number in range(6):
        write_if_changed(home.labels / "outbox" / f"{number}.csv", os.urandom(MIB))


def receive_sheets(home):
    """Archive 6 MiB."""
    sheet = home.root.parent / "sheet.csv"
    for _ in range(6):
        sheet.write_bytes(os.urandom(MIB))
        receive([sheet], home.labels / "received", Clock())


@pytest.mark.parametrize("size", ["16k", "64k", "256k", "1m", "4m"])
@pytest.mark.parametrize(
    "write",
    [
        land,
        record_requests,
        record_runs,
        write_a_table,
        spill,
        publish,
        write_a_report,
        export_sheets,
        receive_sheets,
    ],
)
def test_a_full_disk_is_reported_and_the_same_works_once_there_is_space(write, size, tmp_path, monkeypatch):
    monkeypatch.setattr("dlbug_assets.warehouse.database._MOST_MEMORY", 32 * MIB)
    disk = tmp_path / "disk"
    mount(disk, f"size={size}")
    try:
        home = Home(disk, "tiny")
        with pytest.raises(
            DlbugError, match=r"No space left on device\. |disk is full\. |disk of .* is full\. "
        ) as error:
            write(home)
        message = str(error.value)
        assert "ree some disk space" in message
        assert not [word for word in ("damaged", "SQL", "not a valid", "larger one") if word in message], message
        mount(disk, "remount,size=400m")
        write(home)
    finally:
        unmount(disk)
