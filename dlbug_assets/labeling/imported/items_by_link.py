"""Find items of the queue by their ID or link, however it is written."""

import re
from collections import defaultdict
from urllib.parse import urlsplit

import polars as pl

from dlbug_assets.protocol.names import shown

_NUMBER = re.compile(r"#?(\d{1,18})(?:\.0)?")
_QUESTION = re.compile(r"/(?:q|questions)/(\d{1,18})(?:/.*)?")
_SHA = re.compile(r"[0-9a-f]{7,40}")
_COMMIT = re.compile(r"(?:.*/)?(?:commits?|blob|tree)/([0-9a-f]{7,40})(?:[/.].*)?")
#: The shortest beginning of a hash that git itself prints.
_SHORT = 7
#: Characters of a cell in a message: enough for most links.
_MOST_SHOWN = 200


class UnknownItemError(Exception):
    """A row is about no item of the queue, or does not tell which."""


class ItemsByLink:
    """The items of a queue (labeling.items), found by what a file calls them."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._libraries: dict[str, str] = {}
        self._by_link: defaultdict[str, list[str]] = defaultdict(list)
        self._by_post: defaultdict[int, list[str]] = defaultdict(list)
        self._by_short_sha: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for item_id, library, link, post_id, sha in items.select(
            "item_id", "library", "link", "post_id", "commit_sha"
        ).iter_rows():
            self._libraries[item_id] = library
            if link:
                self._by_link[_normalized(link)].append(item_id)
            if post_id is not None:
                self._by_post[post_id].append(item_id)
            if sha:
                self._by_short_sha[sha[:_SHORT]].append((sha, item_id))

    def find(self, item_id: str | None, link: str | None, library: str | None) -> str:
        """Return the item_id of an item; raise UnknownItemError if there is none, or if several may be meant.

        ``link`` is an address in any of its forms, the number of a question, or the hash of a commit or its beginning;
        ``library`` tells the items of a link apart.
        """
        found = self._named(item_id, link)
        within = [each for each in found if library in (None, self._libraries[each])]
        libraries = " and ".join(self._libraries[each] for each in found)
        if not within:
            raise UnknownItemError(f"library: it is {library}, but the item is of {libraries}")
        if len(within) > 1:
            if library is None and len({self._libraries[each] for each in within}) == len(within):
                raise UnknownItemError(
                    f"library: the link is an item of each of {libraries}: map library to tell which is meant"
                )
            raise UnknownItemError(f"link: {_shown(link)} is the beginning of several items: {', '.join(within)}")
        return within[0]

    def _named(self, item_id: str | None, link: str | None) -> list[str]:
        """Return the items that are meant if the library does not matter."""
        if item_id is None and link is None:
            raise UnknownItemError("neither item_id nor link tells which item the row is about")
        linked = [] if link is None else self._linked(link)
        if item_id is None:
            if not linked:
                raise UnknownItemError(f"link: {_shown(link)} is of no item in the queue")
            return linked
        if item_id not in self._libraries:
            raise UnknownItemError(f"item_id: {_shown(item_id)} is not in the queue")
        if link is not None and item_id not in linked:
            raise UnknownItemError(f"link: {_shown(link)} is not the link of {item_id}")
        return [item_id]

    def _linked(self, link: str) -> list[str]:
        text = link.strip()
        if (number := _NUMBER.fullmatch(text)) and (found := self._by_post.get(int(number[1]))):
            return found
        if _SHA.fullmatch(text.lower()):
            return self._with_sha(text.lower())
        if found := self._by_link.get(_normalized(text)):
            return found
        commit = _COMMIT.fullmatch(_path(text).lower())
        return self._with_sha(commit[1]) if commit else []

    def _with_sha(self, beginning: str) -> list[str]:
        known = self._by_short_sha.get(beginning[:_SHORT], [])
        return [item_id for sha, item_id in known if sha.startswith(beginning)]


def _shown(text: str | None) -> str:
    return shown(text, _MOST_SHOWN)


def _normalized(link: str) -> str:
    """Return an address without what does not matter: its scheme, `www.`, a slash at its end, a question's slug."""
    try:
        parts = urlsplit(link if "//" in link else f"//{link}")
    except ValueError:  # such as an unfinished IPv6 address
        return link
    host = parts.netloc.lower().removeprefix("www.")
    if question := _QUESTION.fullmatch(parts.path):
        return f"{host}/questions/{question[1]}"
    return f"{host}{parts.path.rstrip('/')}" + (f"?{parts.query}" if parts.query else "")


def _path(link: str) -> str:
    try:
        return urlsplit(link).path
    except ValueError:
        return ""
