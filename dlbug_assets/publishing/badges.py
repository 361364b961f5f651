"""Badges: one small SVG per claim that shows whether the bugs support it, for web pages and READMEs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_COLOURS = {"supported": "#1a7f37", "contradicted": "#b42318", "undecided": "#8a5a00", "not testable": "#57606a"}
#: Width of a character of 11 pixels in Verdana or its substitutes; ``textLength`` makes the text fit in any font.
_CHARACTER = 6.7
_PADDING = 6


def badge_names(claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the file name of each row of analysis.claims, in its order.

    It follows the finding: ``finding-3.svg`` is its headline claim, ``finding-3-2.svg`` the second of the others.
    """
    others: Counter[int] = Counter()
    names: list[str] = []
    for row in claims:
        name = f"finding-{row['finding']}"
        if row["role"] != "headline":
            others[row["finding"]] += 1
            name += f"-{others[row['finding']]}"
        names.append(f"{name}.svg")
    return names


def badges(claims: Sequence[Mapping[str, Any]], notice: str | None) -> dict[str, bytes]:
    """Return a badge per row of analysis.claims by file name; ``notice`` marks those of synthetic data."""
    files: dict[str, bytes] = {}
    for name, row in zip(badge_names(claims), claims, strict=True):
        label = name.removesuffix(".svg").replace("-", " ", 1).replace("-", ".")
        title = f"{row['claim']}: {row['support']}" + (f" ({notice})" if notice else "")
        files[name] = badge(label + (" (synthetic)" if notice else ""), row["support"], title).encode()
    return files


def badge(label: str, support: str, title: str) -> str:
    """Return a badge as SVG, with the colour of ``support`` and a title that screen readers read out."""
    parts = [(label, "#444c56"), (support, _COLOURS[support])]
    texts = [round(len(text) * _CHARACTER) for text, _ in parts]
    widths = [text + 2 * _PADDING for text in texts]
    drawn = "".join(
        f'<rect x="{left}" width="{width}" height="20" fill="{colour}"/>'
        f'<text x="{left + width / 2:g}" y="14" textLength="{length}">{escape(text)}</text>'
        for (text, colour), length, width, left in zip(parts, texts, widths, (0, widths[0]), strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths)}" height="20" role="img" aria-labelledby="title">'
        f'<title id="title">{escape(title)}</title>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{drawn}</g>'
        "</svg>\n"
    )
