"""Charts: the same bytes every time, and colours that everyone can distinguish."""

import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import altair as alt
import numpy as np
import polars as pl
import pytest

from dlbug_assets import chart_style

EVIL = '<script>alert(1)</script> & "so" role="x" \'y\''

# Simulation of colour vision deficiencies in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def chart(*names):
    frame = pl.DataFrame({"name": names or ("a", "b"), "number": [0.5] * (len(names) or 2)})
    return alt.Chart(frame).mark_bar(clip=True, opacity=0.5).encode(x="number:Q", y="name:N", color="name:N")


def lab(colour, vision):
    """Return a colour as seen with a vision deficiency, in CIELAB (D65)."""
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(VISIONS[vision]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_every_two_colours_differ_clearly_with_every_vision(vision):
    # A difference of 2.3 is just noticeable (Mahy, Van Eycken and Oosterlinck 1994).
    seen = [lab(colour, vision) for colour in chart_style.COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_the_same_chart_is_the_same_bytes():
    svgs = [chart_style.svg(chart(), "figure1", "Words") for _ in range(3)]
    assert len(set(svgs)) == 1
    assert len({chart_style.png(svgs[0]) for _ in range(3)}) == 1
    # Twelve times: without sorting, half of the PDF files have the right order by chance.
    assert len({chart_style.pdf(svgs[0]) for _ in range(12)}) == 1


@pytest.mark.slow
def test_two_processes_write_the_same_bytes():
    program = (
        "import sys, altair as alt, polars as pl; from dlbug_assets import chart_style; "
        "frame = pl.DataFrame({'a': ['x', 'y'], 'b': [1, 2]}); "
        "chart = alt.Chart(frame).mark_bar(opacity=0.4).encode(x='b:Q', y='a:N', color='a:N'); "
        "sys.stdout.buffer.write(chart_style.pdf(chart_style.svg(chart, 'n', 'w')))"
    )
    first, second = (subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in "12")
    assert first.stdout == second.stdout
    assert first.stdout.startswith(b"%PDF")


def test_charts_of_one_page_share_no_identifier():
    one, other = (chart_style.svg(chart(), name, "") for name in ("figure1", "figure2"))
    identifiers = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert identifiers == [{"figure1-1"}, {"figure2-1"}]
    assert "url(#figure1-1)" in one


def test_names_and_alternative_text_are_escaped():
    markup = chart_style.svg(chart(EVIL, "b"), "figure1", EVIL)
    tree = ET.fromstring(markup)  # noqa: S314 (our own)
    assert tree.get("aria-label") == EVIL
    assert EVIL in {text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert "<script" not in markup


def test_a_chart_has_an_alternative_text_and_loads_nothing():
    markup = chart_style.svg(chart(), "figure1", "Two bars")
    assert 'role="img" aria-label="Two bars"' in markup
    assert set(re.findall(r"https?://[^\"]+", markup)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_data_from_a_url_are_rejected():
    remote = alt.Chart("http://127.0.0.1:9/data.json").mark_bar().encode(x="a:Q")
    with pytest.raises(ValueError, match="127.0.0.1"):
        chart_style.svg(remote, "figure1", "")


def test_files_have_their_formats():
    markup = chart_style.svg(chart(), "figure1", "")
    assert chart_style.png(markup).startswith(b"\x89PNG")
    assert chart_style.pdf(markup).startswith(b"%PDF-1.")
    assert chart_style.markdown_image(markup, "a [b]\nc").startswith("![a  b  c](data:image/svg+xml;base64,")


@pytest.mark.slow
def test_definitions_load_without_altair_and_vl_convert():
    program = (
        "import sys; import dlbug_assets.definitions; "
        "print([name for name in ('altair', 'vl_convert') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
