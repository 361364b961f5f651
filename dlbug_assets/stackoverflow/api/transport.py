"""Send one request to the Stack Exchange API and return its whole reply, or fail.

Connections, deadlines, retries, waits, the quota and error replies are handled here. The key is added here and nowhere
else, so that no address, error or record that leaves this module contains it.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

from dlbug_assets.clock import Clock, format_minute
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

VERSION = "2.3"

#: Stores the bytes of a reply, and when it was sent: Unix time by the API's clock, or None if that is unknown.
Land = Callable[[bytes, int | None], None]

#: The API has punished requests sent exactly at the end of a backoff.
_MARGIN_SECONDS = 2
#: Requests left for manual use of the API on the same day.
_RESERVE = 10
#: Holds for errors that do not state how long they last.
_THROTTLED_SECONDS = 600
_BLOCKED_SECONDS = 1800
_OK, _SERVER_ERROR = 200, 500
_EDGE_BLOCKS = (403, 429, 503)
_INTERNAL_ERROR, _THROTTLED, _UNAVAILABLE = 500, 502, 503


class RefusedError(DlbugError):
    """A permanent error of the API: a wrong parameter, a wrong key or an unknown method."""

    def __init__(self, message: str, error_id: int) -> None:
        super().__init__(message)
        self.error_id = error_id


class Transport:
    """Sends requests to one API root, one at a time; waits and failed attempts are logged."""

    def __init__(self, root: str, key: str | None, ledger: Ledger, clock: Clock, *, retry_policy: RetryPolicy) -> None:
        secret = "STACKEXCHANGE_KEY" if key else None
        self.root = api_root(root, "DLBUG_STACKEXCHANGE_URL", secret, example="https://host").removesuffix(
            f"/{VERSION}"
        )
        self.service = service_name(self.root, key)
        self._key = key
        self._ledger = ledger
        self._clock = clock
        self._retry_policy = retry_policy
        self._http_client = HttpClient(self._redact)

    def get(self, method: str, path: str, params: Mapping[str, Any], land: Land, *, wanted: str) -> dict[str, Any]:
        """Return the JSON object of the reply; ``land`` gets its bytes before they are parsed.

        ``method`` is the path without IDs, by which the API counts backoffs, and ``wanted`` what is requested, for
        messages. Raises :class:`DeferredError` for a wait of more than the policy's ``hold``, :class:`MalformedError`
        for a malformed reply, :class:`RefusedError` for a permanent error, and :class:`UnreachableError` without a
        reply.
        """
        failure = ""
        for attempt in range(self._retry_policy.attempts):
            self._wait_for_quota(method)
            number = self._ledger.record_request(self.service, method)
            try:
                status, headers, body = reply = self._send(path, params)
                if status == _OK:
                    land(body, _served_at(headers))
                    return self._content(number, method, body, wanted)
                failure = self._hold_after_error(number, method, reply, wanted)
            except TransientError as error:
                failure = str(error)
                self._ledger.record_response(number, failure)
                logger.warning("%s: %s", wanted, failure)
                if attempt + 1 < self._retry_policy.attempts:
                    # Jittered, so that clients that met the same outage do not all return at the same time.
                    self._clock.sleep(self._retry_policy.pause * 2**attempt * random.uniform(1, 1.5))  # noqa: S311
        raise UnreachableError(
            f"{self.root} did not return {wanted}: {self._retry_policy.attempts} attempts failed, the last one with: "
            f"{failure}. Check the network and the service. Collected data is kept; run again to continue."
        )

    def _wait_for_quota(self, method: str) -> None:
        """Wait for a short hold; raise DeferredError for a long one, or if only the reserve is left."""
        wait_for_holds(self._ledger, self.service, method, self._retry_policy.hold, name="Stack Exchange")
        quota = self._ledger.quota_status(self.service)
        if quota.quota_left is not None and quota.seen_at and quota.quota_left <= _RESERVE:
            seconds = (quota.seen_at + timedelta(days=1) - self._clock.now()).total_seconds()
            until = self._ledger.hold(self.service, EVERY, seconds, "the daily quota is used up except for a reserve")
            raise DeferredError(
                f"Stack Exchange: {quota.quota_left} of {quota.quota_max} requests are left for today, and {_RESERVE} "
                f"are kept in reserve; no request is sent before {format_minute(until)}. Collected data is kept; run "
                "again after that to continue. With a STACKEXCHANGE_KEY the quota is 10,000 a day.",
                until,
            )

    def _send(self, path: str, params: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        secret = {"key": self._key} if self._key else {}
        return self._http_client.get(f"{self.root}/{VERSION}/{path}", {**params, **secret}, {}, self._retry_policy)

    def _content(self, number: int, method: str, body: bytes, wanted: str) -> dict[str, Any]:
        """Return the wrapper object of a reply, after recording the request's outcome and the backoff."""
        try:
            content = parse_reply(body)
        except MalformedError as error:
            self._ledger.record_response(number, "malformed reply")
            raise MalformedError(f"{self.root} did not return {wanted}: {error}. Run again later.") from None
        left, most = content.get("quota_remaining"), content.get("quota_max")
        self._ledger.record_response(
            number, "ok", left if isinstance(left, int) else None, most if isinstance(most, int) else None
        )
        self._hold_for_backoff(method, content)
        return content

    def _hold_for_backoff(self, method: str, content: Mapping[str, Any]) -> None:
        seconds = content.get("backoff")
        if isinstance(seconds, int | float):
            self._ledger.hold(
                self.service, method, seconds + _MARGIN_SECONDS, f"the API requested a backoff of {seconds} seconds"
            )

    def _hold_after_error(
        self, number: int, method: str, reply: tuple[int, Mapping[str, str], bytes], wanted: str
    ) -> str:
        """Record how long to wait before the next attempt and return the error; raise for a permanent error."""
        status, headers, body = reply
        try:
            content = read_json(body)
        except ValueError:
            content = None
        if not isinstance(content, dict) or "error_id" not in content:
            if content is None and status in _EDGE_BLOCKS:
                wait = headers.get("Retry-After", "")
                seconds = int(wait[:9]) if wait.isdecimal() else _BLOCKED_SECONDS
                self._ledger.record_response(number, f"blocked: HTTP {status}")
                self._ledger.hold(self.service, EVERY, seconds + _MARGIN_SECONDS, f"blocked with HTTP {status}")
                return f"HTTP {status}"
            if status >= _SERVER_ERROR:
                raise TransientError(f"HTTP {status}")
            self._ledger.record_response(number, f"HTTP {status}")
            raise MalformedError(
                f"{self.root} did not return {wanted}, but HTTP {status} without an error of the API. Check "
                "DLBUG_STACKEXCHANGE_URL, or run again later."
            )
        self._hold_for_backoff(method, content)
        error_id, name = content["error_id"], content.get("error_name")
        text = self._redact(str(content.get("error_message"))[:300])
        if error_id in (_INTERNAL_ERROR, _UNAVAILABLE):
            raise TransientError(f"error {error_id} {name}: {text}")
        self._ledger.record_response(number, f"error {error_id} {name}")
        if error_id == _THROTTLED:
            stated = re.search(r"(\d+) seconds", text)
            seconds = int(stated.group(1)) if stated else _THROTTLED_SECONDS
            self._ledger.hold(self.service, EVERY, seconds + _MARGIN_SECONDS, f"throttled: {text}")
            return f"error {error_id} {name}"
        fix = (
            "Check STACKEXCHANGE_KEY." if "key" in f"{name} {text}" else "Check the study's tags, dates and min_score."
        )
        raise RefusedError(
            f"Stack Exchange refused to return {wanted}: error {error_id} {name}: {text}. {fix}", error_id
        )

    def _redact(self, text: str) -> str:
        for form in {self._key, quote(self._key), quote_plus(self._key)} if self._key else set():
            text = text.replace(form, "<key>")
        return text


