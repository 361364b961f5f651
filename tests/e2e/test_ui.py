"""The web UI that `dlbug ui` starts, in a real browser."""

import time
from collections.abc import Callable

import pytest

from dlbug_assets.layout import SCHEMAS
from dlbug_assets.warehouse.published import open_published
from support.commands import fingerprints
from support.handmade import QUEUE, Handmade, filled
from support.ui_server import graphql, serving

#: The page shown while a test waits for a run: updates of a page would take processor time from the run.
BLANK = "about:blank"


@pytest.fixture(scope="module")
def ui(sample):
    """Run `dlbug ui` on the sample study and yield its address."""
    with serving(sample.home.root) as address:
        yield address


def test_groups_are_the_stages_and_runs_of_the_command_are_listed(ui):
    found = graphql(ui, "{ assetNodes { groupName } runsOrError(limit: 50) { ... on Runs { results { status } } } }")
    assert {node["groupName"] for node in found["assetNodes"]} == set(SCHEMAS)
    statuses = {run["status"] for run in found["runsOrError"]["results"]}
    # Other tests used this home before, and automated runs may be in progress.
    assert "SUCCESS" in statuses


def test_descriptions_row_counts_and_column_lineage_are_recorded(ui):
    found = graphql(
        ui,
        '{ assetNodeOrError(assetKey: {path: ["analysis", "finding_verdicts"]}) { ... on AssetNode { description '
        "assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue } "
        "... on TableColumnLineageMetadataEntry { lineage { columnName columnDeps { assetKey { path } columnName } } } "
        "} } } } }",
    )["assetNodeOrError"]
    entries = {entry["label"]: entry for entry in found["assetMaterializations"][0]["metadataEntries"]}
    assert found["description"].startswith("One row per finding")
    assert entries["dagster/row_count"]["intValue"] == 21
    lineage = {column["columnName"]: column["columnDeps"] for column in entries["dagster/column_lineage"]["lineage"]}
    assert {"assetKey": {"path": ["analysis", "findings"]}, "columnName": "finding"} in lineage["finding"]


def wait_until(condition: Callable[[], bool], failure: str) -> None:
    """Wait until a condition holds; fail with a message after some minutes."""
    deadline = time.monotonic() + 400
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(1)


@pytest.fixture
def handmade(tmp_path):
    return Handmade(tmp_path)


def test_a_browser_shows_the_lineage_in_groups(ui, page, screenshots):
    page.goto(f"{ui}/asset-groups")
    for schema in SCHEMAS:
        page.get_by_text(schema, exact=True).first.wait_for()
    page.screenshot(path=screenshots / "lineage.png")


def test_a_browser_shows_a_tables_columns_rows_checks_and_chart(ui, page, screenshots):
    page.goto(f"{ui}/assets/analysis/finding_verdicts")
    page.get_by_text("[from analysis.findings.finding]").first.wait_for()
    page.get_by_text("Row count").first.wait_for()
    page.screenshot(path=screenshots / "table.png")
    page.goto(f"{ui}/assets/analysis/finding_verdicts?view=checks")
    page.get_by_text("unique_finding").first.wait_for()
    page.screenshot(path=screenshots / "checks.png")
    page.goto(f"{ui}/assets/labeling/kappa_checkpoints?view=events")
    page.get_by_text("below the target").first.wait_for()
    page.get_by_text("[Show Markdown]").first.click()
    page.locator("img[src^='data:image']").first.wait_for()
    page.screenshot(path=screenshots / "kappa.png", animations="disabled")


