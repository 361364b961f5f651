"""Discovery of a library's repositories: GitHub's search finds them, or the study lists them and they are looked up.

A search returns at most a thousand results, so it is split into windows of creation time until each window has fewer.
Repositories are identified by their ID, because names change. A repository that was selected stays selected even if
others get more stars, so that the sample is stable. One that the search no longer finds is looked up for its state.

No window of creation time ends by this machine's clock: the last one is open, and it is split by the times in replies.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from dlbug_assets.clock import parse_timestamp, utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.client import PAGE_SIZE, CollectionClient
from dlbug_assets.github.commits import UNREAD, Repository
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.sections import Library

if TYPE_CHECKING:
    from github.Repository import Repository as GitHubRepository

logger = logging.getLogger(__name__)

#: The number of results that a search returns at most.
_MOST = 1000
_BEFORE_GITHUB = datetime(2007, 1, 1)
_CREATED = "%Y-%m-%dT%H:%M:%SZ"
_ATTEMPTS = 4
#: States of repositories that still have their name.
_PRESENT = ("ok", "renamed")
_UNKNOWN = "gone"


class SearchTimeoutError(DlbugError):
    """GitHub's search timed out or left results out in every attempt."""


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
                unread=row.get("unread"),
            )
            for row in rows
        ]
        return sorted(repositories, key=lambda repository: repository.is_replaced)

    def is_due(self, *, sweep: bool, is_resumed: bool) -> bool:
        """Return whether to discover: if the study's query or list has changed since the last time, and for a sweep.

        That is also so if no repository was found the last time, or one of the list could not be looked up. While the
        histories of what was found are collected, which ``is_resumed`` states, only a changed study is a reason.
        """
        last = self._last()
        if last is None or is_resumed:
            return last is None
        return sweep or not last.done["found"] or any(map(_is_unread, last.done["found"]))

    def collect(self, *, sweep: bool = True) -> dict[str, Any]:
        """Search and look up repositories, resume an unfinished discovery, and return counts.

        Without ``sweep``, repositories of a list that were looked up before are not looked up again. Raises what
        :class:`.transport.Transport` raises, :class:`.http_client.MalformedError` if a search has no valid reply, and
        :class:`SearchTimeoutError`.
        """
        last = self._last()
        before = last.done["found"] if last else []
        collection = self._access.resume_or_begin(self._landing, self._library.name, self.KIND, self._inputs())
        client = self._access.collection_client(collection)
        if isinstance(self._library.repositories, str):
            rows = self._search(client, self._library.repositories, before)
        else:
            listed = [
                row for address in self._library.repositories for row in self._at(client, address, before, sweep=sweep)
            ]
            # A repository listed by its old and its new name counts once.
            rows = list({row["number"] or row["full_name"]: row for row in listed}.values())
        counts = {"repositories": len(rows), "requests": client.requests}
        if last and rows == before and not sweep:
            self._landing.discard_unfinished(self._library.name)
            return counts
        left = self._access.quota_status().quota_left
        finished_at = collection.stamps.next().isoformat()
        collection.finish({"finished_at": finished_at, "found": rows, "quota_left": left, **counts})
        return counts

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
        found = _Search(client, query, self._access.sleep).within(_BEFORE_GITHUB)
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
            try:
                looked_up = client.repository(before["number"], before["full_name"])
            except MalformedError as error:
                # Its history is requested all the same, which decides whether it is unread.
                logger.warning("%s is taken for what it was before: %s", before["full_name"], error)
                return dict(before)
            if isinstance(looked_up, str):
                return {**before, "state": looked_up}
            row = _row(looked_up)
        is_renamed = before["state"] == "renamed" or before["full_name"] != row["full_name"]
        return {**row, "state": "renamed" if is_renamed else "ok"}

    def _at(
        self, client: CollectionClient, address: str, before: Sequence[Mapping[str, Any]], *, sweep: bool
    ) -> list[dict[str, Any]]:
        """Return the row of the repository at a listed address, then those of earlier repositories at the address."""
        name = address.removeprefix("https://github.com/").removesuffix("/").removesuffix(".git")
        if name.count("/") != 1 or ":" in name or name.startswith((".", "/")):
            raise DlbugError(
                f"libraries.{self._library.name}.repositories: {address!r} is not on GitHub, but "
                "sources.commits is 'api'. Write owner/name, or set sources.commits to 'clone'."
            )
        earlier = [dict(row) for row in before if row.get("listed") == address]
        if earlier and not sweep and not any(map(_is_unread, earlier)):
            return earlier
        earlier = [row for row in earlier if row["number"] is not None]
        rows = [self._look_up(client, name)]
        if rows[0]["number"] is None and earlier:
            rows = []
        else:
            earlier = [row for row in earlier if row["number"] != rows[0]["number"]]
        return [{**row, "listed": address} for row in (*rows, *(self._updated(client, row, {}) for row in earlier))]

    def _look_up(self, client: CollectionClient, name: str) -> dict[str, Any]:
        """Return the row of the repository with a name; one that GitHub does not show has no number."""
        unknown = {"number": None, "full_name": name, "page": None, "facts": {}}
        try:
            looked_up = client.repository(name, name)
        except MalformedError as error:
            return {**unknown, "state": UNREAD, "unread": str(error)}
        if looked_up == _UNKNOWN:  # it may be misspelt: what was never seen is not gone
            return {**unknown, "state": UNREAD, "unread": "GitHub does not know it or it is private"}
        if isinstance(looked_up, str):
            return {**unknown, "state": looked_up}
        row = _row(looked_up)
        return {**row, "state": "ok" if row["full_name"].lower() == name.lower() else "renamed"}