def service_name(root: str, key: str | None) -> str:
    """Return the name of an API root in the ledger; quotas with and without a key are counted separately."""
    return f"{root.rstrip('/').removesuffix(f'/{VERSION}')} {'with' if key else 'without'} a key"


def _served_at(headers: Mapping[str, str]) -> int | None:
    """Return the time of the header Date, as Unix time; None if it is missing or malformed."""
    try:
        return int(parsedate_to_datetime(headers["Date"]).timestamp())
    except (KeyError, ValueError, OverflowError):
        return None


def parse_reply(body: bytes) -> dict[str, Any]:
    """Return the wrapper object of a reply; raise :class:`MalformedError` for anything else."""
    try:
        content = read_json(body)
    except ValueError:
        raise MalformedError("the reply is not JSON, is nested too deeply, or has too many values") from None
    if isinstance(content, dict) and "error_id" in content:
        raise MalformedError(f"the reply has status 200, but reports error {content['error_id']}")
    if not isinstance(content, dict) or not isinstance(content.get("items"), list):
        raise MalformedError("the reply has no list of items; without results the list would be empty")
    if not all(isinstance(item, dict) for item in content["items"]):
        raise MalformedError("the reply has items that are not objects")
    if not isinstance(content.get("has_more"), bool):
        raise MalformedError("the reply does not state whether there are more pages")
    return content
