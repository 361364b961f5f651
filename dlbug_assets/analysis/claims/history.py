"""The history of a study's verdicts: what each publication concluded on each claim, where that was new."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from dlbug_assets.warehouse.rows import table_schema

_KEY = ("finding", "claim", "repetition")
_CONCLUSION = ("number_verdict", "support")


def claim_history(claims: pl.DataFrame, *, published: pl.DataFrame, moment: datetime, run_id: str) -> pl.DataFrame:
    """Return analysis.claim_history: the rows that were ``published`` last, and those that ``claims`` adds.

    ``claims`` is analysis.claims, ``moment`` the start of the run, in UTC without a time zone. A claim gets a row if it
    is new, or if its verdicts or its number are not those of its last row. Its probability alone adds none, because the
    last digits of it depend on the version of the code. Rows of claims that are no longer stated are superseded.
    """
    history = [row | {"is_new": False} for row in published.sort("revision").iter_rows(named=True)]
    latest = {_key(row): row for row in history}
    stated = dict(_numbered(claims))
    for key, row in stated.items():
        earlier = latest.get(key)
        if earlier is not None and earlier["superseded_at"] is None:
            if all(row[name] == earlier[name] for name in (*_CONCLUSION, "computed")):
                continue
            earlier["superseded_at"] = moment
        history.append(
            {
                **{name: row[name] for name in (*_CONCLUSION, "probability", "computed")},
                **dict(zip(_KEY, key, strict=True)),
                "revision": 1 if earlier is None else earlier["revision"] + 1,
                "published_at": moment,
                "run_id": run_id,
                "changes_conclusion": earlier is not None and any(row[name] != earlier[name] for name in _CONCLUSION),
                "is_new": True,
            }
        )
    for key, row in latest.items():
        if key not in stated and row["superseded_at"] is None:
            row["superseded_at"] = moment
    return pl.DataFrame(history, schema=table_schema("analysis.claim_history"))


def _numbered(claims: pl.DataFrame) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Yield the claims with their keys: the same sentence, stated again within a finding, is a claim of its own."""
    seen: Counter[tuple[int, str]] = Counter()
    for row in claims.sort("position").iter_rows(named=True):
        seen[row["finding"], row["claim"]] += 1
        yield (row["finding"], row["claim"], seen[row["finding"], row["claim"]]), row


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)
