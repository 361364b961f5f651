"""What raters read of an item: a post's text, or a commit's message and the beginning of its patch, as plain text."""

import re
from html.parser import HTMLParser

import polars as pl

#: The longest text that a spreadsheet's cell takes (32,767 characters), less a note that it was cut.
LONGEST = 32_000
_BLOCKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "blockquote", "tr", "hr", "br", "ul", "ol", "table"}
#: What no workbook may hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff]")


class _Text(HTMLParser):
    """The text of a post: paragraphs apart, code as it is, images and links as what they show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "pre":
            self._code += 1
            self.parts.append("\n\n")
        elif tag in _BLOCKS:
            self.parts.append("\n")
        elif tag == "img":
            self.parts.append(f"[image: {dict(attrs).get('alt') or 'without a description'}]")

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self._code = max(self._code - 1, 0)
            self.parts.append("\n\n")
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data if self._code else re.sub(r"\s+", " ", data))


def of_post(body_html: str | None) -> str | None:
    """The text of a post's body; NULL stays NULL."""
    if body_html is None:
        return None
    parser = _Text()
    parser.feed(body_html)
    parser.close()
    return tidied("".join(parser.parts))


def of_commit(message: str | None, patch: str | None) -> str | None:
    """A commit's message and the beginning of its patch."""
    parts = [part for part in (message, patch) if part]
    return tidied("\n\n".join(parts)) if parts else None


def tidied(text: str) -> str:
    """Text without characters that no workbook may hold, without runs of blank lines, and not longer than a cell."""
    text = re.sub(
        r"\n\s*\n\s*\n+", "\n\n", _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    ).strip()
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[cut here: the rest is behind the link]"


def contents(items: pl.DataFrame, posts: pl.DataFrame, commits: pl.DataFrame) -> pl.Series:
    """What there is to read of each item, in the order of ``items`` (labeling.items).

    ``posts`` has library, post_id and body_html; ``commits`` library, sha, message and patch_excerpt.
    """
    bodies = {(library, number): body for library, number, body in posts.rows()}
    changes = {(library, sha): (message, patch) for library, sha, message, patch in commits.rows()}
    texts = [
        of_post(bodies.get((library, post_id)))
        if sha is None
        else of_commit(*changes.get((library, sha), (None, None)))
        for library, post_id, sha in items.select("library", "post_id", "commit_sha").rows()
    ]
    return pl.Series("content", texts, pl.String)
