"""The web UI, in a real browser against the command that users start."""

import shutil

import pytest
from playwright.sync_api import sync_playwright
from serving import graphql, serving

from dlbug_assets.study import SCHEMAS

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def ui(sample):
    """The address of `dlbug ui` on the sample study."""
    with serving(sample.home.root) as address:
        yield address


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
