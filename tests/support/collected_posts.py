"""Collect posts from the stand-in and load them into a warehouse, as the assets do, and check the results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote, quote_plus

import polars as pl

from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.collector import LIBRARY_KINDS, queries
from dlbug_assets.stackoverflow.api.source import Live
from dlbug_assets.warehouse.database import Warehouse
from servers.stackexchange import StackExchange
from support.collection_checks import CollectedCorpus, Source, load

KEY = "pl4nted((key*with+odd&characters"
TABLES = ("raw_posts", "raw_answers", "collections", "irregularities")


def load_posts(warehouse: Warehouse, source: Source, libraries: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Load libraries from a source of posts; return the tables by name, sorted by all columns."""
    return load(warehouse, source, "stackoverflow", TABLES, libraries)


@dataclass
class CollectedPosts(CollectedCorpus[StackExchange]):
    """Posts that are collected from the stand-in ``api``, with their home in the folder ``root``."""

    key: str | None = KEY

    corpus = "stackoverflow"
    table_names = TABLES

    @property
    def access(self) -> StackExchangeAccess:
        return StackExchangeAccess(self.api.url, self.key, self.ledger, self.clock, self.retry_policy)

    def source(self) -> Live:
        return Live(self.study, self.landing, self.home.secret_key, self.access)

    def cursors(self) -> dict[str, Any]:
        """Return the number of finished collections and the cursors of the next one, by library."""
        done = {library: self.landing.done(library, LIBRARY_KINDS) for library in self.study.library_names}
        return {library: (len(found), found[-1].done["cursors"] if found else None) for library, found in done.items()}

    def proves_truth(self) -> None:
        """Check A: the rows in scope, with their answers, are what the stand-in has in scope."""
        tables = self.tables("raw_posts", "raw_answers")
        rows = tables["raw_posts"].filter(pl.col("in_scope"))
        answers = dict(tables["raw_answers"].group_by("post_id").agg(pl.col("answer_id").sort()).iter_rows())
        for library, asked in queries(self.study).items():
            query = asked.including(self.api.synonyms[tag] for tag in asked.tags if tag in self.api.synonyms)
            expected = {
                post_id: (item.score, item.title, item.last_activity_date, sorted(a.answer_id for a in item.answers))
                for post_id, item in self.api.truth.items()
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

    def proves_one_row_each(self) -> None:
        """Check B: no question is twice in a library."""
        assert not self.table("raw_posts").select("library", "post_id").is_duplicated().any()

    def proves_secrecy(self) -> None:
        """Check E: the key is in no log line, error or file."""
        key = self.key or ""
        forms = {key, json.dumps(key)[1:-1], quote(key), quote_plus(key)} - {""}
        for text in [*self.logged, *self.errors]:
            assert not any(form in text for form in forms)
        for path in self.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(form.encode() in content for form in forms), path
