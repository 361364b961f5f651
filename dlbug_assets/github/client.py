"""GitHub's REST API through PyGithub, with PyGithub's own network underneath replaced.

PyGithub puts requests together and reads what comes. What it does with the network would lose commits (it drops the
query of a redirect, takes an empty reply or a 304 for the end of a list, tries again without a pause) and tell
secrets (its debug lines have whole replies, addresses of people included). So its requests end here: they land in a
collection, and what has landed already is not asked for again.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dlbug_assets.github.transport import Answer, RefusedError, Transport
from dlbug_assets.landing import Collection, Reply
from dlbug_assets.wire import MalformedError

if TYPE_CHECKING:
    from github.Repository import Repository

PAGE_SIZE = 100
OK, NOT_MODIFIED = 200, 304
#: What a reply was asked for, as it is landed beside it; and what it has at least.
SEARCH, REPOSITORY, HEAD, LISTED, AHEAD, LOST, DETAILS = (
    "search", "repository", "head", "listed", "ahead", "lost", "details",
)  # fmt: skip
_COMPARISON = {"commits": list, "status": str, "total_commits": int}
_SHAPES: Mapping[str, Mapping[str, type] | None] = {
    SEARCH: {"items": list, "total_count": int},
    REPOSITORY: {"id": int, "full_name": str},
    HEAD: None,  # a list of commits
    LISTED: None,
    AHEAD: _COMPARISON,
    LOST: _COMPARISON,
    DETAILS: {"sha": str, "commit": dict, "files": list},
}
#: Refusals that say what has become of a repository.
STATES = {403: "blocked", 404: "gone", 409: "empty", 410: "gone", 451: "blocked"}


class Conversation:
    """Asking within one collection: replies land in it, and what has landed already is not asked for again."""

    def __init__(self, transport: Transport, collection: Collection) -> None:
        import github  # noqa: PLC0415 - slow to import

        self.collection = collection
        self.requests = 0
        self._transport = transport
        self._purpose, self._more = SEARCH, dict[str, Any]()
        self._landed: dict[str, Answer] = {}
        for reply in collection.replies():
            request, answer = reply.request, answer_in(reply)
            if is_whole(answer, request["purpose"]["purpose"]) and not _is_incomplete(answer):
                self._landed[_key(request["path"], request["params"], request["purpose"])] = answer
        self._failure = github.GithubException
        self._hub = github.Github(
            base_url=transport.root, per_page=PAGE_SIZE, retry=None, seconds_between_requests=None, lazy=False
        )
        vars(self._hub.requester)["requestJson"] = self._request_json

    def ask(
        self,
        purpose: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        etag: str | None = None,
        **more: Any,
    ) -> Answer:
        """The answer to a path with these parameters. ``etag`` lets an unchanged one be a 304, which does not land;
        ``more`` is landed beside it. Raises what :class:`Transport` raises, and :class:`MalformedError` for a reply
        that is not what was asked for."""
        given, beside = dict(params or {}), {"purpose": purpose, **more}
        landed = self._landed.get(_key(path, given, beside))
        if landed is not None:
            return landed
        self.requests += 1
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._transport.get(path, given, headers, lambda answer: self._land(path, given, beside, answer))
        if not is_whole(answer, purpose):
            raise MalformedError(f"{self._transport.root}/{path}: the reply is not what was asked for")
        return answer

    def search(self, query: str, page: int, attempt: int) -> tuple[list["Repository"], int, bool]:
        """A page (1, 2 ..) of the repositories that a query finds, by stars; how many it finds in all, and whether
        GitHub ran out of time while searching. Raises :class:`RefusedError` for a query that cannot be."""
        self._purpose, self._more = SEARCH, {"attempt": attempt}
        found = self._hub.search_repositories(query, sort="stars", order="desc")
        try:
            repositories = found.get_page(page - 1)
        except self._failure as error:
            raise RefusedError(f"GitHub refuses the search {query!r}: {error.data}") from None
        return list(repositories), found.totalCount, bool(found.incomplete_results)

    def repository(self, number_or_name: int | str) -> "Repository | str":
        """A repository by its number, or owner/name; or the state that it is in instead."""
        self._purpose, self._more = REPOSITORY, {}
        try:
            return self._hub.get_repo(number_or_name)
        except self._failure as error:
            if error.status in STATES:
                return STATES[error.status]
            raise MalformedError(f"{number_or_name}: HTTP {error.status} without a meaning") from None

    def _request_json(
        self, verb: str, url: str, parameters: Mapping[str, Any] | None = None, *_: Any, **__: Any
    ) -> tuple[int, dict[str, Any], str]:
        """What PyGithub takes for its own way to the network."""
        if verb != "GET":
            raise AssertionError(f"{verb} {url}: nothing is ever written")
        path = url.removeprefix(self._transport.root).removeprefix("/")
        answer = self.ask(self._purpose, path, parameters, **self._more)
        return answer.status, dict(answer.headers), answer.body.decode()

    def _land(self, path: str, params: Mapping[str, Any], purpose: Mapping[str, Any], answer: Answer) -> None:
        told = {name: answer.headers.get(name, "") for name in ("etag", "link")}
        request = {"path": path, "params": dict(params), "purpose": dict(purpose), "status": answer.status, **told}
        self.collection.land(request, answer.body)


def moment(value: datetime | None) -> str | None:
    """A moment of PyGithub's as ISO text, UTC, without zone."""
    return value and value.astimezone(UTC).replace(tzinfo=None).isoformat()


def _key(path: str, params: Mapping[str, Any], purpose: Mapping[str, Any]) -> str:
    return json.dumps([path, params, purpose], sort_keys=True)


def answer_in(reply: Reply) -> Answer:
    """The answer that landed as a reply."""
    request = reply.request
    return Answer(request["status"], {"etag": request["etag"], "link": request["link"]}, reply.body)


def is_whole(answer: Answer, purpose: str) -> bool:
    """Whether a reply is what was asked for: when it comes, and when it is read again."""
    if answer.status != OK:
        return True
    try:
        content = answer.content
    except MalformedError:
        return False
    shape = _SHAPES[purpose]
    if shape is None:
        return isinstance(content, list) and all(isinstance(item, dict) and "sha" in item for item in content)
    return isinstance(content, dict) and all(isinstance(content.get(name), kind) for name, kind in shape.items())


def _is_incomplete(answer: Answer) -> bool:
    """Whether a search was cut short: it is asked again."""
    return answer.status == OK and isinstance(answer.content, dict) and bool(answer.content.get("incomplete_results"))
