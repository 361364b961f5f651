"""The plain text of items for raters: a post and its accepted answer, or a commit's message and some of its patch."""

import re
from html.parser import HTMLParser

import polars as pl

#: Characters of an item's text: the most that a spreadsheet cell can contain (32,767), less the note that it was cut.
MAX_LENGTH = 32_000
_BLOCKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "blockquote", "tr", "hr", "br", "ul", "ol", "table"}
#: Characters that are not allowed in a workbook's XML.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff]")


class _TextParser(HTMLParser):
    """Collects the text of a post: separate paragraphs, code unchanged, images as their alternative text."""

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


def post_text(body_html: str | None) -> str | None:
    """Return the text of a post's body; None for None."""
    if body_html is None:
        return None
    parser = _TextParser()
    parser.feed(body_html)
    parser.close()
    return clean("".join(parser.parts))


def commit_text(message: str | None, patch: str | None) -> str | None:
    """Return a commit's message and the beginning of its patch; None without either."""
    parts = [part for part in (message, patch) if part]
    return clean("\n\n".join(parts)) if parts else None


def clean(text: str) -> str:
    """Return text that fits a spreadsheet cell: control characters replaced, blank lines merged, cut to MAX_LENGTH."""
    text = re.sub(
        r"\n\s*\n\s*\n+", "\n\n", _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    ).strip()
    if len(text) <= MAX_LENGTH:
        return text
    return f"{text[:MAX_LENGTH]}\n[cut here: follow the link for the rest]"


def item_texts(items: pl.DataFrame, posts: pl.DataFrame, commits: pl.DataFrame) -> pl.DataFrame:
    """Return the texts of each item, in the order of ``items`` (labeling.items).

    The columns are ``content`` and ``accepted_answer``, the text of the answer to a post that its asker accepted (null
    without one). ``posts`` has library, post_id, body_html and accepted_html; ``commits`` library, sha, message and
    patch_excerpt.
    """
    bodies = {(library, number): (question, answer) for library, number, question, answer in posts.rows()}
    changes = {(library, sha): (message, patch) for library, sha, message, patch in commits.rows()}
    texts = []
    for library, post_id, sha in items.select("library", "post_id", "commit_sha").rows():
        if sha is None:
            question, answer = bodies.get((library, post_id), (None, None))
            texts.append((post_text(question), post_text(answer)))
        else:
            texts.append((commit_text(*changes.get((library, sha), (None, None))), None))
    return pl.DataFrame(texts, schema={"content": pl.String, "accepted_answer": pl.String}, orient="row")
