"""PyGithub on top of our transport: a requester that passes on PyGithub's requests, and the calls made through it.

PyGithub's objects and lists take a requester as a constructor argument and pass it on to what they create. Its own
requester would lose commits (it drops the query of a redirect, takes an empty reply for the end of a list, and retries
without a pause) and log whole replies, including people's e-mail addresses. tests/github/api/test_pygithub_upstream.py
covers each of these faults, and what the subclass here relies on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from github.Consts import DEFAULT_TIMEOUT, DEFAULT_USER_AGENT
from github.GithubException import GithubException
from github.PaginatedList import PaginatedList
from github.Repository import Repository, RepositorySearchResult
from github.Requester import Requester

from dlbug_assets.github.api.transport import RefusedError, Response


class TransportRequester(Requester):
    """A requester that gets every response from ``get``, given a path below ``root`` and parameters."""

    def __init__(self, root: str, per_page: int, get: Callable[[str, Mapping[str, Any] | None], Response]) -> None:
        super().__init__(
            auth=None, base_url=root, timeout=DEFAULT_TIMEOUT, user_agent=DEFAULT_USER_AGENT, per_page=per_page,
            verify=True, retry=None, pool_size=None,
        )  # fmt: skip
        self._get = get

    def requestJson(  # noqa: N802 - PyGithub's name
        self, verb: str, url: str, parameters: dict[str, Any] | None = None, *_: Any, **__: Any
    ) -> tuple[int, dict[str, Any], str]:
        """Return status, headers and body of a GET. The transport sets the headers and follows redirects."""
        if verb != "GET":
            raise AssertionError(f"{verb} {url}: only GET requests are sent")
        response = self._get(url.removeprefix(self.base_url).removeprefix("/"), parameters)
        return response.status, dict(response.headers), response.body.decode()


def search_repositories(requester: Requester, query: str, page: int) -> tuple[list[Repository], int, bool]:
    """Return a page of the repositories that match a query, the number of all matches, and whether it is incomplete.

    Pages begin at 1; repositories with the most stars come first; a page is incomplete where GitHub's search timed out.
    Raises :class:`RefusedError` for an invalid query.
    """
    params = {"sort": "stars", "order": "desc", "q": query}
    found = PaginatedList(RepositorySearchResult, requester, "/search/repositories", params)
    try:
        repositories = found.get_page(page - 1)
    except GithubException as error:
        raise RefusedError(f"GitHub refuses the search {query!r}: {error.data}") from None
    return list(repositories), found.totalCount, bool(found.incomplete_results)


def get_repository(requester: Requester, id_or_name: int | str) -> Repository | int:
    """Return a repository by its ID or by owner/name, or the HTTP status if GitHub refuses it."""
    collection = "repositories" if isinstance(id_or_name, int) else "repos"
    try:
        return Repository(requester, url=f"/{collection}/{id_or_name}")
    except GithubException as error:
        return error.status
