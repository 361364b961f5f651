"""Which repositories of a library are followed: found by GitHub's search, or listed by the study and looked up.

A search shows a thousand results at most, so that it is cut into windows of creation time until each window has fewer.
Repositories are known by their number: names change. One that was taken stays, even when others get more stars, so
that a sample stays put; one that the search no longer finds is looked up, and ends in a state.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.client import PAGE_SIZE, CollectionClient, utc_naive
from dlbug_assets.github.commits import Repository
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Library

if TYPE_CHECKING:
    from github.Repository import Repository as GitHubRepository

logger = logging.getLogger(__name__)

#: What a search shows of its results.
_MOST = 1000
_BEFORE_GITHUB = datetime(2007, 1, 1)
_ATTEMPTS = 4
#: States of repositories that bear their name.
_THERE = ("ok", "renamed")


class CutShortError(DlbugError):
    """GitHub's search ran out of time however often it was asked."""


class Discovery:
    """The repositories of one library, through the API."""

    KIND: ClassVar[str] = "discovery"

    def __init__(self, library: Library, landing: Landing, access: ApiAccess) -> None:
        self._library = library
        self._landing = landing
        self._access = access

    def targets(self) -> list[Repository]:
        """The repositories that are followed, as the last discovery left them; at the end those that were deleted and
        made again under their name, so that of a commit of both it is the new one that counts."""
        rows = self._known()
        # Whoever is there comes last, and stays.
        bearers = {row["full_name"]: row["number"] for row in sorted(rows, key=lambda row: row["state"] in _THERE)}
        targets = [
            Repository(
                f"{self._access.git_root}/{row['full_name']}.git",
                row["full_name"],
                row["number"],
                row["page"],
                row["state"],
                row["facts"],
                is_replaced=bearers[row["full_name"]] != row["number"],
            )
            for row in rows
        ]
        return sorted(targets, key=lambda target: target.is_replaced)

    def is_due(self, *, sweep: bool) -> bool:
        """Whether to discover: for a sweep, and where nothing was discovered for this question."""
        return sweep or self._last() is None

    def collect(self) -> dict[str, Any]:
        """Search and look up; what has landed of an unfinished one is not asked for again. Raises what the transport
        raises, and
        :class:`CutShortError` where GitHub's search runs out of time again and again."""
        collection = self._access.to_go_on_with(self._landing, self._library.name, self.KIND, self._asked())
        client = self._access.collection_client(collection)
        known = self._known()
        if isinstance(self._library.repositories, str):
            rows = self._searched(client, self._library.repositories, known)
        else:
            listed = [row for name in self._library.repositories for row in self._listed(client, name, known)]
            # By its old and its new name it is one.
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

    def _asked(self) -> dict[str, Any]:
        """What a discovery depends on, as it comes back from JSON."""
        repositories = self._library.repositories
        return {
            "repositories": repositories if isinstance(repositories, str) else list(repositories),
            "max_repositories": self._library.max_repositories,
        }

    def _last(self) -> Collection | None:
        last = next(reversed(self._landing.done(self._library.name, {self.KIND})), None)
        return last if last and last.begun == self._asked() else None

    def _known(self) -> list[dict[str, Any]]:
        last = self._last()
        return last.done["found"] if last else []

    def _searched(
        self, client: CollectionClient, query: str, known: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        found = _Search(client, query, self._access.sleep).within(_BEFORE_GITHUB, client.collection.begun_at)
        before = {row["number"]: row for row in known}
        rows = [self._seen(client, row, found) for row in known]
        others = sorted((row for row in found.values() if row["number"] not in before), key=_by_stars)
        rows += others[: max(self._library.max_repositories - len(rows), 0)]
        return sorted(rows, key=_by_stars)

    def _seen(
        self, client: CollectionClient, before: Mapping[str, Any], found: Mapping[int, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """A repository that is followed, as it is now."""
        row = found.get(before["number"])
        if row is None:
            looked_up = client.repository(before["number"])
            if isinstance(looked_up, str):
                return {**before, "state": looked_up}
            row = _row(looked_up)
        is_renamed = before["state"] == "renamed" or before["full_name"] != row["full_name"]
        return {**row, "state": "renamed" if is_renamed else "ok"}

    def _listed(
        self, client: CollectionClient, address: str, known: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The repository at an address that the study lists, then those that were there before it."""
        name = address.removeprefix("https://github.com/").removesuffix("/").removesuffix(".git")
        if name.count("/") != 1 or ":" in name or name.startswith((".", "/")):
            raise DlbugError(
                f"libraries.{self._library.name}.repositories: {address!r} is not on GitHub, whose API is asked. Write "
                "owner/name, or set sources.commits to 'clone'."
            )
        before = [row for row in known if row.get("listed") == address and row["number"] is not None]
        looked_up = client.repository(name)
        if not isinstance(looked_up, str):
            row = _row(looked_up)
            is_renamed = row["full_name"].lower() != name.lower()
            rows = [{**row, "state": "renamed" if is_renamed else "ok"}]
            before = [earlier for earlier in before if earlier["number"] != row["number"]]
        elif before:
            rows = []
        else:
            rows = [{"number": None, "full_name": name, "page": None, "state": looked_up, "facts": {}}]
        return [{**row, "listed": address} for row in (*rows, *(self._seen(client, row, {}) for row in before))]


class _Search:
    """One search, in as many windows as it takes."""

    def __init__(self, client: CollectionClient, query: str, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._query = query
        self._sleep = sleep

    def within(self, first: datetime, last: datetime) -> dict[int, dict[str, Any]]:
        """The repositories created between two moments (inclusive, whole seconds), by number."""
        first, last = first.replace(microsecond=0), last.replace(microsecond=0)
        query = f"{self._query} created:{first:%Y-%m-%dT%H:%M:%SZ}..{last:%Y-%m-%dT%H:%M:%SZ}"
        found: dict[int, dict[str, Any]] = {}
        for attempt in range(_ATTEMPTS):
            rows, total, is_whole = self._page(query, 1, attempt)
            if total > _MOST and first < last:
                middle = first + (last - first) // 2
                middle = middle.replace(microsecond=0)
                return self.within(first, middle) | self.within(middle + timedelta(seconds=1), last)
            found |= rows
            for page in range(2, -(-min(total, _MOST) // PAGE_SIZE) + 1):
                rows, _, is_whole_page = self._page(query, page, attempt)
                found |= rows
                is_whole = is_whole and is_whole_page
            # Stars that change between two pages hide a repository from both: another round shows it.
            if is_whole and len(found) >= min(total, _MOST):
                return found
            logger.info("%s: %d of %d repositories, searching again", query, len(found), total)
            if not is_whole:
                self._sleep(2.0**attempt)
        if not is_whole:
            raise CutShortError(
                f"GitHub's search ran out of time {_ATTEMPTS} times over {query!r}. What was collected is kept; run "
                "again later to go on, or narrow the search."
            )
        logger.warning("%s: GitHub counts %d repositories but shows %d", query, total, len(found))
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
            "created_at": utc_naive(repository.created_at),
            "pushed_at": utc_naive(repository.pushed_at),
            "default_branch": repository.default_branch,
        },
    }


def _by_stars(row: Mapping[str, Any]) -> tuple[int, int]:
    return (-(row["facts"].get("stars") or 0), row["number"])
