"""Discovery of a library's repositories: GitHub's search finds them, or the study lists them and they are looked up.

A search returns at most a thousand results, so it is split into windows of creation time until each window has fewer.
Repositories are identified by their ID, because names change. A repository that was selected stays selected even if
others get more stars, so that the sample is stable. One that the search no longer finds is looked up for its state.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from dlbug_assets.clock import utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.client import PAGE_SIZE, CollectionClient
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Library

if TYPE_CHECKING:
    from github.Repository import Repository as GitHubRepository

logger = logging.getLogger(__name__)

#: The number of results that a search returns at most.
_MOST = 1000
_BEFORE_GITHUB = datetime(2007, 1, 1)
_ATTEMPTS = 4
#: States of repositories that still have their name.
_PRESENT = ("ok", "renamed")


class SearchTimeoutError(DlbugError):
    """GitHub's search timed out in every attempt."""


class Discovery:
    """The discovery of one library's repositories through the API."""

    KIND: ClassVar[str] = "discovery"

    def __init__(self, library: Library, landing: Landing, access: ApiAccess) -> None:
        self._library = library
        self._landing = landing
        self._access = access

    def repositories(self) -> list[Repository]:
        """Return the repositories of the last discovery, those that another one replaced under their name at the end.

        So a commit that is in both counts in the new one.
        """
        rows = self._last_rows()
        # A repository that is present overrides one that is not.
        numbers = {row["full_name"]: row["number"] for row in sorted(rows, key=lambda row: row["state"] in _PRESENT)}
        repositories = [
            Repository(
                f"{self._access.git_root}/{row['full_name']}.git",
                row["full_name"],
                row["number"],
                row["page"],
                row["state"],
                row["facts"],
                is_replaced=numbers[row["full_name"]] != row["number"],
            )
            for row in rows
        ]
        return sorted(repositories, key=lambda repository: repository.is_replaced)

    def is_due(self, *, sweep: bool) -> bool:
        """Return whether to discover: for a sweep, and if the study's query or list has changed since the last time."""
        return sweep or self._last() is None

    def collect(self) -> dict[str, Any]:
        """Search and look up repositories, resume an unfinished discovery, and return counts.

        Raises what :class:`.transport.Transport` raises, and :class:`SearchTimeoutError`.
        """
        collection = self._access.resume_or_begin(self._landing, self._library.name, self.KIND, self._inputs())
        client = self._access.collection_client(collection)
        before = self._last_rows()
        if isinstance(self._library.repositories, str):
            rows = self._search(client, self._library.repositories, before)
        else:
            listed = [row for name in self._library.repositories for row in self._look_up(client, name, before)]
            # A repository listed by its old and its new name counts once.
            rows = list({row["number"] or row["full_name"]: row for row in listed}.values())
        collection.finish(
            {
                "finished_at": self._access.now().isoformat(),
                "found": rows,
                "repositories": len(rows),
                "requests": client.requests,
                "quota_left": self._access.quota_status().quota_left,
            }
        )
        return {"repositories": len(rows), "requests": client.requests}

    def _inputs(self) -> dict[str, Any]:
        """Return what a discovery depends on, as JSON represents it."""
        repositories = self._library.repositories
        return {
            "repositories": repositories if isinstance(repositories, str) else list(repositories),
            "max_repositories": self._library.max_repositories,
        }

    def _last(self) -> Collection | None:
        last = next(reversed(self._landing.done(self._library.name, {self.KIND})), None)
        return last if last and last.begun == self._inputs() else None

    def _last_rows(self) -> list[dict[str, Any]]:
        last = self._last()
        return last.done["found"] if last else []

    def _search(
        self, client: CollectionClient, query: str, before: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        found = _Search(client, query, self._access.sleep).within(_BEFORE_GITHUB, client.collection.begun_at)
        selected = {row["number"] for row in before}
        rows = [self._updated(client, row, found) for row in before]
        others = sorted((row for row in found.values() if row["number"] not in selected), key=_by_stars)
        rows += others[: max(self._library.max_repositories - len(rows), 0)]
        return sorted(rows, key=_by_stars)

    def _updated(
        self, client: CollectionClient, before: Mapping[str, Any], found: Mapping[int, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return the current row of a repository, from the search or from a look-up."""
        row = found.get(before["number"])
        if row is None:
            looked_up = client.repository(before["number"])
            if isinstance(looked_up, str):
                return {**before, "state": looked_up}
            row = _row(looked_up)
        is_renamed = before["state"] == "renamed" or before["full_name"] != row["full_name"]
        return {**row, "state": "renamed" if is_renamed else "ok"}

    def _look_up(
        self, client: CollectionClient, address: str, before: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the row of the repository at a listed address, then those of earlier repositories at the address."""
        name = address.removeprefix("https://github.com/").removesuffix("/").removesuffix(".git")
        if name.count("/") != 1 or ":" in name or name.startswith((".", "/")):
            raise DlbugError(
                f"libraries.{self._library.name}.repositories: {address!r} is not on GitHub, but "
                "sources.commits is 'api'. Write owner/name, or set sources.commits to 'clone'."
            )
        earlier = [row for row in before if row.get("listed") == address and row["number"] is not None]
        looked_up = client.repository(name)
        if not isinstance(looked_up, str):
            row = _row(looked_up)
            is_renamed = row["full_name"].lower() != name.lower()
            rows = [{**row, "state": "renamed" if is_renamed else "ok"}]
            earlier = [other for other in earlier if other["number"] != row["number"]]
        elif earlier:
            rows = []
        else:
            rows = [{"number": None, "full_name": name, "page": None, "state": looked_up, "facts": {}}]
        return [{**row, "listed": address} for row in (*rows, *(self._updated(client, row, {}) for row in earlier))]


class _Search:
    """A search, split into windows of creation time."""

    def __init__(self, client: CollectionClient, query: str, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._query = query
        self._sleep = sleep

    def within(self, first: datetime, last: datetime) -> dict[int, dict[str, Any]]:
        """Return the repositories created from ``first`` to ``last`` (UTC, inclusive, to the second), by ID.

        Raises :class:`SearchTimeoutError` if GitHub's search times out in every attempt.
        """
        first, last = first.replace(microsecond=0), last.replace(microsecond=0)
        query = f"{self._query} created:{first:%Y-%m-%dT%H:%M:%SZ}..{last:%Y-%m-%dT%H:%M:%SZ}"
        found: dict[int, dict[str, Any]] = {}
        attempt = 0
        while True:
            rows, total, is_complete = self._page(query, 1, attempt)
            if total > _MOST and first < last:
                middle = first + (last - first) // 2
                middle = middle.replace(microsecond=0)
                return self.within(first, middle) | self.within(middle + timedelta(seconds=1), last)
            found |= rows
            for page in range(2, -(-min(total, _MOST) // PAGE_SIZE) + 1):
                rows, _, is_complete_page = self._page(query, page, attempt)
                found |= rows
                is_complete = is_complete and is_complete_page
            # Stars that change between two pages can hide a repository from both; another attempt finds it.
            if is_complete and len(found) >= min(total, _MOST):
                return found
            attempt += 1
            if attempt == _ATTEMPTS:
                break
            logger.info("%s: %d of %d repositories, searching again", query, len(found), total)
            if not is_complete:
                self._sleep(2.0 ** (attempt - 1))
        if not is_complete:
            raise SearchTimeoutError(
                f"GitHub's search timed out {_ATTEMPTS} times for {query!r}. Collected data is kept; run again later "
                "to resume, or narrow the search."
            )
        logger.warning("%s: GitHub counts %d repositories but returns %d", query, total, len(found))
        return found

    def _page(self, query: str, page: int, attempt: int) -> tuple[dict[int, dict[str, Any]], int, bool]:
        repositories, total, is_incomplete = self._client.search(query, page, attempt)
        return {row["number"]: row for row in map(_row, repositories)}, total, not is_incomplete


def _row(repository: "GitHubRepository") -> dict[str, Any]:
    return {
        "number": repository.id,
        "full_name": repository.full_name,
        "page": repository.html_url if str(repository.html_url).startswith("https://") else None,
        "state": "ok",
        "facts": {
            "stars": repository.stargazers_count,
            "is_fork": repository.fork,
            "is_archived": repository.archived,
            "created_at": _iso_text(repository.created_at),
            "pushed_at": _iso_text(repository.pushed_at),
            "default_branch": repository.default_branch,
        },
    }


def _iso_text(moment: datetime | None) -> str | None:
    return utc_naive(moment).isoformat() if moment else None


def _by_stars(row: Mapping[str, Any]) -> tuple[int, int]:
    return (-(row["facts"].get("stars") or 0), row["number"])
