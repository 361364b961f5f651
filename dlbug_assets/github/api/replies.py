"""Replies of the API that hold commits, read; and the replies to commits' hashes, which hold what they change."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dlbug_assets.github.api.client import DETAILS, OK, CollectionClient, answer_in, is_whole
from dlbug_assets.github.api.transport import Answer
from dlbug_assets.github.commits import Change, Commit, excerpt
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection


def commits_in(answer: Answer) -> list[dict[str, Any]]:
    """The commits of a list or a comparison; raises :class:`MalformedError` for a refusal."""
    if answer.status != OK:
        raise MalformedError(f"HTTP {answer.status} in the middle of a history")
    content = answer.content
    return content["commits"] if isinstance(content, dict) else content


def commit_in(item: Mapping[str, Any]) -> Commit:
    """One commit as the API tells it."""
    content = item["commit"]
    author, committer = content.get("author") or {}, content.get("committer") or {}
    return Commit(
        item["sha"],
        tuple(parent["sha"] for parent in item.get("parents", ())),
        author.get("email") or "",
        _moment(author.get("date")),
        _moment(committer.get("date")),
        (content.get("message") or "").replace("\0", "\N{REPLACEMENT CHARACTER}"),
    )


def ask_for_details(client: CollectionClient, path: str, sha: str) -> None:
    """Ask for a commit with its changes, all pages of its files; ``path`` is the repository's."""
    page = 1
    answer = client.ask(DETAILS, f"{path}/commits/{sha}", sha=sha)
    while answer.status == OK and answer.has_next:
        page += 1
        answer = client.ask(DETAILS, f"{path}/commits/{sha}", {"page": page}, sha=sha)


def landed_details(collections: Iterable[Collection]) -> dict[str, list[dict[str, Any]]]:
    """The pages of the replies to commits' hashes, by hash, where all of them landed; none where GitHub has no such
    commit (any more)."""
    landed: dict[str, dict[int, Answer]] = {}
    for collection in collections:
        for reply in collection.replies():
            purpose, page = reply.request["purpose"], reply.request["params"].get("page", 1)
            answer = answer_in(reply)
            if purpose["purpose"] != DETAILS or not is_whole(answer, DETAILS):
                continue
            # That a later page is refused says nothing of the commit.
            if answer.status == OK or page == 1:
                landed.setdefault(purpose["sha"], {})[page] = answer
    return {
        sha: [answer.content for _, answer in sorted(pages.items()) if answer.status == OK]
        for sha, pages in landed.items()
        if not pages[max(pages)].has_next
    }


def change(pages: Sequence[Mapping[str, Any]]) -> Change:
    """What a commit changes, of the pages of the reply to its hash."""
    files = [file for page in pages for file in page.get("files", ())]
    stats = pages[0].get("stats") or {}
    return Change(len(files), stats.get("additions", 0), stats.get("deletions", 0), excerpt(_patches(files)))


def _patches(files: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for file in files:
        yield file.get("previous_filename") or file["filename"], file["filename"], file.get("patch") or ""


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None) if text else None
    except (ValueError, OverflowError):
        return None
