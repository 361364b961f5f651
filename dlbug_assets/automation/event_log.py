"""Dagster's event log in SQLite, through connections that stay open.

Dagster's own class creates an engine and a connection for each event: SQL is compiled each time, and when the last
connection to a file closes, SQLite checkpoints and deletes its write-ahead log. That took half the time of a run.
Files, tables and rows are Dagster's own, so either class can read and continue what the other has written.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

from dlbug_assets.layout import restrict_new_files

#: One file is the index of all runs, and each run has its own; the UI may open many runs in its lifetime.
_MAX_OPEN = 8


class EventLog(SqliteEventLogStorage):
    """The event log of an instance; ``base_dir`` is the folder of its files."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLog":
        """Create it from the settings in dagster.yaml."""
        # The daemon and the web server of `dagster dev` load nothing else of dlbug before they write to its home.
        restrict_new_files()
        return cls(inst_data=inst_data, **config_value)

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table; cached, because Dagster asks for each event of an asset check."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(engine, "connect", _sync_at_checkpoints_only)
            self._initdb(engine)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _MAX_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def dispose(self) -> None:
        """Close all connections."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()


def _sync_at_checkpoints_only(connection: Any, _record: Any) -> None:
    # A crash of the process loses nothing. A crash of the machine loses the last events at most; the file stays valid.
    connection.execute("pragma synchronous = normal")
