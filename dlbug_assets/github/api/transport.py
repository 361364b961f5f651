"""One request to GitHub's REST API, whole or not at all.

What belongs here: deadlines, retries, waits, quota, redirects, and telling a reply from a failure. The token is added
here and nowhere else, and it goes to the API's own host alone.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from dlbug_assets.clock import Clock, format_minute
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import HttpClient, MalformedError, RetryPolicy, TransientError, UnreachableError
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.quota import EVERY, DeferredError, Ledger, wait_for_holds

logger = logging.getLogger(__name__)

_VERSION = "2022-11-28"
#: Searches and everything else have quotas of their own.
CORE, SEARCH = "core", "search"
#: Kept for whoever needs the API by hand in the same hour; searches are counted by the minute.
_RESERVES = {CORE: 10, SEARCH: 0}
#: A limit that ends at a second has been found to last into the next one.
_MARGIN_SECONDS = 2
#: After as many failures of the server as we have patience for.
_OUTAGE_SECONDS = 600
_HOPS = 3
_OK, _NOT_MODIFIED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERROR = 200, 304, 401, 403, 429, 500
_REDIRECTS = (301, 302, 307, 308)
#: What a refusal says that is a limit; any other one is for good.
_LIMIT = re.compile(r"rate limit|abuse detection|wait a few minutes|retry your request again later", re.I)


class RefusedError(DlbugError):
    """What the API will not do, whatever is tried: a wrong token, a redirect to somewhere else."""


@dataclass(frozen=True)
class Answer:
    """A reply that says something: 200, 304, or a refusal that concerns what was asked for alone."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def content(self) -> Any:
        """The JSON of the body; raises :class:`MalformedError` for what is none."""
        try:
            content = read_json(self.body)
        except ValueError:
            raise MalformedError("the reply is not JSON") from None
        if not isinstance(content, dict | list):
            raise MalformedError("the reply is neither an object nor a list")
        return content

    @property
    def has_next(self) -> bool:
        """Whether another page follows. `last` may be missing; `next` is not where there is more."""
        return re.search(r'rel="next"', self.headers.get("link", "")) is not None


