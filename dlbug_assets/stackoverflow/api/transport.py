"""One request to the Stack Exchange API, whole or not at all.

What belongs here: connecting, deadlines, retries, waits, quota, and telling a reply from a failure. The key is added
here and nowhere else, so that no address, error or record that leaves this module can hold it.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from dlbug_assets.clock import Clock, format_minute
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import HttpClient, MalformedError, RetryPolicy, TransientError, UnreachableError
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.quota import EVERY, DeferredError, Ledger, wait_for_holds

logger = logging.getLogger(__name__)

VERSION = "2.3"

#: A backoff that was waited out to the second has been punished; so much longer is safe.
_MARGIN_SECONDS = 2
#: Kept for whoever needs the API by hand on the same day.
_RESERVE = 10
#: Holds for refusals that do not say how long they last.
_THROTTLED_SECONDS = 600
_BLOCKED_SECONDS = 1800
_OK, _SERVER_ERROR = 200, 500
_EDGE_BLOCKS = (403, 429, 503)
_INTERNAL_ERROR, _THROTTLED, _UNAVAILABLE = 500, 502, 503


class RefusedError(DlbugError):
    """What the API will not do, whatever is tried: a wrong parameter, a wrong key, an unknown method."""

    def __init__(self, message: str, error_id: int) -> None:
        super().__init__(message)
        self.error_id = error_id


class Transport:
    """Asks one API root. Serial: one request at a time.

    Waits and failed attempts are logged. Raises :class:`DeferredError` for what must wait longer
    than ``patience.hold``, :class:`MalformedError` for replies that are none, :class:`RefusedError` for what the API
    will not do, :class:`UnreachableError` where no reply comes.
    """

    def __init__(
        self,
        root: str,
        key: str | None,
        ledger: Ledger,
        clock: Clock,
        *,
        patience: RetryPolicy,
    ) -> None:
        parts = urlsplit(root)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise DlbugError(f"DLBUG_STACKEXCHANGE_URL is {root!r}: give the API's root, as in https://host")
        self.root = root.rstrip("/").removesuffix(f"/{VERSION}")
        self.service = service_name(self.root, key)
        self._key = key
        self._ledger = ledger
        self._clock = clock
        self._patience = patience
        self._wire = HttpClient(self._redacted)

    def get(self, path: str, params: Mapping[str, Any], land: Callable[[bytes], None]) -> dict[str, Any]:
        """The JSON object that the API answers; ``land`` gets its bytes before anything looks into them."""
        method = re.sub(r"(?<=/)[\d;]+", "{ids}", path)
        failure = ""
        for attempt in range(self._patience.attempts):
            self._pass_holds(method)
            number = self._ledger.record_request(self.service, method)
            try:
                status, headers, body = self._exchange(path, params)
                if status == _OK:
                    land(body)
                    return self._reply(number, method, body)
                failure = self._refusal(number, method, status, headers, body)
            except TransientError as error:
                failure = str(error)
                self._ledger.record_response(number, failure)
                logger.warning("%s: %s", method, failure)
                if attempt + 1 < self._patience.attempts:
                    # Jittered, so that several who met the same outage do not come back together.
                    self._clock.sleep(self._patience.pause * 2**attempt * random.uniform(1, 1.5))  # noqa: S311
        raise UnreachableError(
            f"{self.root}/{VERSION}/{method} failed {self._patience.attempts} times, the last time with: {failure}. "
            "Is there a network, and is the service up? What was collected is kept; run again to go on."
        )

    def _pass_holds(self, method: str) -> None:
        """Wait for a short hold; raise DeferredError for a long one, or where only the reserve is left."""
        wait_for_holds(self._ledger, self.service, method, self._patience.hold, name="Stack Exchange")
        standing = self._ledger.quota_status(self.service)
        if standing.quota_left is not None and standing.seen_at and standing.quota_left <= _RESERVE:
            seconds = (standing.seen_at + timedelta(days=1) - self._clock.now()).total_seconds()
            until = self._ledger.hold(self.service, EVERY, seconds, "the day's quota is used up but for a reserve")
            raise DeferredError(
                f"Stack Exchange: {standing.quota_left} of {standing.quota_max} requests are left for today, and "
                f"{_RESERVE} are kept in reserve; nothing is asked before "
                f"{format_minute(until)}. What was collected is kept; run again after that to go on. With a STACKEXCHANGE_KEY the quota is 10,000 a day.",
                until,
            )

    def _exchange(self, path: str, params: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        secret = {"key": self._key} if self._key else {}
        return self._wire.get(f"{self.root}/{VERSION}/{path}", {**params, **secret}, {}, self._patience)

    def _reply(self, number: int, method: str, body: bytes) -> dict[str, Any]:
        try:
            content = parsed(body)
        except MalformedError as error:
            self._ledger.record_response(number, "malformed reply")
            raise MalformedError(f"{self.root}/{VERSION}/{method}: {error}") from None
        left, most = content.get("quota_remaining"), content.get("quota_max")
        self._ledger.record_response(
            number, "ok", left if isinstance(left, int) else None, most if isinstance(most, int) else None
        )
        self._heed_backoff(method, content)
        return content

    def _heed_backoff(self, method: str, content: Mapping[str, Any]) -> None:
        seconds = content.get("backoff")
        if isinstance(seconds, int | float):
            self._ledger.hold(
                self.service, method, seconds + _MARGIN_SECONDS, f"asked to back off for {seconds} seconds"
            )

    def _refusal(self, number: int, method: str, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """Raise for what another try cannot mend; else note how long to wait before one, and say why."""
        try:
            content = read_json(body)
        except ValueError:
            content = None
        if not isinstance(content, dict) or "error_id" not in content:
            if content is None and status in _EDGE_BLOCKS:
                wait = headers.get("Retry-After", "")
                seconds = int(wait) if wait.isdigit() else _BLOCKED_SECONDS
                self._ledger.record_response(number, f"blocked: HTTP {status}")
                self._ledger.hold(self.service, EVERY, seconds + _MARGIN_SECONDS, f"blocked with HTTP {status}")
                return f"HTTP {status}"
            if status >= _SERVER_ERROR:
                raise TransientError(f"HTTP {status}")
            self._ledger.record_response(number, f"HTTP {status}")
            raise MalformedError(f"{self.root}/{VERSION}/{method} answered HTTP {status} without an error of the API")
        self._heed_backoff(method, content)
        error_id, name = content["error_id"], content.get("error_name")
        text = self._redacted(str(content.get("error_message"))[:300])
        if error_id in (_INTERNAL_ERROR, _UNAVAILABLE):
            raise TransientError(f"error {error_id} {name}: {text}")
        self._ledger.record_response(number, f"error {error_id} {name}")
        if error_id == _THROTTLED:
            told = re.search(r"(\d+) seconds", text)
            seconds = int(told.group(1)) if told else _THROTTLED_SECONDS
            self._ledger.hold(self.service, EVERY, seconds + _MARGIN_SECONDS, f"throttled: {text}")
            return f"error {error_id} {name}"
        cure = (
            "Check STACKEXCHANGE_KEY." if "key" in f"{name} {text}" else "Check the study's tags, dates and min_score."
        )
        raise RefusedError(f"Stack Exchange refused {method}: error {error_id} {name}: {text}. {cure}", error_id)

    def _redacted(self, text: str) -> str:
        for form in {self._key, quote(self._key), quote_plus(self._key)} if self._key else set():
            text = text.replace(form, "<key>")
        return text


def service_name(root: str, key: str | None) -> str:
    """How the ledger calls an API root: quotas with and without a key are counted apart."""
    return f"{root.rstrip('/').removesuffix(f'/{VERSION}')} {'with' if key else 'without'} a key"


def parsed(body: bytes) -> dict[str, Any]:
    """The wrapper object of a reply; raises :class:`MalformedError` for anything that is not one."""
    try:
        content = read_json(body)
    except ValueError:
        raise MalformedError("the reply is not JSON") from None
    if isinstance(content, dict) and "error_id" in content:
        raise MalformedError(f"the reply has status 200, but reports error {content['error_id']}")
    if not isinstance(content, dict) or not isinstance(content.get("items"), list):
        raise MalformedError("the reply holds no list of items; an empty answer would hold an empty one")
    if not all(isinstance(item, dict) for item in content["items"]):
        raise MalformedError("the reply holds items that are no objects")
    if not isinstance(content.get("has_more"), bool):
        raise MalformedError("the reply does not say whether there is more")
    return content
