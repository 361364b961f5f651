"""Parse replies of the API that hold commits, and get the commits' details."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.github.api.client import DETAILS, OK, CollectionClient, has_expected_shape, landed_response
from dlbug_assets.github.api.transport import Response
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection


def commit_items(response: Response) -> list[dict[str, Any]]:
    """Return the commits of a list or a comparison; raise :class:`MalformedError` for any other status than 200."""
    if response.status != OK:
        raise MalformedError(f"HTTP {response.status} in the middle of a history")
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


def get_details(client: CollectionClient, path: str, sha: str) -> None:
    """Land a commit with its changes, all pages of its files; ``path`` is the repository's."""
    page = 1
    response = client.get(DETAILS, f"{path}/commits/{sha}", sha=sha)
    while response.status == OK and response.has_next:
        page += 1
        response = client.get(DETAILS, f"{path}/commits/{sha}", {"page": page}, sha=sha)


def landed_details(collections: Iterable[Collection]) -> dict[str, list[dict[str, Any]]]:
    """Return the pages of each commit's details by hash, for commits whose pages have all landed.

    The list is empty for a commit that GitHub does not have.
    """
    landed: dict[str, dict[int, Response]] = {}
    for collection in collections:
        for reply in collection.replies():
            purpose, page = reply.request["purpose"], reply.request["params"].get("page", 1)
            response = landed_response(reply)
            if purpose["purpose"] != DETAILS or not has_expected_shape(response, DETAILS):
                continue
            # Only the first page decides whether the commit exists.
            if response.status == OK or page == 1:
                landed.setdefault(purpose["sha"], {})[page] = response
    return {
        sha: [response.content for _, response in sorted(pages.items()) if response.status == OK]
        for sha, pages in landed.items()
        if not pages[max(pages)].has_next
    }


def parse_change(pages: Sequence[Mapping[str, Any]]) -> Change:
    """Parse the changes of a commit from the pages of its details."""
    files = [file for page in pages for file in page.get("files", ())]
    stats = pages[0].get("stats") or {}
    return Change(len(files), stats.get("additions", 0), stats.get("deletions", 0), excerpt(_patches(files)))


def _patches(files: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for file in files:
        yield file.get("previous_filename") or file["filename"], file["filename"], file.get("patch") or ""


def _time(text: str | None) -> datetime | None:
    try:
        return parse_timestamp(text) if text else None
    except (ValueError, OverflowError):
        return None
