"""The numbers in the text of a report, and those that its tables have."""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

import polars as pl

from dlbug_assets.analysis.claims.support import CONTRADICTED, DRAWS, SUPPORTED
from dlbug_assets.protocol.study import Study

_NUMBER = re.compile(r"(?<![\w.#-])\d[\d,]*(?:\.\d+)?%?(?![\w-])")
_NAMED = re.compile(r"\b(?:Figure|Table|Finding) S?\d+|\bRQ\d+")
#: Numbers of the text itself: levels of tests and intervals, the least bugs and clusters, and limits of coefficients.
_OF_THE_TEXT = {"95%", "5%", "10", "5", "2", "1", "0", "10%", "100%"}


def prose(page: str) -> str:
    """Return the paragraphs and list items of a page as text, without tables, figures, queries and code."""
    body = page.split("</style>")[1]
    body = re.sub(r"<(table|svg|pre|code|nav)\b.*?</\1>", " ", body, flags=re.DOTALL)
    return " ".join(
        unescape(re.sub(r"<[^>]+>", " ", text)) for text in re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", body, re.S)
    )


def unknown_numbers(page: str, rows: Mapping[str, pl.DataFrame], study: Study) -> list[str]:
    """Return the numbers in the text of a report that neither its rows nor its study have."""
    known = _OF_THE_TEXT | {f"{SUPPORTED:.0%}", f"{CONTRADICTED:.0%}", f"{DRAWS:,}"}
    known |= set(_numbers(study.model_dump_json()))
    known |= {str(len(frame)) for frame in rows.values()}
    known |= {text for frame in rows.values() for row in frame.rows() for value in row for text in _shown(value)}
    return [number for number in _numbers(_NAMED.sub(" ", prose(page))) if number.strip(",") not in known]


def _numbers(text: str) -> Iterator[str]:
    return (found.rstrip(",") for found in _NUMBER.findall(text))


def _shown(value: Any) -> set[str]:
    """Return how a report may show a value."""
    if isinstance(value, float):
        return {f"{abs(value):.3f}", f"{100 * value:.1f}%", f"{value:.2f}"} | ({"0.001"} if value < 0.001 else set())
    return set(_numbers(str(value)))