@pytest.mark.timeout(900)
def test_one_librarys_partition_is_materialized_by_a_click(ui, page, screenshots):
    page.goto(f"{ui}/assets/stackoverflow/raw_posts?view=partitions&partition=Keras")
    page.get_by_role("button", name="Materialize").first.click()
    launch = page.get_by_role("button", name="Launch 1 run")
    launch.wait_for()
    page.screenshot(path=screenshots / "partition.png", animations="disabled")
    launch.click()
    of_keras = '{tags: [{key: "dagster/partition", value: "Keras"}]}'
    wait_until(lambda: len(statuses(ui, of_keras)) == 1, "no run was started")
    page.goto(BLANK)
    wait_until(lambda: statuses(ui, of_keras) == ["SUCCESS"], "Keras was not loaded")
    materializations = """{ assetOrError(assetKey: {path: ["stackoverflow", "raw_posts"]}) {
        ... on Asset { assetMaterializations(limit: 1) { partition runOrError { ... on Run { status } } } } } }"""
    (newest,) = graphql(ui, materializations)["assetOrError"]["assetMaterializations"]
    assert newest == {"partition": "Keras", "runOrError": {"status": "SUCCESS"}}


@pytest.mark.timeout(900)
def test_everything_is_materialized_by_a_click_while_an_analyst_reads(ui, page, sample, screenshots):
    before, rows = sample.home.published.stat().st_mtime_ns, fingerprints(sample.home)
    analyst = open_published(sample.home)
    page.goto(f"{ui}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="All", exact=True).click()
    page.screenshot(path=screenshots / "everything.png")
    page.get_by_role("button", name="Launch backfill").click()
    query = "{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills { results { status } } } }"

    def backfills() -> list[str]:
        return [backfill["status"] for backfill in graphql(ui, query)["partitionBackfillsOrError"]["results"]]

    wait_until(lambda: len(backfills()) == 1, "no backfill was started")
    page.goto(BLANK)
    wait_until(lambda: backfills()[0].startswith(("COMPLETED", "FAIL")), "the backfill does not end")
    assert backfills() == ["COMPLETED_SUCCESS"]
    assert sample.home.published.stat().st_mtime_ns != before
    assert analyst.execute("select count(*) from analysis.finding_verdicts").fetchall() == [(21,)]
    analyst.close()
    assert fingerprints(sample.home) == rows
    page.goto(f"{ui}/runs")
    page.get_by_text("Success").first.wait_for()
    page.screenshot(path=screenshots / "runs.png")


@pytest.mark.timeout(900)
def test_sheets_in_the_inbox_are_read_automatically(page, handmade, screenshots):
    handmade.dlbug("run", "--select", QUEUE)
    handmade.dlbug("labels", "export", "--format", "csv")
    with serving(handmade.root, str(handmade.path)) as ui:
        page.goto(f"{ui}/locations/dlbug_assets/sensors/labels_inbox")
        page.get_by_text("0 runs requested").first.wait_for()
        handmade.inbox.mkdir(parents=True)
        for rater in handmade.raters:
            sheet = filled(handmade.outbox / f"50-{rater}.csv", lambda number: {"is_bug": str(number % 3 > 0).lower()})
            (handmade.inbox / f"50-{rater}.csv").write_text(sheet, encoding="utf-8")
        page.goto(BLANK)
        of_sensor = '{tags: [{key: "dagster/sensor_name", value: "labels_inbox"}]}'
        wait_until(lambda: statuses(ui, of_sensor) == ["SUCCESS"], "the sheets were not read")
        page.goto(f"{ui}/assets/labeling/kappa_checkpoints?view=events")
        page.get_by_text("Nothing is below the target").first.wait_for()
        page.screenshot(path=screenshots / "inbox.png")
        page.goto(f"{ui}/locations/dlbug_assets/sensors/labels_inbox")
        page.get_by_text("1 run requested").first.wait_for()
        page.screenshot(path=screenshots / "sensor.png")
    kappa = handmade.query("from labeling.kappa_checkpoints where source = 'all' and scope = 'cumulative'")
    (agreed,) = kappa.filter(dimension="is_bug", checkpoint=50).select("units", "kappa").rows()
    assert agreed == (handmade.query("select count(*) from labeling.items where checkpoint = 50").item(), 1)


def statuses(ui: str, runs_filter: str) -> list[str]:
    """Return the statuses of the runs that match a filter, the newest first."""
    query = f"{{ runsOrError(filter: {runs_filter}, limit: 20) {{ ... on Runs {{ results {{ status }} }} }} }}"
    return [run["status"] for run in graphql(ui, query)["runsOrError"]["results"]]
