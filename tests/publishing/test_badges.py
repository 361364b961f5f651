"""Badges of claims: names, colours, titles, and hostile texts."""

from xml.etree import ElementTree as ET

import pytest

from dlbug_assets.publishing.badges import badge, badges

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</title><script>alert('x')</script> & \"so\""


def claim(finding, role="supporting", text="Data bugs lead", support="supported"):
    return {"finding": finding, "role": role, "claim": text, "support": support}


def parse(content):
    return ET.fromstring(content)  # noqa: S314 - our own output


def texts(content):
    return [element.text for element in parse(content).iter(f"{SVG}text")]


def title(content):
    return parse(content).findtext(f"{SVG}title")


def test_names_follow_the_finding_and_not_the_position():
    files = badges([claim(2), claim(2, "headline"), claim(2), claim(10, "headline")], None)
    assert list(files) == ["finding-2-1.svg", "finding-2.svg", "finding-2-2.svg", "finding-10.svg"]
    assert texts(files["finding-2-2.svg"]) == ["finding 2.2", "supported"]


def test_study_without_claims_has_no_badges():
    assert badges([], None) == {}


def test_title_is_the_claim_with_its_verdict():
    content = badges([claim(1, "headline")], None)["finding-1.svg"]
    assert title(content) == "Data bugs lead: supported"
    root = parse(content)
    assert root.get("role") == "img"
    assert [element.tag for element in root if element.get("id") == root.get("aria-labelledby")] == [f"{SVG}title"]


def test_badges_of_synthetic_data_are_marked():
    content = badges([claim(1, "headline")], "SYNTHETIC: made up")["finding-1.svg"]
    assert texts(content) == ["finding 1 (synthetic)", "supported"]
    assert title(content) == "Data bugs lead: supported (SYNTHETIC: made up)"


@pytest.mark.parametrize(
    ("support", "colour"),
    [("supported", "#1a7f37"), ("contradicted", "#b42318"), ("undecided", "#8a5a00"), ("not testable", "#57606a")],
)
def test_colour_follows_the_support(support, colour):
    assert [rect.get("fill") for rect in parse(badge("finding 1", support, "t")).iter(f"{SVG}rect")] == [
        "#444c56", colour,
    ]  # fmt: skip


def test_texts_are_escaped():
    content = badges([claim(1, "headline", EVIL)], None)["finding-1.svg"]
    assert title(content) == f"{EVIL}: supported"
    assert b"<script" not in content