class Transport:
    """Asks one API root. Serial: one request at a time.

    Waits and failed attempts are logged. Raises :class:`DeferredError` for what must wait longer
    than ``patience.hold`` (limits, outages), :class:`MalformedError` for replies that are none, :class:`RefusedError`
    for what the API will not do.
    """

    def __init__(
        self,
        root: str,
        token: str | None,
        ledger: Ledger,
        clock: Clock,
        *,
        wire: HttpClient,
        patience: RetryPolicy,
    ) -> None:
        parts = urlsplit(root)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise DlbugError(f"DLBUG_GITHUB_URL is {root!r}: give the API's root, as in https://host/api/v3")
        self.root = root.rstrip("/")
        self.services = {resource: service_name(self.root, token, resource) for resource in (CORE, SEARCH)}
        self._token = token
        self._ledger = ledger
        self._clock = clock
        self._patience = patience
        self._wire = wire

    def get(
        self, path: str, params: Mapping[str, Any], headers: Mapping[str, str], land: Callable[[Answer], None]
    ) -> Answer:
        """What the API answers to a path below its root; ``land`` gets it before anything looks into it."""
        method = _method(path)
        resource = SEARCH if path.startswith("search/") else CORE
        service = self.services[resource]
        url, given, hops, failures, limits = f"{self.root}/{path}", dict(params), 0, 0, 0
        while True:
            wait_for_holds(self._ledger, service, method, self._patience.hold, name="GitHub")
            number = self._ledger.record_request(service, method)
            try:
                answer = self._exchange(url, given, headers)
            except TransientError as error:
                failures += 1
                self._failed(number, service, method, str(error), failures)
                continue
            self._count(service, resource, answer, number)
            if answer.status in _REDIRECTS:
                hops += 1
                url, given = self._followed(url, given, answer, hops)
            elif self._is_limited(answer):
                limits += 1
                self._hold(service, answer, limits)
            elif answer.status == _UNAUTHORIZED:
                raise RefusedError(f"GitHub does not accept the token ({_said(answer)}). Check GITHUB_TOKEN.")
            else:
                if answer.status != _NOT_MODIFIED:
                    land(answer)
                if answer.status == _OK:
                    self._prove(answer, method)
                return answer

    def _exchange(self, url: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        secret = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        plain = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION, "User-Agent": "dlbug"}
        status, told, body = self._wire.get(url, params, {**plain, **headers, **secret}, self._patience)
        if status >= _SERVER_ERROR:
            raise TransientError(f"HTTP {status}")
        return Answer(status, {name.lower(): value for name, value in told.items()}, body)

    def _failed(self, number: int, service: str, method: str, reason: str, failures: int) -> None:
        """Pause before another try; after the last one hold everything where the
        service is in trouble, so that nobody hammers it."""
        self._ledger.record_response(number, reason)
        logger.warning("%s: %s", method, reason)
        if failures < self._patience.attempts:
            # Jittered, so that several who met the same outage do not come back together.
            self._clock.sleep(self._patience.pause * 2 ** (failures - 1) * random.uniform(1, 1.5))  # noqa: S311
            return
        failed = f"{self.root}/{method} failed {failures} times, the last time with: {reason}"
        if not reason.startswith("HTTP"):
            raise UnreachableError(f"{failed}. Is there a network? What was collected is kept; run again to go on.")
        until = self._ledger.hold(service, EVERY, _OUTAGE_SECONDS, f"failed {failures} times, with {reason} at last")
        raise DeferredError(
            f"{failed}. Is the service up? What was collected is kept; nothing is asked before "
            f"{format_minute(until)}; run again after that to go on.",
            until,
        )

    def _count(self, service: str, resource: str, answer: Answer, number: int) -> None:
        """Write down the quota; hold what would touch the reserve."""
        left, most = _whole(answer, "x-ratelimit-remaining"), _whole(answer, "x-ratelimit-limit")
        self._ledger.record_response(number, f"HTTP {answer.status}", left, most)
        if left is not None and left <= _RESERVES[resource] and not self._is_limited(answer):
            self._ledger.hold(
                service, EVERY, self._until_reset(answer), f"{left} of {most} requests are left and kept in reserve"
            )

    def _is_limited(self, answer: Answer) -> bool:
        if answer.status == _TOO_MANY:
            return True
        return answer.status == _FORBIDDEN and (
            "retry-after" in answer.headers
            or _whole(answer, "x-ratelimit-remaining") == 0
            or _LIMIT.search(_said(answer)) is not None
        )

    def _hold(self, service: str, answer: Answer, limits: int) -> None:
        """Note how long a limit lasts, as GitHub's documentation tells to read it: Retry-After, else the reset of a
        quota that is used up, else a minute that doubles each time."""
        reason = f"limited: {_said(answer)}"
        if limits >= self._patience.attempts:
            self._ledger.hold(service, EVERY, _OUTAGE_SECONDS, f"{reason} ({limits} times)")
        wait = _whole(answer, "retry-after")
        if wait is not None:
            # A secondary limit counts whatever is asked.
            for each in self.services.values():
                self._ledger.hold(each, EVERY, wait + _MARGIN_SECONDS, reason)
        elif _whole(answer, "x-ratelimit-remaining") == 0:
            self._ledger.hold(service, EVERY, self._until_reset(answer), reason)
        else:
            for each in self.services.values():
                self._ledger.hold(each, EVERY, self._patience.limited * 2 ** (limits - 1), reason)

    def _until_reset(self, answer: Answer) -> float:
        """Seconds until a quota is new, by the server's own clock."""
        reset = _whole(answer, "x-ratelimit-reset")
        if reset is None:
            return self._patience.limited
        try:
            now = parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC)
        except ValueError:
            now = self._clock.now()
        return max(reset - now.timestamp(), 0) + _MARGIN_SECONDS

    def _followed(self, url: str, params: dict[str, Any], answer: Answer, hops: int) -> tuple[str, dict[str, Any]]:
        """Where a redirect leads, with what was asked for."""
        target = urlsplit(urljoin(url, answer.headers.get("location", "")))
        root = urlsplit(self.root)
        if (target.scheme, target.netloc) != (root.scheme, root.netloc):
            raise RefusedError(
                f"{self.root} redirects to {target.scheme}://{target.netloc}: nothing is asked there, since the token "
                "would go along. Check DLBUG_GITHUB_URL."
            )
        if hops > _HOPS:
            raise MalformedError(f"{url}: more than {_HOPS} redirects after each other")
        return target._replace(query="", fragment="").geturl(), dict(parse_qsl(target.query)) or params

    def _prove(self, answer: Answer, method: str) -> None:
        try:
            answer.content  # noqa: B018 - a reply that is none is told here, before anybody takes it for an empty one
        except MalformedError as error:
            raise MalformedError(f"{self.root}/{method}: {error}") from None


def service_name(root: str, token: str | None, resource: str) -> str:
    """How the ledger calls an API root: each resource has its own quota, and another one with a token."""
    return f"{root.rstrip('/')} {resource} {'with' if token else 'without'} a token"


def _method(path: str) -> str:
    """A path without what differs from one repository to the other."""
    path = re.sub(r"^repos/[^/]+/[^/]+", "repos/{name}", path)
    path = re.sub(r"^repositories/\d+", "repositories/{id}", path)
    return re.sub(r"[0-9a-f]{40}", "{sha}", path)


def _said(answer: Answer) -> str:
    """What a refusal says, shortened."""
    try:
        message = answer.content["message"]
    except (MalformedError, KeyError, TypeError):
        return f"HTTP {answer.status}"
    return f"HTTP {answer.status}: {str(message)[:200]}"


def _whole(answer: Answer, header: str) -> int | None:
    value = answer.headers.get(header, "")
    return int(value) if value.isdigit() else None
