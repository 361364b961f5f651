"""The report of a complete study, in a real browser, at the widths of a phone, a tablet and a desktop."""

import html
import json
import re
import shutil
import time

import pytest
from playwright.sync_api import sync_playwright

from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.report_queries import queries, run_queries
from support.prose import unknown_numbers

CHROMIUM = shutil.which("chromium")
WIDTHS = (360, 800, 1400)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(sample):
    return (sample.home.report / "index.html").as_uri()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_loads_without_errors_requests_or_horizontal_scrolling(browser, address, width):
    messages, requests = [], []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    narrow = "box => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== 'auto'"
    assert page.evaluate(f"[...document.querySelectorAll('.wide')].filter({narrow}).length") == 0
    page.close()


def test_every_figure_is_visible_and_has_a_description(browser, address):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(address)
    boxes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(svg => "
        "[svg.getBoundingClientRect().width, svg.getAttribute('aria-label')])"
    )
    assert len(boxes) == 11
    assert all(width > 300 and len(words) > 30 for width, words in boxes)
    page.close()


def test_scrolling_boxes_are_focusable_and_links_lead_to_their_section(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(address)
    page.get_by_role("navigation").get_by_role("link", name="RQ5").click()
    assert page.url.endswith("#rq5")
    # Scrolling takes time. Playwright's wait_for_function would need what the page's security policy forbids.
    deadline = time.monotonic() + 30
    while page.evaluate("document.querySelector('#rq5').getBoundingClientRect().top") > 800:
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    focusable = page.evaluate("[...document.querySelectorAll('.wide')].every(box => box.tabIndex === 0)")
    assert focusable
    page.close()


def test_scripts_do_not_run(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        " document.body.append(s) }"
    )
    assert page.evaluate("window.ran") is None
    page.close()


def test_it_can_be_printed(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.emulate_media(media="print")
    hidden = page.evaluate("getComputedStyle(document.querySelector('nav')).display")
    assert hidden == "none"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_the_queries_on_the_page_run_on_the_published_database(sample):
    page = (sample.home.report / "index.html").read_text(encoding="utf-8")
    shown = {
        name: html.unescape(query)
        for name, query in re.findall(r'<pre data-query="(\w+)">(.*?)</pre>', page, re.DOTALL)
    }
    assert shown.items() <= queries(load_study("sample")).items()
    results = {name: sample.query(query) for name, query in shown.items()}
    assert all(result.height for result in results.values())
    largest = results["bug_type_distribution"].sort("bugs").row(-1, named=True)
    assert f">{largest['library']}  ({largest['total']})</text>" in page
    assert f">{largest['bugs']}</text>" in page


def test_the_numbers_in_the_text_are_those_of_the_tables(sample):
    study = load_study("sample")
    page = (sample.home.report / "index.html").read_text(encoding="utf-8")
    assert unknown_numbers(page, run_queries(sample.query, study), study) == []


def test_the_materialization_has_small_figures(sample):
    import dagster as dg  # noqa: PLC0415 - slow, and only here

    with dg.DagsterInstance.from_config(str(sample.home.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["publishing", "report"]))
    assert event
    assert event.asset_materialization
    metadata = event.asset_materialization.metadata
    figures = {name: str(value.value) for name, value in metadata.items() if name.startswith("Figure")}
    assert len(figures) == 11
    assert figures["Figure 1"].startswith("![Bug type, Stack Overflow.")
    assert len(json.dumps(list(figures.values()))) < 500_000
