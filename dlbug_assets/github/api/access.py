"""How GitHub's API is reached, and where the repositories that it names are cloned from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
#: An unfinished collection that is older would mix what is too far apart.
_STALE = timedelta(days=7)


@dataclass(frozen=True)
class ApiAccess:
    """The API's root, the token if there is one, the ledger, how patient to be, and the root of the clones."""

    root: str
    token: str | None
    ledger: Ledger
    clock: Clock
    git_root: str = _PUBLIC_GIT
    patience: RetryPolicy = field(default_factory=RetryPolicy)

    @classmethod
    def of(cls, environ: Mapping[str, str], ledger: Path) -> "ApiAccess":
        """As DLBUG_GITHUB_URL, DLBUG_GITHUB_CLONES and GITHUB_TOKEN say."""
        clock = Clock()
        root = environ.get("DLBUG_GITHUB_URL") or PUBLIC_ROOT
        # An Enterprise server has its API below the pages of its repositories.
        pages = _PUBLIC_GIT if root.rstrip("/") == PUBLIC_ROOT else re.sub(r"/api/v3/?$", "", root)
        git_root = (environ.get("DLBUG_GITHUB_CLONES") or pages).rstrip("/")
        return cls(root, environ.get("GITHUB_TOKEN") or None, Ledger(ledger, clock), clock, git_root)

    def quota_status(self, resource: str = CORE) -> QuotaStatus:
        """How things stand with a quota."""
        return self.ledger.quota_status(service_name(self.root, self.token, resource))

    def transport(self) -> Transport:
        """Asks the API; all of them share one connection."""
        return Transport(self.root, self.token, self.ledger, self.clock, wire=self._wire, patience=self.patience)

    def collection_client(self, collection: Collection) -> CollectionClient:
        """Return a client for the requests of a collection."""
        return CollectionClient(self.transport(), collection)

    def to_go_on_with(self, landing: Landing, library: str, kind: str, begun: Mapping[str, Any]) -> Collection:
        """The collection of this kind that was begun last, where it is not done and asked the same not too long ago;
        else a new one."""
        last = landing.unfinished(library)
        if last and last.kind == kind and last.begun == begun and self.now() - last.begun_at < _STALE:
            return last
        return landing.begin(library, kind, begun)

    @cached_property
    def _wire(self) -> HttpClient:
        token = self.token
        return HttpClient(lambda text: text.replace(token, "<token>") if token else text)

    def now(self) -> datetime:
        """UTC, without zone."""
        return self.clock.now().replace(tzinfo=None)

    def sleep(self, seconds: float) -> None:
        """Pause, in proportion to the patience there is."""
        self.clock.sleep(seconds * self.patience.pause)
