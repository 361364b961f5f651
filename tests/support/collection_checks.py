"""Collecting from the stand-in and loading into a warehouse, as the assets do it, and the proofs that it went well."""

import dataclasses
import itertools
import json
import traceback
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.collector import LIBRARY_KINDS, queries
from dlbug_assets.stackoverflow.api.source import Live
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import load_specs
from support.counting import proves_count

KEY = "pl4nted((key*with+odd&characters"
TABLES = ("raw_posts", "raw_answers", "collections", "irregularities")
SPECS = load_specs()
STUDY = Study.model_validate(
    {
        "study": {"name": "tiny", "title": "Tiny", "seed": 1},
        "libraries": [
            {"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"},
            {"name": "Torch", "tags": ["torch"], "repositories": "topic:torch"},
        ],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
    }
)


class ShiftedClock(Clock):
    """This machine's clock, set ahead at will: days pass at once, seconds as they do."""

    def __init__(self):
        self.ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


def stored(warehouse, source, libraries):
    """Load libraries into a warehouse; returns the tables."""
    for library in libraries:
        parts = source.load(library, lambda table, where, params: warehouse.current_rows(SPECS[table], where, params))
        for table in TABLES:
            part = parts[table]
            spec = SPECS[f"stackoverflow.{table}"]
            # This little database has no schema reference: its libraries cannot be looked up there.
            checks = tuple(check for check in spec.checks if "reference." not in check.violations)
            written = warehouse.replace_part(
                dataclasses.replace(spec, checks=checks), part.frame, part.outdated, part.params
            )
            assert written.accepted, written.outcomes
    return {table: warehouse.read(f"from stackoverflow.{table} order by all") for table in TABLES}


@dataclass
class Collecting:
    """A study that follows the stand-in ``api``, in the folder ``root``."""

    api: object
    root: Path
    study: Study = STUDY
    key: str | None = KEY
    retry_policy: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(connect=60, read=60, hold=10, attempts=3, pause=0.02)
    )

    def __post_init__(self):
        self.clock = ShiftedClock()
        self.home = Home(self.root, self.study.name)
        #: Texts that were logged, for the proof of secrecy.
        self.logged = []
        self.errors = []

    @property
    def ledger(self):
        return Ledger(self.home.quota, self.clock)

    @property
    def landing(self):
        return Landing(self.home.landing / "stackoverflow", self.clock)

    @property
    def api_access(self):
        return StackExchangeAccess(self.api.url, self.key, self.ledger, self.clock, self.retry_policy)

    def source(self):
        """A source as a new process makes it: what it knows is on disk."""
        return Live(self.study, self.landing, self.home.secret_key, self.api_access)

    def collect(self, *, sweep=False):
        """Collect every library; returns the failures by library."""
        outcomes = list(self.source().collect(self.study.library_names, sweep=sweep))
        failures = {outcome.library: outcome.failure for outcome in outcomes if outcome.failure}
        self.errors += ["".join(traceback.format_exception(error)) + repr(error) for error in failures.values()]
        return failures

    def load(self, home=None):
        home = home or self.home
        with Warehouse(home, "a test") as warehouse:
            stored(warehouse, self.source(), self.study.library_names)

    def refresh(self, *, sweep=False):
        """Collect and load; nothing may fail."""
        assert self.collect(sweep=sweep) == {}
        self.load()

    def table(self, name):
        return self.tables(name)[name]

    def tables(self, *names, home=None):
        """Tables by name, all rows."""
        with Warehouse(home or self.home, "a test") as warehouse:
            return {name: warehouse.read(f"from stackoverflow.{name} order by all") for name in names}

    def cursors(self):
        """Per library, how many collections count and where the next one begins."""
        done = {library: self.landing.done(library, LIBRARY_KINDS) for library in self.study.library_names}
        return {library: (len(found), found[-1].done["cursors"] if found else None) for library, found in done.items()}

    # The proofs, by the letters of the fault matrix.

    def proves_truth(self):
        """A: the rows in scope are what the stand-in has in scope, with their answers."""
        tables = self.tables("raw_posts", "raw_answers")
        rows = tables["raw_posts"].filter(pl.col("in_scope"))
        answers = dict(tables["raw_answers"].group_by("post_id").agg(pl.col("answer_id").sort()).iter_rows())
        for library, query in queries(self.study).items():
            expected = {
                number: (item.score, item.title, item.last_activity_date, sorted(a.answer_id for a in item.answers))
                for number, item in self.api.truth.items()
                if query.matches(vars(item))
            }
            found = {
                row["post_id"]: (
                    row["score"],
                    row["title"],
                    int(row["last_activity_at"].replace(tzinfo=UTC).timestamp()),
                    answers.get(row["post_id"], []),
                )
                for row in rows.filter(pl.col("library") == library).to_dicts()
            }
            assert found == expected

    def proves_one_row_each(self):
        """B: no question twice in a library."""
        assert not self.table("raw_posts").select("library", "post_id").is_duplicated().any()

    def proves_count(self):
        """C: the ledger has every request that the stand-in got."""
        proves_count(self.ledger, self.api)

    def proves_rebuilding(self):
        """D: landing alone, without a network, gives the same tables."""
        elsewhere = Home(self.root, f"{self.study.name}_anew")
        elsewhere.secret_key.parent.mkdir(parents=True, exist_ok=True)
        elsewhere.secret_key.write_bytes(self.home.secret_key.read_bytes())
        asked = len(self.api.log)
        anew = Collecting(self.api, self.root, self.study, self.key, self.retry_policy)
        with Warehouse(elsewhere, "a test") as warehouse:
            warehouse.connection.execute("drop table if exists stackoverflow.raw_posts")
            for table in TABLES:
                warehouse.connection.execute(f"drop table if exists stackoverflow.{table}")
        anew.load(elsewhere)
        assert len(self.api.log) == asked
        before, found = self.tables(*TABLES), self.tables(*TABLES, home=elsewhere)
        for table in TABLES:
            assert found[table].equals(before[table]), table

    def proves_secrecy(self):
        """E: the key is in no file, line or error."""
        forms = {self.key, json.dumps(self.key)[1:-1], quote(self.key), quote_plus(self.key)} - {""}
        for text in [*self.logged, *self.errors]:
            assert not any(form in text for form in forms)
        for path in self.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(form.encode() in content for form in forms), path

    def gaps(self, method="questions"):
        """F: seconds between requests of a method."""
        moments = [request.at for request in self.api.log if request.method == method]
        return [later - earlier for earlier, later in itertools.pairwise(moments)]
