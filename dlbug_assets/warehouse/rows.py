"""The frames that a function returns for its tables, before they are written.

Nothing here knows Dagster or DuckDB: sources and stages import it freely.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Rows:
    """What a function made: the rows of one table, with metadata to show beside them in the UI."""

    frame: pl.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """Rows of one library: they replace those with the same key, and those that satisfy ``outdated`` (a condition
    with ? for ``params``). Frames that come one after the other need not be in memory at once.

    ``counts`` and ``notes`` are shown per library in the UI; counts are also added up.
    """

    frame: pl.DataFrame | Iterable[pl.DataFrame]
    outdated: str
    params: Sequence[Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Some columns of a table: what a function reads that does not need all of it."""

    table: str
    names: Sequence[str]

    def __str__(self) -> str:
        return f"select {', '.join(self.names)} from {self.table}"


#: The rows of a table that is being made, as they are before: table, condition with ?, parameters.
ReadCurrent = Callable[[str, str, Sequence[Any]], pl.DataFrame]
