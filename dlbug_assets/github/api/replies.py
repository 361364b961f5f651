"""Parse replies of the API that hold commits, and get the commits' details."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dlbug_assets.github.api.client import DEFINITE, DETAILS, OK, CollectionClient, is_valid, landed_response
from dlbug_assets.github.api.transport import Response
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection

#: A time with any zone that git accepts, such as +05:18:00, +530 or none, which means UTC.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.][0-9]+)? ?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[0-9]{1,2}):?(?P<minutes>[0-9]{2})?:?(?P<seconds>[0-9]{2})?)?"
)


def commit_items(response: Response) -> list[dict[str, Any]]:
    """Return the commits of a list or a comparison."""
    content = response.content
    return content["commits"] if isinstance(content, dict) else content


def parse_commit(item: Mapping[str, Any]) -> Commit:
    """Parse a commit from the API; times that are missing or not valid are None."""
    content = item["commit"]
    author, committer = content.get("author") or {}, content.get("committer") or {}
    return Commit(
        item["sha"],
        tuple(parent["sha"] for parent in item.get("parents", ())),
        author.get("email") or "",
        _time(author.get("date")),
        _time(committer.get("date")),
        (content.get("message") or "").replace("\0", "\N{REPLACEMENT CHARACTER}"),
    )


def get_details(client: CollectionClient, path: str, full_name: str, sha: str) -> bool:
    """Land a commit with its changes, all pages of its files; ``path`` is the repository's.

    Return whether that is final: either all pages have landed, or GitHub does not have, or does not show, the commit.
    Raises :class:`.http_client.MalformedError` as :meth:`.CollectionClient.get`.
    """
    what, page, seen = f"commit {sha[:12]} of {full_name}", 1, set[str]()
    response = client.get(DETAILS, f"{path}/commits/{sha}", what=what, sha=sha)
    while response.status == OK and response.has_next:
        names = {file["filename"] for file in response.content["files"]}
        if names <= seen:
            raise MalformedError(f"{what}: the API reports more files but repeats the same ones")
        seen |= names
        page += 1
        response = client.get(DETAILS, f"{path}/commits/{sha}", {"page": page}, what=what, sha=sha)
    return response.status == OK or (page == 1 and response.status in DEFINITE)


def landed_details(collections: Iterable[Collection]) -> dict[str, list[dict[str, Any]] | None]:
    """Return the pages of each commit's details by hash.

    The list is empty for a commit that GitHub does not have, or does not show. It is None for a commit that must be
    requested again: not all of its pages have landed, or GitHub refused it for a reason that may pass.
    """
    landed: dict[str, dict[int, Response]] = {}
    for collection in collections:
        for reply in collection.replies():
            purpose, page = reply.request["purpose"], reply.request["params"].get("page", 1)
            response = landed_response(reply)
            if purpose["purpose"] != DETAILS:
                continue
            pages = landed.setdefault(purpose["sha"], {})
            if not is_valid(response, DETAILS):
                continue
            # Only the first page decides whether the commit exists.
            if response.status == OK or (page == 1 and response.status in DEFINITE):
                pages[page] = response
    return {sha: _complete(pages) for sha, pages in landed.items()}


def _complete(pages: Mapping[int, Response]) -> list[dict[str, Any]] | None:
    """Return the content of a commit's pages, or None if one of them is missing."""
    if sorted(pages) != list(range(1, len(pages) + 1)) or not pages or pages[len(pages)].has_next:
        return None
    return [response.content for _, response in sorted(pages.items()) if response.status == OK]


def parse_change(pages: Sequence[Mapping[str, Any]]) -> Change:
    """Parse the changes of a commit from the pages of its details."""
    files = [file for page in pages for file in page.get("files", ())]
    stats = pages[0].get("stats") or {}
    return Change(len(files), stats.get("additions", 0), stats.get("deletions", 0), excerpt(_patches(files)))


def _patches(files: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for file in files:
        yield file.get("previous_filename") or file["filename"], file["filename"], file.get("patch") or ""


def _time(text: str | None) -> datetime | None:
    """Parse a time into UTC without a time zone; return None for one that is not valid or out of range."""
    found = _TIME.fullmatch(text or "")
    if found is None:
        return None
    hours, minutes, seconds = (int(found[name] or 0) for name in ("hours", "minutes", "seconds"))
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    try:
        local = datetime.fromisoformat(f"{found[1]}T{found[2]}")
        return local + offset if found["sign"] == "-" else local - offset
    except (ValueError, OverflowError):
        return None
