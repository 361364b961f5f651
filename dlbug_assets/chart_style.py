"""How pictures are drawn: one style, one colour per category, and the files of a chart. The same chart, the same bytes.

What belongs here: what all charts have in common. What a chart shows stands where its rows are made.

Charts are Altair's (Vega-Lite), drawn by vl-convert, which brings its own fonts and needs neither a browser nor a
network. Both are imported inside functions: they take a second, which definitions would pay whenever they load.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

# vl-convert brings this font. One face of it: with several, it writes PDF files in an order that changes.
_FONT = "Liberation Sans, Helvetica, Arial, sans-serif"
INK, SOFT, LINE = "#1c2430", "#5b6675", "#d9dee5"

#: Colours of categories in the order of the taxonomy: out of the palettes of Tol (2021), "Colour Schemes", the twelve
#: that are furthest apart to normal, protan, deutan and tritan eyes, each as far as possible from those before it.
PALETTE = (
    "#332288", "#CC3311", "#99DDFF", "#EEDD88", "#882255", "#4477AA",
    "#FFAABB", "#AAAA00", "#EE8866", "#661100", "#77AADD", "#BB5566",
)  # fmt: skip

#: Blue and vermilion of Okabe & Ito (2008), "Color Universal Design".
SOURCE_COLOURS = {"Stack Overflow": "#0072B2", "GitHub": "#D55E00"}

_TAG = re.compile(r"<[^>]+>")
# What Vega writes for programs that animate pictures or read them out, and paths of no length: two thirds of the bytes.
_CLUTTER = re.compile(
    rf' (?:class|role|pointer-events|display|aria-[a-z]+)="[^"]*"| opacity="1"| font-weight="normal"'
    rf'| font-family="{_FONT}"|^<path[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>$'
)
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_IDENTIFIER = re.compile(r'\bid="([\w-]+)"')


def colours(categories: Sequence[str]) -> dict[str, str]:
    """The colour of each category of a dimension, given in the order of the taxonomy. The palette has twelve; those
    of further categories repeat, so that a chart must also name each category at its place."""
    return dict(zip(categories, cycle(PALETTE), strict=False))


def styled(chart: "alt.TopLevelMixin") -> dict[str, Any]:
    """The chart as Vega-Lite in the style of all charts."""
    axis = {"labelColor": INK, "titleColor": SOFT, "titleFontWeight": "normal", "gridColor": LINE, "tickColor": LINE,
            "domainColor": LINE, "labelLimit": 320, "labelFontSize": 11}  # fmt: skip
    config = {
        "font": _FONT,
        # Its own account of each mark would be longer than the picture; the text beside it is written from the rows.
        "aria": False,
        "view": {"stroke": LINE},
        "axis": axis,
        "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": "normal", "labelLimit": 320},
        "legend": {"orient": "top", "titleFontWeight": "normal", "labelColor": INK, "titleColor": SOFT},
        "title": {"anchor": "start", "fontWeight": "normal", "fontSize": 14, "color": INK, "subtitleColor": SOFT,
                  "subtitleFontSize": 11, "subtitlePadding": 4, "offset": 12},
    }  # fmt: skip
    # Where a page is shown without the font, labels at the left may be wider than they were drawn.
    padding = {"left": 40, "top": 8, "right": 8, "bottom": 8}
    return {**chart.to_dict(), "config": config, "background": "white", "padding": padding}


def svg(chart: "alt.TopLevelMixin", name: str, alternative: str) -> str:
    """The chart as SVG, with its alternative text.

    Identifiers in it begin with ``name`` (of letters, digits and hyphens), so that several pictures can stand in one
    page. Text in it is escaped.
    """
    import vl_convert  # noqa: PLC0415 - see the top of this module

    picture = vl_convert.vegalite_to_svg(styled(chart), allowed_base_urls=[])
    # Numbered through since the process began.
    for number, identifier in enumerate(_IDENTIFIER.findall(picture), start=1):
        picture = re.sub(rf'(\bid="|url\(#|href="#){identifier}\b', rf"\g<1>{name}-{number}", picture)
    picture = _TAG.sub(lambda tag: _LONG_NUMBER.sub(_tenths, _CLUTTER.sub("", tag[0])), picture)
    return picture.replace(
        "<svg ", f'<svg role="img" aria-label="{escape(alternative)}" font-family="{_FONT}" font-weight="normal" ', 1
    )


def png(picture: str) -> bytes:
    """An SVG as PNG of twice its size."""
    import vl_convert  # noqa: PLC0415

    return vl_convert.svg_to_png(picture, scale=2)


def pdf(picture: str) -> bytes:
    """An SVG as PDF. Letters stay letters."""
    import vl_convert  # noqa: PLC0415

    # The entries of a resource dictionary come in an order of chance.
    return re.sub(
        rb"(?:\n +/[a-z]+\d+ \d+ 0 R){2,}",
        lambda found: b"".join(sorted(re.findall(rb"\n[^\n]+", found[0]))),
        vl_convert.svg_to_pdf(picture),
    )


def markdown_image(picture: str, alternative: str) -> str:
    """An SVG as a picture in Markdown: a data URI, which shows without a file or a server."""
    words = re.sub(r"[\[\]\n\\]", " ", alternative)
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()})"


def scale(colour_of: Mapping[str, str]) -> "alt.Scale":
    """The colours of categories as a scale of Altair."""
    import altair as alt  # noqa: PLC0415

    return alt.Scale(domain=list(colour_of), range=list(colour_of.values()))


def _tenths(found: re.Match[str]) -> str:
    return f"{float(found[0]):z.1f}".removesuffix(".0")
