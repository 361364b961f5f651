"""The report of a whole study, in a real browser, at the widths of a phone, a tablet and a desk."""

import html
import json
import re
import shutil
import time

import pytest
from playwright.sync_api import sync_playwright

from dlbug_assets.publishing.report_queries import QUERIES

CHROMIUM = shutil.which("chromium")
WIDTHS = (360, 800, 1400)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")


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
def test_it_shows_without_an_error_a_request_or_a_scroll_bar_across(browser, address, width):
    said, asked = [], []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    narrow = "box => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== 'auto'"
    assert page.evaluate(f"[...document.querySelectorAll('.wide')].filter({narrow}).length") == 0
    page.close()


def test_every_figure_is_to_be_seen_and_has_words(browser, address):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(address)
    boxes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(svg => "
        "[svg.getBoundingClientRect().width, svg.getAttribute('aria-label')])"
    )
    assert len(boxes) == 11
    assert all(width > 300 and len(words) > 30 for width, words in boxes)
    page.close()


def test_a_key_reaches_what_scrolls_and_links_reach_their_place(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(address)
    page.get_by_role("navigation").get_by_role("link", name="RQ6").click()
    assert page.url.endswith("#rq6")
    # Scrolling takes its time; and what the page forbids, waiting for a function, would need.
    deadline = time.monotonic() + 30
    while page.evaluate("document.querySelector('#rq6').getBoundingClientRect().top") > 800:
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    focusable = page.evaluate("[...document.querySelectorAll('.wide')].every(box => box.tabIndex === 0)")
    assert focusable
    page.close()


def test_script_in_it_would_not_run(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        " document.body.append(s) }"
    )
    assert page.evaluate("window.ran") is None
    page.close()


def test_it_prints(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.emulate_media(media="print")
    hidden = page.evaluate("getComputedStyle(document.querySelector('nav')).display")
    assert hidden == "none"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_the_database_answers_every_query_that_the_page_shows(sample):
    page = (sample.home.report / "index.html").read_text(encoding="utf-8")
    shown = {
        name: html.unescape(query)
        for name, query in re.findall(r'<pre data-query="(\w+)">(.*?)</pre>', page, re.DOTALL)
    }
    assert shown.items() <= QUERIES.items()
    answers = {name: sample.query(query) for name, query in shown.items()}
    assert all(answer.height for answer in answers.values())
    largest = answers["figure1"].sort("bugs").row(-1, named=True)
    assert f">{largest['library']}  ({largest['total']})</text>" in page
    assert f">{largest['bugs']}</text>" in page


def test_the_run_shows_small_figures(sample):
    import dagster as dg  # noqa: PLC0415 - slow, and only here

    with dg.DagsterInstance.from_config(str(sample.home.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["publishing", "report"]))
        metadata = event.asset_materialization.metadata
    figures = [name for name in metadata if name.startswith("Figure")]
    assert len(figures) == 11
    assert metadata["Figure 1"].value.startswith("![Bug types on Stack Overflow.")
    assert len(json.dumps([str(metadata[name].value) for name in figures])) < 500_000
