"""Compare the requests in the quota ledger with those that a stand-in received."""

import sqlite3
from contextlib import closing

from dlbug_assets.ingest.quota import Ledger
from servers.stand_in import StandIn


def proves_count(ledger: Ledger, api: StandIn) -> None:
    """Check that the ledger has every request that the stand-in received.

    The ledger may have more of them, if these ended without a reply: on a machine that stalls for seconds, a request
    may be given up before it is sent.
    """
    asked = outcomes(ledger)
    answered = [outcome for outcome in asked if not (outcome or "no whole reply").startswith("no whole reply")]
    assert len(answered) <= len(api.log) <= len(asked), asked


def outcomes(ledger: Ledger) -> list[str | None]:
    """Return the outcome of each request in the ledger, in their order; None where it ended without one."""
    with closing(sqlite3.connect(ledger.path)) as connection:
        return [outcome for (outcome,) in connection.execute("select outcome from requests order by id")]
