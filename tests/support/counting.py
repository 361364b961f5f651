"""That every request is counted: the ledger held against what a stand-in got."""

import sqlite3
from contextlib import closing


def proves_count(ledger, api):
    """The ledger has every request that the stand-in got, and beyond them at most such as ended without a reply: on a
    machine that stands still for seconds one may be given up before it has left."""
    with closing(sqlite3.connect(ledger.path)) as connection:
        outcomes = [outcome for (outcome,) in connection.execute("select outcome from requests order by id")]
    answered = [outcome for outcome in outcomes if not (outcome or "no whole reply").startswith("no whole reply")]
    assert len(answered) <= len(api.log) <= len(outcomes), outcomes
