"""The web UI, in a real browser against the command that users start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import sync_playwright
from running import DLBUG, environment

from dlbug_assets.study import SCHEMAS

CHROMIUM = shutil.which("chromium")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def graphql(address: str, query: str) -> dict:
    request = urllib.request.Request(  # noqa: S310 - a server of our own on loopback
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return json.load(reply)["data"]


@pytest.fixture(scope="module")
def ui(sample, tmp_path_factory):
    """The address of `dlbug ui` on the sample study."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = (tmp_path_factory.mktemp("ui") / "log.txt").open("w+")
    server = subprocess.Popen(
        [DLBUG, "ui", "--port", str(port)],
        env=environment(sample.home.root),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if graphql(address, "{ version }"):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, log.seek(0) or log.read()
                assert time.monotonic() < deadline, log.seek(0) or log.read()
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=60)
        log.close()


def test_groups_are_the_stages_and_the_commands_run_shows(ui):
    found = graphql(ui, "{ assetNodes { groupName } runsOrError(limit: 50) { ... on Runs { results { status } } } }")
    assert {node["groupName"] for node in found["assetNodes"]} == set(SCHEMAS)
    statuses = {run["status"] for run in found["runsOrError"]["results"]}
    assert statuses == {"SUCCESS"}


def test_columns_lineage_and_row_counts_are_there(ui):
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")
def test_a_browser_shows_the_lineage_in_groups(ui, tmp_path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui}/asset-groups")
        for schema in SCHEMAS:
            page.get_by_text(schema, exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "lineage.png")
        page.goto(f"{ui}/assets/analysis/finding_verdicts")
        page.get_by_text("[from analysis.findings.finding]").first.wait_for(timeout=60_000)
        page.goto(f"{ui}/assets/analysis/finding_verdicts?view=checks")
        page.get_by_text("unique_finding").first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "table.png")
        browser.close()
    assert (tmp_path / "lineage.png").stat().st_size > 10_000
