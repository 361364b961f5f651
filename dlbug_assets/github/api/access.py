"""Access to GitHub's API, and the address from which its repositories are cloned."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from dlbug_assets.clock import Clock
from dlbug_assets.github.api.client import CollectionClient
from dlbug_assets.github.api.transport import CORE, Transport, service_name
from dlbug_assets.ingest.http_client import HttpClient, RetryPolicy
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.ingest.quota import Ledger, QuotaStatus

PUBLIC_ROOT = "https://api.github.com"
_PUBLIC_GIT = "https://github.com"
#: Resuming an older collection would mix data of different times.
_STALE = timedelta(days=7)


@dataclass(frozen=True)
class ApiAccess:
    """The API's root, the token if there is one, the quota ledger, and the address below which git clones."""

    root: str
    token: str | None
    ledger: Ledger
    clock: Clock
    git_root: str = _PUBLIC_GIT
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @classmethod
    def of(cls, environ: Mapping[str, str], ledger: Path) -> "ApiAccess":
        """Return the access that DLBUG_GITHUB_URL, DLBUG_GITHUB_CLONES and GITHUB_TOKEN configure.

        ``ledger`` is the file of the quota ledger.
        """
        clock = Clock()
        root = environ.get("DLBUG_GITHUB_URL") or PUBLIC_ROOT
        # An Enterprise server has its API below the address of its web pages.
        pages = _PUBLIC_GIT if root.rstrip("/") == PUBLIC_ROOT else re.sub(r"/api/v3/?$", "", root)
        git_root = (environ.get("DLBUG_GITHUB_CLONES") or pages).rstrip("/")
        return cls(root, environ.get("GITHUB_TOKEN") or None, Ledger(ledger, clock), clock, git_root)

    def quota_status(self, resource: str = CORE) -> QuotaStatus:
        """Return the status of a quota, CORE or SEARCH."""
        return self.ledger.quota_status(service_name(self.root, self.token, resource))

    def transport(self) -> Transport:
        """Return a transport; all transports share one connection."""
        return Transport(
            self.root,
            self.token,
            self.ledger,
            self.clock,
            http_client=self._http_client,
            retry_policy=self.retry_policy,
        )

    def collection_client(self, collection: Collection) -> CollectionClient:
        """Return a client for the requests of a collection."""
        return CollectionClient(self.transport(), collection)

    def resume_or_begin(self, landing: Landing, library: str, kind: str, begun: Mapping[str, Any]) -> Collection:
        """Return the unfinished collection of this kind if it is recent and has the same ``begun``, else a new one.

        Its age is measured by the times of arrival, which never run backwards. If a clock was wrong, either an older
        collection is resumed, or requests are repeated.
        """
        last = landing.unfinished(library)
        if last and last.kind == kind and last.begun == begun and last.stamps.next() - last.begun_at < _STALE:
            return last
        return landing.begin(library, kind, begun)

    @cached_property
    def _http_client(self) -> HttpClient:
        token = self.token
        return HttpClient(lambda text: text.replace(token, "<token>") if token else text)

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``, scaled by the pause of the retry policy."""
        self.clock.sleep(seconds * self.retry_policy.pause)
