"""Replies of both APIs: a stand-in sends them, and a source collects and loads them.

An input is the method whose replies are replaced, a line feed, and the body of the replies.
"""

import json
import random
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.followed import Followed
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import Home
from dlbug_assets.protocol.title_patterns import matches
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.source import Live
from dlbug_assets.warehouse.rows import table_schema
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, mutate_json
from servers.github import GitHub, make_repositories
from servers.stackexchange import StackExchange, corpus
from servers.stand_in import Fault, Reply, Request, StandIn
from support.clocks import ManualClock
from support.collection_checks import STUDY, Source

_LIBRARY = "Keras"
_RETRIES = RetryPolicy(connect=5, read=5, hold=10, limited=0.01, attempts=2, pause=0.01)


class _Replacing(StandIn):
    """A stand-in that remembers its replies, and replaces the bodies of those to one method."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: tuple[str, bytes] | None = None
        self.remembered: dict[tuple[str, str], tuple[str, Reply]] = {}

    def reply(self, request: Request, fault: Fault) -> Reply:
        key = request.path, str(sorted(request.params.items()))
        if key not in self.remembered:
            reply = super().reply(request, fault)
            # Or a thread of the server would wait for more requests of each client.
            reply = replace(reply, headers={**reply.headers, "Connection": "close"})
            self.remembered[key] = request.method, reply
        method, reply = self.remembered[key]
        if self.replaced and self.replaced[0] == method and reply.status == 200:
            return replace(reply, body=self.replaced[1])
        return reply


class _StackExchange(_Replacing, StackExchange):
    pass


class _GitHub(_Replacing, GitHub):
    pass


class _Replies(Kind):
    """Replies of an API."""

    def __init__(self) -> None:
        self._clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self._server = self._start()
        self._server.now = lambda: self._clock.now().timestamp()

    @abstractmethod
    def _start(self) -> _Replacing:
        """Start a server."""

    @abstractmethod
    def _source(self, home: Home) -> Source:
        """Return a source that asks the server."""

    @abstractmethod
    def _check(self, method: str, untouched: Sequence[Mapping[str, Any]], tables: Mapping[str, pl.DataFrame]) -> None:
        """Assert that the tables have what the items of the replies contain."""

    def examples(self) -> list[bytes]:
        self._server.replaced = None
        with tempfile.TemporaryDirectory() as folder:
            self._collect(Path(folder))
        bodies = {method: reply.body for method, reply in self._server.remembered.values() if reply.status == 200}
        # The port and the order of fields differ from process to process.
        url, fixed = self._server.url.encode(), b"http://127.0.0.1:1"
        contents = {method: json.loads(body.replace(url, fixed)) for method, body in sorted(bodies.items())}
        return [f"{method}\n{json.dumps(content, sort_keys=True)}".encode() for method, content in contents.items()]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        method, _, body = content.partition(b"\n")
        return method + b"\n" + (mutate_bytes if choose.random() < 0.3 else mutate_json)(choose, body)

    def read(self, content: bytes, folder: Path) -> None:
        name, _, body = content.partition(b"\n")
        method = name.decode()
        self._server.replaced = method, body
        tables = self._collect(folder)
        originals = [item for example in _known_bodies(self) for item in _items(example)]
        self._check(method, [item for item in _items(body) if item in originals], tables)

    def _collect(self, folder: Path) -> dict[str, pl.DataFrame]:
        """Collect and load the library into a new home; return the rows by table."""
        source = self._source(Home(folder, STUDY.name))
        for outcome in source.collect([_LIBRARY], sweep=False):
            if outcome.failure:
                raise outcome.failure
        return {name: _frame(rows.frame) for name, rows in source.load(_LIBRARY, _no_rows).items()}


@cache
def _known_bodies(kind: _Replies) -> list[bytes]:
    return [example.partition(b"\n")[2] for example in kind.examples()]


def _no_rows(table: str, *_: Any) -> pl.DataFrame:
    return pl.DataFrame(schema=table_schema(table))


def _frame(frames: pl.DataFrame | Iterable[pl.DataFrame]) -> pl.DataFrame:
    return frames if isinstance(frames, pl.DataFrame) else pl.concat(frames, how="diagonal")


def _items(body: bytes) -> list[Any]:
    """Return the items of a reply."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if isinstance(content, dict):
        content = content.get("items")
    return content if isinstance(content, list) else []


class StackExchangeReplies(_Replies):
    """Replies of Stack Exchange: questions and answers that are unchanged are loaded."""

    name = "stackexchange"

    def _start(self) -> _Replacing:
        server = _StackExchange()
        for question in corpus({"keras": 6}, seed=1):
            server.add(question)
        return server.__enter__()

    def _source(self, home: Home) -> Source:
        landing, ledger = Landing(home.landing / "stackoverflow", self._clock), Ledger(home.quota, self._clock)
        access = StackExchangeAccess(self._server.url, None, ledger, self._clock, _RETRIES)
        return Live(STUDY, landing, home.secret_key, access)

    def _check(self, method: str, untouched: Sequence[Mapping[str, Any]], tables: Mapping[str, pl.DataFrame]) -> None:
        if method == "questions":
            expected = {item["question_id"] for item in untouched if "title" in item}
            assert expected <= set(tables["raw_posts"]["post_id"])


class GitHubReplies(_Replies):
    """Replies of GitHub: fix commits that are unchanged are loaded."""

    name = "github"

    def _start(self) -> _Replacing:
        server = _GitHub()
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        for path, full_name, fields in make_repositories(Path(self._folder.name), ["keras"], repositories=1, commits=4):
            server.add(path, full_name, **fields)
        server.limits["core"].remaining = server.limits["search"].remaining = 10**9
        return server.__enter__()

    def _source(self, home: Home) -> Source:
        landing, ledger = Landing(home.landing / "github", self._clock), Ledger(home.quota, self._clock)
        access = ApiAccess(self._server.url, None, ledger, self._clock, "file:///none", retry_policy=_RETRIES)
        return Followed(STUDY, landing, access, home.clones, home.secret_key)

    def _check(self, method: str, untouched: Sequence[Mapping[str, Any]], tables: Mapping[str, pl.DataFrame]) -> None:
        if method == "repositories/{id}/commits" and tables["repositories"]["state"].to_list() == ["ok"]:
            titles = {item["sha"]: item["commit"]["message"].split("\n")[0] for item in untouched}
            are_fixes = matches(STUDY.selection.fix_pattern, titles.values())
            expected = {sha for sha, is_fix in zip(titles, are_fixes, strict=True) if is_fix}
            assert expected <= set(tables["fix_commits"]["sha"])