class _Search:
    """A search, split into windows of creation time."""

    def __init__(self, client: CollectionClient, query: str, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._query = query
        self._sleep = sleep

    def within(self, first: datetime, last: datetime | None = None) -> dict[int, dict[str, Any]]:
        """Return the repositories created from ``first`` to ``last`` (UTC, inclusive, to the second), by ID.

        None as the last means that the window is open. Raises :class:`SearchTimeoutError` if in every attempt,
        GitHub's search times out or returns an empty page in place of results.
        """
        until = "*" if last is None else f"{last:{_CREATED}}"
        query = f"{self._query} created:{first:{_CREATED}}..{until}"
        found: dict[int, dict[str, Any]] = {}
        attempt = 0
        while True:
            rows, total, is_complete = self._page(query, 1, attempt)
            # Where the first page is not full, the number of all is wrong, and would be in each of countless windows.
            is_plausible = len(rows) == PAGE_SIZE or not is_complete
            if total > _MOST and rows and is_plausible and first != last:
                middle = _middle(first, last or max(_newest(rows), first))
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
                f"GitHub's search was incomplete {_ATTEMPTS} times for {query!r}. Collected data is kept; run again "
                "later to resume, or narrow the search."
            )
        logger.warning("%s: GitHub counts %d repositories but returns %d", query, total, len(found))
        return found

    def _page(self, query: str, page: int, attempt: int) -> tuple[dict[int, dict[str, Any]], int, bool]:
        repositories, total, is_incomplete = self._client.search(query, page, attempt)
        rows = {row["number"]: row for row in map(_row, repositories)}
        is_missing = not rows and total > PAGE_SIZE * (page - 1)
        return rows, total, not is_incomplete and not is_missing


def _newest(rows: Mapping[int, Mapping[str, Any]]) -> datetime:
    """Return when the newest of some repositories was created."""
    return max(parse_timestamp(row["facts"]["created_at"]) for row in rows.values())


def _middle(first: datetime, last: datetime) -> datetime:
    """Return the second in the middle of a window."""
    return (first + (last - first) / 2).replace(microsecond=0)


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


def _is_unread(row: Mapping[str, Any]) -> bool:
    # Before reasons were stored, a repository that was never seen counted as gone.
    return row.get("unread") is not None or (row["number"] is None and row["state"] == _UNKNOWN)


def _iso_text(moment: datetime | None) -> str | None:
    return utc_naive(moment).isoformat() if moment else None


def _by_stars(row: Mapping[str, Any]) -> tuple[int, int]:
    return (-(row["facts"].get("stars") or 0), row["number"])
