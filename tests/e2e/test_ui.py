"""The web UI that `dlbug ui` starts, in a real browser."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPCookieProcessor, Request, build_opener

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
    assert {"assetKey": {"path": ["analysis", "claims"]}, "columnName": "finding"} in lineage["finding"]


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
    page.get_by_text("[from analysis.claims.finding]").first.wait_for()
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


#: What a page of another origin can try: each attack is a promise of what the browser let it see.
FOREIGN_PAGE = """<!doctype html><title>kittens</title><iframe name="sink"></iframe>
<form id="report" method="post" target="sink" action="{ui}/report_asset_materialization/analysis/label_counts"></form>
<form id="graphql" method="post" target="sink" enctype="text/plain" action="{ui}/graphql?query={query}"></form>
<script>
const body = JSON.stringify({{query: decodeURIComponent("{query}")}});
const seen = promise => promise.then(reply => `${{reply.type}} ${{reply.status}}`, () => "failed");
const loaded = source => new Promise(end => {{
  const image = new Image();
  image.onload = () => end("loaded"); image.onerror = () => end("failed"); image.src = source;
}});
const opened = new Promise(end => {{
  const socket = new WebSocket("{ui}/graphql".replace("http", "ws"), "graphql-ws");
  socket.onopen = () => end("opened"); socket.onerror = () => end("failed");
}});
report.submit(); setTimeout(() => graphql.submit(), 500);
navigator.sendBeacon("{ui}/graphql?query={query}", body);
window.attacks = Promise.all([
  loaded("{ui}/graphql?query={query}"), opened,
  seen(fetch("{ui}/graphql", {{method: "POST", body, headers: {{"Content-Type": "application/json"}}}})),
  seen(fetch("{ui}/graphql", {{method: "POST", body, mode: "no-cors"}})),
  seen(fetch("{ui}/graphql?query={query}", {{mode: "no-cors"}})),
  new Promise(end => setTimeout(() => end("waited"), 1500)),
]);
</script>"""
WIPE = 'mutation{wipeAssets(assetPartitionRanges:[{assetKey:{path:["analysis","findings"]}}]){__typename}}'


def test_a_page_of_another_origin_can_neither_read_nor_change_anything(ui, page):
    kept = """{ runsOrError(limit: 1) { ... on Runs { results { runId } } }
        a: assetOrError(assetKey: {path: ["analysis", "findings"]}) { ... on Asset { assetMaterializations { runId } } }
        b: assetOrError(assetKey: {path: ["analysis", "label_counts"]}) {
            ... on Asset { assetMaterializations { runId } } } }"""
    before = graphql(ui, kept)
    assert before["a"]["assetMaterializations"]
    content = FOREIGN_PAGE.format(ui=ui, query=quote(WIPE, safe="")).encode()
    with serving_page(content) as foreign:
        page.goto(foreign)
        attacks = page.evaluate("window.attacks")
    assert attacks == ["failed", "failed", "failed", "opaque 0", "opaque 0", "waited"]
    assert graphql(ui, kept) == before


def test_a_read_only_ui_with_a_token_shows_everything_to_those_who_have_it_and_changes_nothing(sample):
    with serving(sample.home.root, arguments=("--read-only",), DLBUG_UI_TOKEN="s3cret") as ui:  # noqa: S106
        with pytest.raises(HTTPError, match="401"):
            graphql(ui, "{ version }")
        opener = build_opener(HTTPCookieProcessor())
        assert opener.open(f"{ui}/asset-groups?token=s3cret", timeout=60).url == f"{ui}/asset-groups"
        body = json.dumps({"query": WIPE}).encode()
        request = Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        assert json.load(opener.open(request, timeout=60))["data"]["wipeAssets"]["__typename"] == "UnauthorizedError"


@contextmanager
def serving_page(content: bytes) -> Iterator[str]:
    """Serve one HTML page on another port of loopback, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


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
