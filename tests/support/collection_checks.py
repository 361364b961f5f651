"""Collect a corpus from a stand-in and load it into a warehouse, as the assets do, and check the results."""

import dataclasses
import itertools
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent
from dlbug_assets.warehouse.table_specs import load_specs
from servers.stand_in import StandIn
from support.clocks import ShiftedClock
from support.counting import proves_count

Server = TypeVar("Server", bound=StandIn)

SPECS = load_specs()
STUDY = Study.model_validate(
    {
        "study": {"name": "tiny", "title": "Tiny", "seed": 1},
        "selection": {"commits_per_library": 4},
        "libraries": [
            {"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"},
            {"name": "Torch", "tags": ["torch"], "repositories": "topic:torch"},
        ],
        "dimensions": [{"name": "symptom", "open": True}],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
    }
)


class Source(Protocol):
    """A source of posts or commits."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]: ...

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]: ...


@dataclass
class CollectedCorpus(ABC, Generic[Server]):
    """A corpus that is collected from the stand-in ``api``, with its home in the folder ``root``."""

    api: Server
    root: Path
    study: Study = STUDY
    retry_policy: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(connect=60, read=60, hold=10, limited=0.3, attempts=3, pause=0.02)
    )

    #: The corpus's schema, and its tables in the order of loading.
    corpus: ClassVar[str]
    table_names: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        self.clock = ShiftedClock()
        self.home = Home(self.root, self.study.name)
        #: Logged texts and errors, which proves_secrecy reads.
        self.logged: list[str] = []
        self.errors: list[str] = []
        #: Notes of the last collections, by library.
        self.notes: dict[str, Any] = {}

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.home.quota, self.clock)

    @property
    def landing(self) -> Landing:
        return Landing(self.home.landing / self.corpus, self.clock)

    @abstractmethod
    def source(self) -> Source:
        """Return a new source, as a new process creates it: its state is on disk."""

    def collect(self, *, sweep: bool = False) -> dict[str, DlbugError]:
        """Collect every library; return the failures by library."""
        outcomes = list(self.source().collect(self.study.library_names, sweep=sweep))
        failures = {outcome.library: outcome.failure for outcome in outcomes if outcome.failure}
        self.notes = {outcome.library: outcome.notes for outcome in outcomes}
        self.errors += ["".join(traceback.format_exception(error)) + repr(error) for error in failures.values()]
        return failures

    def load(self, home: Home | None = None) -> None:
        """Load every library."""
        with Warehouse(home or self.home, "a test") as warehouse:
            load(warehouse, self.source(), self.corpus, self.table_names, self.study.library_names)

    def refresh(self, *, sweep: bool = False) -> None:
        """Collect and load without a failure."""
        assert self.collect(sweep=sweep) == {}
        self.load()

    def table(self, name: str) -> pl.DataFrame:
        return self.tables(name)[name]

    def tables(self, *names: str, home: Home | None = None) -> dict[str, pl.DataFrame]:
        """Return tables by name, sorted by all columns."""
        with Warehouse(home or self.home, "a test") as warehouse:
            return {name: warehouse.read(f"from {self.corpus}.{name} order by all") for name in names}

    # The checks, by their letters in the fault matrix.

    @abstractmethod
    def proves_truth(self) -> None:
        """Check A: the rows are those of the stand-in."""

    @abstractmethod
    def proves_one_row_each(self) -> None:
        """Check B: no item is twice in a library."""

    def proves_count(self) -> None:
        """Check C: the ledger has every request that the stand-in received."""
        proves_count(self.ledger, self.api)

    def proves_rebuilding(self) -> None:
        """Check D: the same tables can be rebuilt from landing, without requests."""
        elsewhere = Home(self.root, f"{self.study.name}_rebuilt")
        elsewhere.secret_key.parent.mkdir(parents=True, exist_ok=True)
        elsewhere.secret_key.write_bytes(self.home.secret_key.read_bytes())
        requests = len(self.api.log)
        with Warehouse(elsewhere, "a test") as warehouse:
            for name in self.table_names:
                warehouse.connection.execute(f"drop table if exists {self.corpus}.{name}")
        self.load(elsewhere)
        assert len(self.api.log) == requests
        before, rebuilt = self.tables(*self.table_names), self.tables(*self.table_names, home=elsewhere)
        for name in self.table_names:
            assert rebuilt[name].equals(before[name]), name

    @abstractmethod
    def proves_secrecy(self) -> None:
        """Check E: credentials, and people outside of landing, are in no log line, error or file."""

    def gaps(self, method: str) -> list[float]:
        """Return the seconds between consecutive requests of a method, for check F."""
        times = [request.at for request in self.api.log if request.method == method]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def proves_recovery(self, *, sweep: bool = False) -> None:
        """Check A to D after the next refresh."""
        self.refresh(sweep=sweep)
        self.proves_truth()
        self.proves_one_row_each()
        self.proves_count()
        self.proves_rebuilding()

    @contextmanager
    def keeps_secrets(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        """Check E at the end, with the logs of every package at DEBUG."""
        caplog.set_level(logging.DEBUG)
        yield
        self.logged = [caplog.handler.format(record) for record in caplog.get_records("call")]
        assert self.logged
        self.proves_secrecy()


def current_rows(warehouse: Warehouse) -> ReadCurrent:
    """Return the function by which a source reads current rows."""
    return lambda table, where, params: warehouse.current_rows(SPECS[table], where, params)


def load(
    warehouse: Warehouse, source: Source, corpus: str, table_names: Sequence[str], libraries: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Load libraries from a source; return the tables by name, sorted by all columns."""
    for library in libraries:
        loaded = source.load(library, current_rows(warehouse))
        for name in table_names:
            store(warehouse, f"{corpus}.{name}", loaded[name])
    return {name: warehouse.read(f"from {corpus}.{name} order by all") for name in table_names}


def store(warehouse: Warehouse, table: str, rows: PartitionRows) -> None:
    """Write rows of a table, without the checks that read the schema `reference`, which these warehouses lack."""
    checks = tuple(check for check in SPECS[table].checks if "reference." not in check.violations)
    spec = dataclasses.replace(SPECS[table], checks=checks)
    written = warehouse.replace_part(spec, rows.frame, rows.outdated, rows.params)
    assert written.accepted, written.outcomes
