"""Transport of requests to GitHub's REST API: retries, waits, quota, redirects and the classification of responses.

The token is added here and nowhere else, and it is sent to the API's own host only.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from dlbug_assets.clock import Clock, format_minute, utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import (
    HttpClient,
    MalformedError,
    RetryPolicy,
    TransientError,
    UnreachableError,
    api_root,
)
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.quota import EVERY, DeferredError, Ledger, wait_for_holds

logger = logging.getLogger(__name__)

_VERSION = "2022-11-28"
#: Searches have one quota, everything else has another.
CORE, SEARCH = "core", "search"
#: Requests left unused for manual use of the API in the same hour; the quota of searches is renewed every minute.
_RESERVES = {CORE: 10, SEARCH: 0}
#: In practice, a limit lasts up to a second longer than its headers state.
_MARGIN_SECONDS = 2
#: The longest time until a quota is renewed, according to GitHub's documentation.
_LONGEST_WINDOW_SECONDS = 3600
#: How long to send nothing after the last attempt of the retry policy has failed.
_OUTAGE_SECONDS = 600
_MOST_REDIRECTS = 3
_OK, _NOT_MODIFIED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERROR = 200, 304, 401, 403, 429, 500
_REDIRECTS = (301, 302, 307, 308)
#: Messages of refusals that end with time. Other refusals are permanent.
_LIMIT_MESSAGE = re.compile(r"rate limit|abuse detection|wait a few minutes|retry your request again later", re.I)


class RefusedError(DlbugError):
    """A request that the API will never accept, such as one with a wrong token or one redirected to another host."""


@dataclass(frozen=True)
class Response:
    """A final response: status 200, 304, or a refusal that concerns the requested resource only."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def content(self) -> Any:
        """The parsed JSON of the body; raises :class:`MalformedError` if it is not an object or a list."""
        try:
            content = read_json(self.body)
        except (ValueError, RecursionError):
            raise MalformedError("the reply is not JSON, is nested too deeply, or has too many values") from None
        if not isinstance(content, dict | list):
            raise MalformedError("the reply is neither an object nor a list")
        return content

    @property
    def has_next(self) -> bool:
        """Whether another page follows; the header has a link `next` if so, while `last` may be missing."""
        return re.search(r'rel="next"', self.headers.get("link", "")) is not None


