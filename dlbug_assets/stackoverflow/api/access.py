"""Access to Stack Exchange's API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.quota import Ledger, QuotaStatus
from dlbug_assets.stackoverflow.api.client import StackExchangeClient
from dlbug_assets.stackoverflow.api.transport import Transport, service_name

PUBLIC_ROOT = "https://api.stackexchange.com"


@dataclass(frozen=True)
class StackExchangeAccess:
    """The API's root, the key if there is one, and the quota ledger."""

    root: str
    key: str | None
    ledger: Ledger
    clock: Clock
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @classmethod
    def of(cls, environ: Mapping[str, str], ledger: Path) -> "StackExchangeAccess":
        """Return the access that DLBUG_STACKEXCHANGE_URL and STACKEXCHANGE_KEY configure.

        ``ledger`` is the file of the quota ledger.
        """
        clock = Clock()
        root = environ.get("DLBUG_STACKEXCHANGE_URL") or PUBLIC_ROOT
        return cls(root, environ.get("STACKEXCHANGE_KEY") or None, Ledger(ledger, clock), clock)

    def quota_status(self) -> QuotaStatus:
        """Return the status of the quota."""
        return self.ledger.quota_status(service_name(self.root, self.key))

    def client(self) -> StackExchangeClient:
        """Return a client for Stack Overflow."""
        transport = Transport(self.root, self.key, self.ledger, self.clock, retry_policy=self.retry_policy)
        return StackExchangeClient(transport, self.ledger)
