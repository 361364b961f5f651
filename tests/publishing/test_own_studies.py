"""Reports of studies with dimensions, groups and sources of their own, also in a browser."""

import re
import shutil
from itertools import pairwise

import pytest
from playwright.sync_api import sync_playwright

ONE = '[[dimensions]]\nname = "fault"\nquestion = "What is wrong?"\nrequired = true\n'
TWO = ONE + '[[dimensions]]\nname = "moon"\n'
TWO_CATEGORIES = {"fault": ["Late", "Early"], "moon": ["new", "full"]}
# What a report names only if the study has it.
FOREIGN = ("paper", "Stack Overflow", "GitHub", "library", "libraries", "Islam", "post", "commits", "printed", "claim")
CHROMIUM = shutil.which("chromium")


def outline(page):
    """Return the titles of the page's sections."""
    return re.findall(r'<h2 id="\w+">(.*?)</h2>', page)


def text(page):
    """Return what a reader sees, without queries, names of tables and the details of code and packages."""
    body = re.sub(r"<details><summary>Study, code and packages.*?</details>", "", page.split("</style>")[1], flags=re.S)
    body = re.sub(r"<details class=\"query\">.*?</details>|<code>.*?</code>", " ", body, flags=re.S)
    return re.sub(r"<[^>]+>", " ", body)


@pytest.fixture
def two_dimensions(own_study):
    """Return a study of two dimensions and one source, without claims and printed numbers."""
    study = own_study(dimensions=TWO, taxonomy=TWO_CATEGORIES, identity='group = "Coast"')
    for library, late, early in (("Ebb", 3, 1), ("Flow", 2, 4), ("All", 5, 5)):
        for source in ("Release", "both"):
            study.count("fault", source, library, {"Late": late, "Early": early})
            study.put("analysis.dataset_sizes", {"source": source, "library": library, "items_with_bugs": 5,
                                                 "bugs": late + early})  # fmt: skip
    study.put("analysis.library_correlation", {"source": "both", "dimension": "fault", "library_a": "Ebb",
                                               "library_b": "Flow", "pearson": -0.5})  # fmt: skip
    study.put("analysis.crosstab", {"source": "both", "library": "All", "dimension_a": "fault", "category_a": "Late",
              "dimension_b": "moon", "category_b": "full", "bugs": 2, "total": 3, "share": 2 / 3})  # fmt: skip
    return study


@pytest.fixture
def eight_dimensions(own_study):
    """Return a study of eight dimensions, two of which have several categories, and of three sources."""
    names = [f"d{number}" for number in range(1, 9)]
    dimensions = "".join(
        f'[[dimensions]]\nname = "{name}"\nmultiple = {str(name in ("d3", "d7")).lower()}\n' for name in names
    )
    return own_study(
        dimensions=dimensions,
        taxonomy={name: [f"{name} a", f"{name} b"] for name in names},
        more='source = {column = "where", map = {"x" = "Forum", "y" = "Chat", "z" = "Issue tracker"}}\n',
        libraries=("Ebb", "Flow", "Neap"),
        identity='[[study.cites]]\ntext = "Doe: Tides (2020)"\ndoi = "10.1000/tides"\n',
    )


@pytest.fixture
def one_library(own_study):
    """Return a study of one library and one dimension, in one source."""
    study = own_study(dimensions=ONE, taxonomy={"fault": ["Late"]},
                      libraries=("Ebb",))  # fmt: skip
    for source in ("Release", "both"):
        study.count("fault", source, "Ebb", {"Late": 3})
    return study


def test_a_study_has_a_section_per_dimension_and_none_for_what_it_lacks(two_dimensions):
    page = two_dimensions.page()
    assert outline(page) == [
        "The study and its sources",
        "The data",
        "RQ1: What is wrong?",
        "RQ2: How frequent are the categories of moon?",
        "Relations between dimensions",
        "Coasts compared",
        "Changes over the years",
        "Threats to validity",
        "How to cite",
    ]
    assert [word for word in FOREIGN if re.search(rf"\b{word}", text(page))] == []


def test_the_files_of_a_report_are_named_after_its_dimensions(two_dimensions):
    files = two_dimensions.files()
    assert sorted(name for name in files if name.endswith((".svg", ".csv"))) == [
        "figures/fault_correlation.svg",
        "figures/fault_distribution.svg",
        "figures/moon_by_fault.svg",
        "tables/dataset_sizes.csv",
        "tables/fault_shares.csv",
    ]
    assert files["tables/fault_shares.csv"].decode() == ",Ebb,Flow,All\nLate,75,33,50\nEarly,25,67,50\nBugs,4,6,10\n"
    assert files["tables/dataset_sizes.csv"].decode() == (
        ",Release Items with bugs,Release Bugs\nEbb,5,4\nFlow,5,6\nTotal,5,10\n"
    )


def test_eight_dimensions_are_eight_research_questions(eight_dimensions):
    page = eight_dimensions.page()
    questions = [title for title in outline(page) if title.startswith("RQ")]
    assert questions == [f"RQ{number}: How frequent are the categories of D{number}?" for number in range(1, 9)]
    assert page.count("A bug may have several categories, so that") == 2
    assert "After Doe: Tides (2020). Computed by" in page
    assert "and what it is based on: Doe: Tides (2020), doi 10.1000/tides." in page


def test_a_study_of_one_library_compares_none(one_library):
    page = one_library.page()
    assert outline(page) == [
        "The study and its sources",
        "The data",
        "RQ1: What is wrong?",
        "Changes over the years",
        "Threats to validity",
        "How to cite",
    ]
    assert one_library.files()["tables/fault_shares.csv"].decode() == ",Ebb\nLate,100\nBugs,3\n"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
@pytest.mark.parametrize("name", ["two_dimensions", "eight_dimensions", "one_library"])
def test_a_report_fits_into_every_width(name, request, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(request.getfixturevalue(name).page(), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width in (360, 800, 1400):
            shown = browser.new_page(viewport={"width": width, "height": 900})
            messages = []
            shown.on("console", lambda message, seen=messages: seen.append(message.text))
            shown.goto(page.as_uri())
            assert messages == []
            assert shown.evaluate("document.documentElement.scrollWidth") == width
            levels = shown.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(head => +head.tagName[1])")
            assert levels[0] == 1
            assert all(after <= before + 1 for before, after in pairwise(levels))
            shown.close()
        browser.close()
