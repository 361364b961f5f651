"""The style of charts: one style, one colour per source or stage, and the files of a chart.

The same chart always results in the same bytes. Charts are Altair's (Vega-Lite), rendered by vl-convert, which brings
its own fonts and needs neither a browser nor a network. Both take a second to import, so that they are imported inside
functions: loading the definitions does not need them.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

if TYPE_CHECKING:
    import altair as alt

# vl-convert brings this font. Only one face is used: with several, the order of objects in PDF files changes.
_FONT = "Liberation Sans, Helvetica, Arial, sans-serif"
INK, SOFT, LINE = "#1c2430", "#5b6675", "#d9dee5"

#: The one colour of bars and squares that an axis names; intervals in ink are visible on it.
BAR = "#9ecae1"

#: Colours of sources or stages: blue, vermilion, bluish green, reddish purple, orange, sky blue and black of Okabe and
#: Ito 2008, "Color Universal Design".
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# The sizes of the letters of a title and of the notes below it, in pixels.
_SIZES = {"text": 14, "subtitle": 11}
# A narrower picture is widened to this many pixels of text, instead of breaking notes into many lines.
_LEAST_TEXT = 420
# If a viewer lacks the font, labels at the left and slanted ones below may be longer than vl-convert computed.
_PADDING = {"left": 40, "top": 8, "right": 8, "bottom": 24}
_WIDTH = re.compile(r'<svg [^>]*?\bwidth="(\d+)"')

_TAG = re.compile(r"<[^>]+>")
# Attributes for animation and screen readers, and empty paths: two thirds of the bytes that Vega writes.
_CLUTTER = re.compile(
    rf' (?:class|role|pointer-events|display|aria-[a-z]+)="[^"]*"| opacity="1"| font-weight="normal"'
    rf'| font-family="{_FONT}"|^<path[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>$'
)
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_IDENTIFIER = re.compile(r'\bid="([\w-]+)"')


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each source or stage; seven are distinct, which further ones repeat."""
    return dict(zip(names, cycle(COLOURS), strict=False))


def vega_lite(chart: "alt.TopLevelMixin") -> dict[str, Any]:
    """Return the chart as a Vega-Lite specification in the style of all charts."""
    axis = {"labelColor": INK, "titleColor": SOFT, "titleFontWeight": "normal", "gridColor": LINE, "tickColor": LINE,
            "domainColor": LINE, "labelLimit": 320, "labelFontSize": 11}  # fmt: skip
    config = {
        "font": _FONT,
        # Vega's description of each mark would be longer than the chart; svg() adds an alternative text instead.
        "aria": False,
        "view": {"stroke": LINE},
        "axis": axis,
        "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": "normal", "labelLimit": 320},
        "legend": {"orient": "top", "titleFontWeight": "normal", "labelColor": INK, "titleColor": SOFT},
        "title": {"anchor": "start", "fontWeight": "normal", "fontSize": _SIZES["text"], "color": INK,
                  "subtitleColor": SOFT, "subtitleFontSize": _SIZES["subtitle"], "subtitlePadding": 4, "offset": 12},
    }  # fmt: skip
    return {**chart.to_dict(), "config": config, "background": "white", "padding": _PADDING}


def svg(chart: "alt.TopLevelMixin", name: str, alternative: str) -> str:
    """Return the chart as SVG, with an alternative text.

    Identifiers start with ``name`` (letters, digits and hyphens), so that one page can contain several charts. Text is
    escaped. Title and notes are broken into lines that the picture has room for.
    """
    import vl_convert  # noqa: PLC0415 - see the module's docstring

    specification = vega_lite(chart)
    markup = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    # Vega does not count notes when it computes the width of a picture, and cuts what is longer.
    for fit in (_broken_title, _widened):
        fitted = fit(specification, _room(markup))
        if fitted != specification:
            specification, markup = fitted, vl_convert.vegalite_to_svg(fitted, allowed_base_urls=[])
    # vl-convert numbers identifiers from the start of the process.
    for number, identifier in enumerate(_IDENTIFIER.findall(markup), start=1):
        markup = re.sub(rf'(\bid="|url\(#|href="#){identifier}\b', rf"\g<1>{name}-{number}", markup)
    markup = _TAG.sub(lambda tag: _LONG_NUMBER.sub(_rounded, _CLUTTER.sub("", tag[0])), markup)
    return markup.replace(
        "<svg ", f'<svg role="img" aria-label="{escape(alternative)}" font-family="{_FONT}" font-weight="normal" ', 1
    )


def png(svg_text: str) -> bytes:
    """Convert SVG to PNG of twice its size."""
    import vl_convert  # noqa: PLC0415

    return vl_convert.svg_to_png(svg_text, scale=2)


def pdf(svg_text: str) -> bytes:
    """Convert SVG to PDF. Text remains text."""
    import vl_convert  # noqa: PLC0415

    # The entries of a resource dictionary are in random order.
    return re.sub(
        rb"(?:\n +/[a-z]+\d+ \d+ 0 R){2,}",
        lambda found: b"".join(sorted(re.findall(rb"\n[^\n]+", found[0]))),
        vl_convert.svg_to_pdf(svg_text),
    )


def markdown_image(svg_text: str, alternative: str) -> str:
    """Return SVG as a Markdown image with a data URI, which needs neither a file nor a server."""
    text = re.sub(r"[\[\]\n\\]", " ", alternative)
    return f"![{text}](data:image/svg+xml;base64,{base64.b64encode(svg_text.encode()).decode()})"


def scale(colour_of: Mapping[str, str]) -> "alt.Scale":
    """Return the colours of names as an Altair scale."""
    import altair as alt  # noqa: PLC0415

    return alt.Scale(domain=list(colour_of), range=list(colour_of.values()))


def _room(markup: str) -> int:
    """Return the pixels of a picture's width that title and notes may take."""
    width = _WIDTH.search(markup)
    return int(width[1]) - _PADDING["left"] - _PADDING["right"] if width else 0


def _lines(specification: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the lines of a chart's title (text) and notes (subtitle)."""
    title: str | dict[str, str | list[str]] = specification.get("title", {})
    parts = {"text": title} if isinstance(title, str) else title
    return {key: [text] if isinstance(text, str) else text for key, text in parts.items() if key in _SIZES}


def _broken_title(specification: dict[str, Any], room: int) -> dict[str, Any]:
    """Return a specification whose title and notes are broken into lines that fit, or of a moderate length."""
    before = _lines(specification)
    most = max(room, _LEAST_TEXT)
    after = {key: [part for line in of_key for part in _broken(line, _SIZES[key], most)]
             for key, of_key in before.items()}  # fmt: skip
    if after == before:
        return specification
    title = specification["title"]
    return {**specification, "title": {**({} if isinstance(title, str) else title), **after}}


def _widened(specification: dict[str, Any], room: int) -> dict[str, Any]:
    """Return a specification whose picture has room for the longest line."""
    lengths = (_length(line, _SIZES[key]) for key, lines in _lines(specification).items() for line in lines)
    missing = math.ceil(max(lengths, default=0) - room)
    if missing <= 0:
        return specification
    return {**specification, "padding": {**_PADDING, "right": _PADDING["right"] + missing}}


def _broken(text: str, size: int, room: float) -> list[str]:
    """Break a text between words into lines of at most ``room`` pixels; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _length(text: str, size: int) -> float:
    """Return about how long a text is in pixels, in a font as wide as viewers have in place of the charts' own."""
    return size * sum(1.0 if east_asian_width(c) in "WF" else 0.75 if c.isupper() else 0.58 for c in text)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):z.1f}".removesuffix(".0")
