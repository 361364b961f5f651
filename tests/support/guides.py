"""The commands in the guides, and the links between pages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from dlbug_assets.layout import CHECKOUT

assert CHECKOUT
PROJECT = CHECKOUT
#: The pages that users read.
PAGES = tuple(
    sorted(
        path
        for pattern in ("*.md", "docs/*.md", "deploy/*.md", "warehouse/README.md")
        for path in PROJECT.glob(pattern)
    )
)
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.M | re.S)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the commands of a page's shell blocks as lists of words, without comments and variables set before them."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        text = found[2].replace("\\\n", " ")
        for line in text.splitlines():
            for part in line.split(" && "):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words.pop(0)
                if words:
                    yield words


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links and images."""
    yield from _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    headings = re.findall(r"^#+ +(.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