class Transport:
    """Requests to one API root, one at a time.

    Waits and failed attempts are logged. Raises :class:`DeferredError` where a limit or an outage requires a longer
    wait than ``retry_policy.hold``, :class:`UnreachableError` without a network, :class:`MalformedError` for replies
    that are not valid, and :class:`RefusedError` for requests that the API never accepts.

    ``server_time`` is the time of the last response by the server's clock, in UTC without a time zone, None before.
    """

    def __init__(
        self,
        root: str,
        token: str | None,
        ledger: Ledger,
        clock: Clock,
        *,
        http_client: HttpClient,
        retry_policy: RetryPolicy,
    ) -> None:
        secret = "GITHUB_TOKEN" if token else None
        self.root = api_root(root, "DLBUG_GITHUB_URL", secret, example="https://host/api/v3")
        self.services = {resource: service_name(self.root, token, resource) for resource in (CORE, SEARCH)}
        self._token = token
        self._ledger = ledger
        self._clock = clock
        self._retry_policy = retry_policy
        self._http_client = http_client
        self.server_time: datetime | None = None

    def get(
        self,
        path: str,
        params: Mapping[str, Any],
        headers: Mapping[str, str],
        land: Callable[[Response], None],
        *,
        what: str,
    ) -> Response:
        """Return the response for a path below the API's root; ``land`` stores it before it is parsed.

        ``what`` names the requested resource in messages, as in "the commits of owner/name".
        """
        method = _method(path)
        resource = SEARCH if path.startswith("search/") else CORE
        service = self.services[resource]
        url, query, redirects, failures, limits = f"{self.root}/{path}", dict(params), 0, 0, 0
        while True:
            wait_for_holds(self._ledger, service, method, self._retry_policy.hold, name="GitHub")
            number = self._ledger.record_request(service, method)
            try:
                response = self._send(url, query, headers)
            except TransientError as error:
                failures += 1
                self._record_failure(number, service, what, str(error), failures)
                continue
            except MalformedError as error:
                self._ledger.record_response(number, str(error))
                raise
            self.server_time = _server_time(response) or self.server_time
            self._record_quota(service, resource, response, number)
            if response.status in _REDIRECTS:
                redirects += 1
                url, query = self._redirected(url, query, response, redirects)
            elif self._is_limited(response):
                limits += 1
                self._hold(service, response, limits)
            elif response.status == _UNAUTHORIZED:
                raise RefusedError(f"GitHub does not accept the token ({_error_text(response)}). Check GITHUB_TOKEN.")
            else:
                if response.status != _NOT_MODIFIED or "If-None-Match" not in headers:
                    land(response)
                if response.status == _OK:
                    response.content  # noqa: B018 - raises before a malformed reply can be treated as an empty one
                return response

    def pause(self, failures: int) -> None:
        """Wait before the next attempt after a number of failed ones."""
        # With jitter, so that processes that met the same outage do not return at the same time.
        self._clock.sleep(self._retry_policy.pause * 2 ** (failures - 1) * random.uniform(1, 1.5))  # noqa: S311

    @property
    def attempts(self) -> int:
        """How often to send a request whose replies are malformed."""
        return self._retry_policy.attempts

    def _send(self, url: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        secret = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        plain = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION, "User-Agent": "dlbug"}
        status, received, body = self._http_client.get(url, params, {**plain, **headers, **secret}, self._retry_policy)
        if status >= _SERVER_ERROR:
            raise TransientError(f"HTTP {status}")
        return Response(status, {name.lower(): value for name, value in received.items()}, body)

    def _record_failure(self, number: int, service: str, what: str, reason: str, failures: int) -> None:
        """Wait before the next attempt; after the last one hold all requests to a service that fails, and raise."""
        self._ledger.record_response(number, reason)
        logger.warning("%s: %s", what, reason)
        if failures < self._retry_policy.attempts:
            self.pause(failures)
            return
        failed = f"{self.root}: the request for {what} failed {failures} times, the last time with: {reason}"
        if not reason.startswith("HTTP"):
            raise UnreachableError(f"{failed}. Is there a network? Collected data is kept; run again to resume.")
        until = self._ledger.hold(service, EVERY, _OUTAGE_SECONDS, f"failed {failures} times, last with {reason}")
        raise DeferredError(
            f"{failed}. Is the service up? Collected data is kept; no request is sent before {format_minute(until)}; "
            "run again after that to resume.",
            until,
        )

    def _record_quota(self, service: str, resource: str, response: Response, number: int) -> None:
        """Record the quota in the ledger; hold all requests while only the reserve is left."""
        left, most = _integer(response, "x-ratelimit-remaining"), _integer(response, "x-ratelimit-limit")
        self._ledger.record_response(number, f"HTTP {response.status}", left, most)
        if left is not None and left <= _RESERVES[resource] and not self._is_limited(response):
            self._ledger.hold(
                service, EVERY, self._until_reset(response), f"{left} of {most} requests are left and kept in reserve"
            )

    def _is_limited(self, response: Response) -> bool:
        if response.status == _TOO_MANY:
            return True
        return response.status == _FORBIDDEN and (
            "retry-after" in response.headers
            or _integer(response, "x-ratelimit-remaining") == 0
            or _LIMIT_MESSAGE.search(_error_text(response)) is not None
        )

    def _hold(self, service: str, response: Response, limits: int) -> None:
        """Hold requests for the duration of a limit, by the rules of GitHub's documentation.

        The duration is Retry-After, else the time until the reset of a used-up quota, else a minute that doubles each
        time (docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
        """
        reason = f"limited: {_error_text(response)}"
        if limits >= self._retry_policy.attempts:
            self._ledger.hold(service, EVERY, _OUTAGE_SECONDS, f"{reason} ({limits} times)")
        wait = _integer(response, "retry-after")
        if wait is not None:
            # A secondary limit applies to all resources.
            for each in self.services.values():
                self._ledger.hold(each, EVERY, wait + _MARGIN_SECONDS, reason)
        elif _integer(response, "x-ratelimit-remaining") == 0:
            self._ledger.hold(service, EVERY, self._until_reset(response), reason)
        else:
            for each in self.services.values():
                self._ledger.hold(each, EVERY, self._retry_policy.limited * 2 ** (limits - 1), reason)

    def _until_reset(self, response: Response) -> float:
        """Return the seconds until a quota is renewed, by the server's clock, which this machine's may contradict."""
        reset, now = _integer(response, "x-ratelimit-reset"), _server_time(response)
        if reset is None or now is None:
            return self._retry_policy.limited
        return min(max(reset - now.replace(tzinfo=UTC).timestamp(), 0), _LONGEST_WINDOW_SECONDS) + _MARGIN_SECONDS

    def _redirected(
        self, url: str, params: dict[str, Any], response: Response, redirects: int
    ) -> tuple[str, dict[str, Any]]:
        """Return the address and the parameters of a redirect, which keeps the parameters if it names none."""
        try:
            target = urlsplit(urljoin(url, response.headers.get("location", "")))
        except ValueError:
            raise MalformedError("the reply redirects to an address that is not valid") from None
        root = urlsplit(self.root)
        if (target.scheme, target.netloc) != (root.scheme, root.netloc):
            raise RefusedError(
                f"{self.root} redirects to {target.scheme}://{target.netloc}: no request is sent there, because that "
                "host would receive the token. Check DLBUG_GITHUB_URL."
            )
        if redirects > _MOST_REDIRECTS:
            raise MalformedError(f"more than {_MOST_REDIRECTS} redirects in a row")
        return target._replace(query="", fragment="").geturl(), dict(parse_qsl(target.query)) or params


def service_name(root: str, token: str | None, resource: str) -> str:
    """Return the ledger's name of an API root; quotas differ by resource and by whether a token is used."""
    return f"{root.rstrip('/')} {resource} {'with' if token else 'without'} a token"


def _method(path: str) -> str:
    """Return a path with placeholders for the repository and the hash, for the ledger and the log."""
    path = re.sub(r"^repos/[^/]+/[^/]+", "repos/{name}", path)
    path = re.sub(r"^repositories/\d+", "repositories/{id}", path)
    return re.sub(r"[0-9a-f]{40}", "{sha}", path)


def _error_text(response: Response) -> str:
    """Return the status and the beginning of the message of a refusal."""
    try:
        message = response.content["message"]
    except (MalformedError, KeyError, TypeError):
        return f"HTTP {response.status}"
    return f"HTTP {response.status}: {str(message)[:200]}"


def _integer(response: Response, header: str) -> int | None:
    value = response.headers.get(header, "")
    return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else None


def _server_time(response: Response) -> datetime | None:
    """Return the time of a response by the server's clock, in UTC without a time zone, if it states one."""
    try:
        return utc_naive(parsedate_to_datetime(response.headers.get("date", "")))
    except (ValueError, OverflowError):
        return None
