"""A stand-in for the Stack Exchange API 2.3 on loopback, with the faults that the real one is known for.

It answers over real sockets what its `truth` holds, as the real API would: inclusive windows in whole seconds, a
hundred items to a page, filters, a quota, backoffs that it punishes to ignore, compressed replies, errors by number.
The truth may change at any time; `fail` queues a fault for the requests to come.

As a program it serves a made-up corpus of the paper's size: python tests/servers/stackexchange.py [--port N]
"""

import argparse
import gzip
import hashlib
import html
import json
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_PAGE, _DEFAULT_PAGE, _LAST_PAGE_WITHOUT_KEY = 100, 30, 25
_SORTS = {"activity": "last_activity_date", "votes": "score", "creation": "creation_date"}
_WRAPPER = (".items", ".has_more", ".quota_max", ".quota_remaining", ".backoff", ".error_id", ".error_name",
            ".error_message")  # fmt: skip
_QUESTION = ("question_id", "title", "tags", "score", "view_count", "answer_count", "accepted_answer_id", "is_answered",
             "creation_date", "last_activity_date", "owner", "link", "content_license")  # fmt: skip
_ANSWER = ("answer_id", "question_id", "score", "is_accepted", "creation_date", "last_activity_date", "owner",
           "content_license")  # fmt: skip
_USER = ("account_id", "user_id", "display_name", "reputation", "user_type")
_PLAIN = {*_WRAPPER, *(f"question.{f}" for f in _QUESTION), *(f"answer.{f}" for f in _ANSWER),
          *(f"shallow_user.{f}" for f in _USER)}  # fmt: skip
_BUILT_IN = {
    "default": _PLAIN,
    "withbody": _PLAIN | {"question.body", "answer.body"},
    "none": set(),
    "total": {".total"},
}
_ERRORS = {
    400: "bad_parameter", 403: "access_denied", 404: "no_method", 405: "key_required", 500: "internal_error",
    502: "throttle_violation", 503: "temporarily_unavailable",
}  # fmt: skip


@dataclass
class Answer:
    """An answer, with the API's names."""

    answer_id: int
    question_id: int
    score: int
    is_accepted: bool
    body: str
    creation_date: int
    last_activity_date: int
    owner: dict[str, Any]
    content_license: str = "CC BY-SA 4.0"


@dataclass
class Question:
    """A question, with the API's names."""

    question_id: int
    title: str
    body: str
    tags: list[str]
    score: int
    view_count: int
    creation_date: int
    last_activity_date: int
    owner: dict[str, Any]
    link: str
    accepted_answer_id: int | None = None
    content_license: str = "CC BY-SA 4.0"
    answers: list[Answer] = field(default_factory=list)

    @property
    def answer_count(self) -> int:
        return len(self.answers)

    @property
    def is_answered(self) -> bool:
        return bool(self.answers)


@dataclass
class Request:
    """A request that arrived; ``method`` is the path with ids replaced, ``at`` on the monotonic clock."""

    method: str
    written: str
    params: dict[str, str]
    ids: list[int]
    at: float
    status: int | None = None


class Fault:
    """What goes wrong with the next ``times`` requests (None: all) of a method and tag (None: any)."""

    def __init__(
        self, kind: str, method: str | None = None, times: int | None = 1, tagged: str | None = None, **options: Any
    ) -> None:
        self.kind, self.method, self.times, self.tagged, self.options = kind, method, times, tagged, options

    def befalls(self, request: "Request") -> bool:
        """Whether a request meets it."""
        return (
            self.times != 0
            and self.method in (None, request.method)
            and self.tagged in (None, request.params.get("tagged"))
        )


class _ApiError(Exception):
    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def owner(number: int) -> dict[str, Any]:
    """An account; names and addresses are there to be kept out of everything."""
    return {
        "account_id": 10_000 + number,
        "user_id": number,
        "display_name": f"Jane Doe {number}",
        "reputation": 101,
        "user_type": "registered",
    }


def question(
    question_id: int, *, tags: Iterable[str], score: int = 10, created: int, activity: int | None = None, **fields: Any
) -> Question:
    """A question with what a test does not say filled in."""
    return Question(
        **{
            "question_id": question_id,
            "title": f'How to "fit" & predict #{question_id}?',
            "body": "<p>Why?</p>\n<pre><code>model.fit(x)\n</code></pre>",
            "tags": list(tags),
            "score": score,
            "view_count": 100 * max(score, 1),
            "creation_date": created,
            "last_activity_date": created if activity is None else activity,
            "owner": owner(question_id % 1000),
            "link": f"https://stackoverflow.com/questions/{question_id}/how-to",
            **fields,
        }
    )


def corpus(
    counts: Mapping[str, int], *, seed: int, first: int = 1_356_998_400, last: int = 1_546_300_799,
    low_scored: float = 0.0, shared: float = 0.0,
) -> list[Question]:  # fmt: skip
    """So many questions of score 6 and more per tag, ever denser from ``first`` to ``last``, and a share below 6.

    A ``shared`` part of them carries the next tag as well, which then has more questions than its count.
    """
    draw = random.Random(seed)  # noqa: S311
    made = []
    for tag, count in counts.items():
        for number in range(count + round(count * low_scored)):
            created = first + int((last - first) * draw.random() ** 0.5)
            score = 6 + int(draw.paretovariate(1.2)) - 1 if number < count else draw.randrange(-3, 6)
            made.append((created, tag, score))
    made.sort()
    questions = [_drawn(draw, 1000 + 7 * number, *drawn) for number, drawn in enumerate(made)]
    # Drawn last, so that a corpus without shared questions is the same whether or not there could be some.
    following = dict(zip(counts, [*list(counts)[1:], *list(counts)[:1]], strict=True))
    for item in draw.sample(questions, round(shared * len(questions))):
        item.tags.insert(1, following[item.tags[0]])
    return questions


def _drawn(draw: random.Random, number: int, created: int, tag: str, score: int) -> Question:
    code = draw.choice(
        ["<pre><code>fit(x)</code></pre>", '<pre class="lang-py s-code-block"><code class="hljs">fit(x)</code></pre>']
    )
    answers = [
        Answer(
            answer_id=number * 10 + place,
            question_id=number,
            score=draw.randrange(-1, 20),
            is_accepted=place == 0,
            body="<p>Normalize, or write to jane.doe@example.org.</p>",
            creation_date=created + 3600 * (place + 1),
            last_activity_date=created + 3600 * (place + 1),
            owner=owner(draw.randrange(1000)),
        )
        for place in range(draw.choice([0, 1, 1, 2, 3, 5]))
    ]
    active = max([created, *(answer.last_activity_date for answer in answers)])
    body = f"<p>Mail me at john@example.org.</p>\n{code}"
    tags = [tag, *draw.sample(["python", "numpy", "gpu"], 2)]
    accepted = answers[0].answer_id if answers else None
    return question(
        number, tags=tags, score=score, created=created, activity=active, body=body, answers=answers,
        accepted_answer_id=accepted,
    )  # fmt: skip


class StackExchange:
    """The server; use it in a with statement."""

    def __init__(self, questions: Iterable[Question] = (), port: int = 0) -> None:
        self.truth = {item.question_id: item for item in questions}
        self.lock = threading.RLock()
        self.log: list[Request] = []
        self.quota_max = self.quota_remaining = 10_000
        self.key: str | None = None
        self.now: Callable[[], int] = lambda: int(time.time())
        self.faults: list[Fault] = []
        self.before: Callable[[Request], None] | None = None
        self.punished = 0
        self.methods = {
            "sites", "filters/create", "questions", "questions/{ids}", "questions/{ids}/answers", "answers/{ids}"
        }  # fmt: skip
        self.filters: dict[str, tuple[set[str], bool]] = {name: (fields, True) for name, fields in _BUILT_IN.items()}
        self._not_before: dict[str, float] = {}
        self.stopping = threading.Event()
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "StackExchange":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, item: Question) -> None:
        """A question is asked."""
        with self.lock:
            self.truth[item.question_id] = item

    def edit(self, number: int, **changes: Any) -> None:
        """A question changes, and is the one that was active last."""
        with self.lock:
            vars(self.truth[number]).update(changes, last_activity_date=self.now())

    def vote(self, number: int, score: int) -> None:
        """Votes leave no trace in the activity."""
        with self.lock:
            self.truth[number].score = score

    def delete(self, number: int) -> None:
        """A question is deleted: nothing says so."""
        with self.lock:
            del self.truth[number]

    def answer(self, number: int, **fields: Any) -> None:
        """Somebody answers."""
        with self.lock:
            item = self.truth[number]
            now = self.now()
            made = {"answer_id": number * 1000 + len(item.answers), "question_id": number, "score": 0,
                    "is_accepted": False, "body": "<p>So.</p>", "creation_date": now, "last_activity_date": now,
                    "owner": owner(1)}  # fmt: skip
            item.answers.append(Answer(**{**made, **fields}))
            item.last_activity_date = now

    def fail(self, fault: Fault) -> None:
        """Let a fault happen to requests to come."""
        with self.lock:
            self.faults.append(fault)

    def take_fault(self, request: Request) -> Fault | None:
        """The fault that a request meets; it is used up."""
        for fault in self.faults:
            if fault.befalls(request):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def answered(self, request: Request, fault: Fault | None) -> dict[str, Any]:
        """The reply to a request; raises _ApiError."""
        if time.monotonic() < self._not_before.get(request.method, 0):
            self.punished += 1
            raise _ApiError(502, "too many requests from this IP, more requests available in 86400 seconds")
        given = request.params.get("key")
        if given is not None and given != self.key:
            raise _ApiError(400, "`key` doesn't match a known application")
        if self.quota_remaining <= 0:
            raise _ApiError(502, "too many requests from this IP, more requests available in 46472 seconds")
        self.quota_remaining -= 1
        if request.method == "sites":
            items = [{"api_site_parameter": "stackoverflow", "name": "Stack Overflow"}]
            return {"items": items, "has_more": False, **self._quota()}
        if request.method == "filters/create":
            return {"items": [self._created_filter(request.params)], "has_more": False, **self._quota()}
        return self._listed(request, fault)

    def hold(self, method: str, seconds: float) -> None:
        """Punish whoever calls a method before so many seconds have passed."""
        self._not_before[method] = time.monotonic() + seconds

    def _quota(self) -> dict[str, int]:
        return {"quota_max": self.quota_max, "quota_remaining": self.quota_remaining}

    def _created_filter(self, params: Mapping[str, str]) -> dict[str, Any]:
        name = params.get("base", "default")
        if name not in self.filters:
            raise _ApiError(400, "base")
        base, _ = self.filters[name]
        included = {name for name in params.get("include", "").split(";") if name}
        excluded = {name for name in params.get("exclude", "").split(";") if name}
        fields = (base | included) - excluded
        is_safe = params.get("unsafe", "false") != "true"
        digest = hashlib.sha256(f"{sorted(fields)}{is_safe}".encode()).hexdigest()[:16]
        self.filters[f"!{digest}"] = (fields, is_safe)
        kind = "safe" if is_safe else "unsafe"
        return {"filter": f"!{digest}", "filter_type": kind, "included_fields": sorted(fields)}

    def _listed(self, request: Request, fault: Fault | None) -> dict[str, Any]:
        params = request.params
        if params.get("site") != "stackoverflow":
            raise _ApiError(400, "site is required")
        if len(request.ids) > _PAGE:
            raise _ApiError(400, "ids")
        name = params.get("filter", "default")
        if name not in self.filters:
            raise _ApiError(400, "invalid filter specified")
        fields, is_safe = self.filters[name]
        sort, order = params.get("sort", "activity"), params.get("order", "desc")
        if sort not in _SORTS or order not in ("asc", "desc"):
            raise _ApiError(400, "sort" if sort not in _SORTS else "order")
        size, page = _whole(params, "pagesize", _DEFAULT_PAGE), _whole(params, "page", 1)
        if not 0 <= size <= _PAGE or page < 1:
            raise _ApiError(400, "pagesize" if page > 0 else "page")
        if page > _LAST_PAGE_WITHOUT_KEY and "key" not in params:
            raise _ApiError(403, "page above 25 requires access token or app key")
        if fault and fault.kind == "endless":
            params = {key: value for key, value in params.items() if key not in ("min", "max", "fromdate", "todate")}
            page = 1
        found = self._found(request, params, _SORTS[sort])
        found.sort(key=lambda item: (getattr(item, _SORTS[sort]), _number(item)), reverse=order == "desc")
        shown = found[(page - 1) * size : page * size]
        short = fault.options["n"] if fault and fault.kind == "short_answers" else None
        reply = {
            ".items": [_rendered(item, fields, is_safe=is_safe, answers=short) for item in shown],
            ".has_more": page * size < len(found) or bool(fault and fault.kind == "endless"),
            ".total": len(found),
            **{f".{key}": value for key, value in self._quota().items()},
        }
        if fault and fault.kind == "backoff":
            reply[".backoff"] = fault.options["seconds"]
            self.hold(request.method, fault.options["seconds"])
        return {key.removeprefix("."): value for key, value in reply.items() if key in fields}

    def _found(self, request: Request, params: Mapping[str, str], key: str) -> list[Any]:
        items: list[Any] = list(self.truth.values())
        if request.method.startswith("questions/{ids}"):
            items = [self.truth[number] for number in dict.fromkeys(request.ids) if number in self.truth]
        if request.method in ("questions/{ids}/answers", "answers/{ids}"):
            items = [answer for item in items for answer in item.answers]
        if request.method == "answers/{ids}":
            items = [answer for answer in items if answer.answer_id in request.ids]
        tags = [tag for tag in params.get("tagged", "").split(";") if tag]
        least, most = _whole(params, "min", None), _whole(params, "max", None)
        since, until = _whole(params, "fromdate", None), _whole(params, "todate", None)
        return [
            item
            for item in items
            if all(tag in getattr(item, "tags", tags) for tag in tags)
            and (least is None or getattr(item, key) >= least)
            and (most is None or getattr(item, key) <= most)
            and (since is None or item.creation_date >= since)
            and (until is None or item.creation_date <= until)
        ]


def _whole(params: Mapping[str, str], name: str, default: Any) -> Any:
    value = params.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"-?\d+", value):
        raise _ApiError(400, name)
    return int(value)


def _number(item: Question | Answer) -> int:
    return item.question_id if isinstance(item, Question) else item.answer_id


def _rendered(
    item: Question | Answer, fields: set[str], *, is_safe: bool, answers: int | None = None
) -> dict[str, Any]:
    kind = "question" if isinstance(item, Question) else "answer"
    names = {name.removeprefix(f"{kind}.") for name in fields if name.startswith(f"{kind}.")}
    shown: dict[str, Any] = {name: getattr(item, name) for name in names if getattr(item, name, None) is not None}
    if "title" in shown and is_safe:
        shown["title"] = html.escape(shown["title"]).replace("&#x27;", "&#39;")
    if "owner" in shown:
        shown["owner"] = {key: value for key, value in item.owner.items() if f"shallow_user.{key}" in fields}
    if "answers" in shown:
        shown["answers"] = [_rendered(answer, fields, is_safe=is_safe) for answer in shown["answers"][:answers]]
        if not shown["answers"]:
            del shown["answers"]
    return shown


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    api: StackExchange
    protocol_version = "HTTP/1.1"
    # The head and the body are two packets: the second one would wait 40 ms for word of the first.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        api = self.api
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/2.3/").strip("/")
        ids = [int(number) for group in re.findall(r"(?<=/)[\d;]+", path) for number in group.split(";") if number]
        method = re.sub(r"(?<=/)[\d;]+", "{ids}", path)
        request = Request(method, parts.path, dict(parse_qsl(parts.query)), ids, time.monotonic())
        with api.lock:
            api.log.append(request)
            fault = api.take_fault(request)
            if fault and _before_answering(self, request, fault):
                return
            if api.before:
                api.before(request)
            try:
                _refuse(fault, is_known=method in api.methods)
                content, status = api.answered(request, fault), 200
            except _ApiError as error:
                status = 400
                content = {"error_id": error.number, "error_name": _ERRORS[error.number], "error_message": str(error)}
                if fault and "backoff" in fault.options:
                    content["backoff"] = fault.options["backoff"]
                    api.hold(method, fault.options["backoff"])
                # A filter shapes errors too: who does not include their fields learns nothing but the status.
                fields, _ = api.filters.get(request.params.get("filter", "default"), api.filters["default"])
                content = {key: value for key, value in content.items() if f".{key}" in fields}
            request.status = status
        self.send(status, _spoilt(content, fault), fault)

    def send(self, status: int, content: Any, fault: Fault | None) -> None:
        """Send JSON as the real API does, compressed, with what a fault makes of it."""
        kind = fault.kind if fault else ""
        body = gzip.compress(json.dumps(content).encode())
        encoding = "gzip"
        if kind == "bad_gzip":
            body = b"\x1f\x8b garbage that is no gzip"
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(body) + (500 if kind == "cut_body" else 0)))
        if kind == "drip":
            head = b"".join(self._headers_buffer) + b"\r\n"
            self._headers_buffer = []
            if not fault.options.get("headers"):
                self.wfile.write(head)
            for byte in (head if fault.options.get("headers") else b"") + body:
                if self.api.stopping.wait(fault.options["seconds"]):
                    break
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    break
            self.close_connection = True
            return
        self.end_headers()
        self.wfile.write(body)
        if kind == "cut_body":
            self.close_connection = True


def _before_answering(handler: _Handler, request: Request, fault: Fault) -> bool:
    """Faults that no reply of the API comes out of; true where that was it."""
    if fault.kind == "reset":
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True
    elif fault.kind == "hang":
        handler.api.lock.release()
        handler.api.stopping.wait()
        handler.api.lock.acquire()
        handler.close_connection = True
    elif fault.kind == "edge_block":
        body = b"<html><body>Too many requests</body></html>"
        request.status = fault.options.get("status", 429)
        handler.send_response(request.status)
        if "retry_after" in fault.options:
            handler.send_header("Retry-After", str(fault.options["retry_after"]))
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    elif fault.kind == "http_500":
        request.status = 500
        handler.send(500, {"message": "something broke"}, None)
    else:
        return False
    return True


def _refuse(fault: Fault | None, *, is_known: bool) -> None:
    if not is_known:
        raise _ApiError(404, "no method found with this name")
    refusals = {
        "throttle": (502, "too many requests from this IP, more requests available in {seconds} seconds"),
        "unavailable": (503, "the API is down for maintenance"),
        "internal": (500, "an internal error happened"),
        "caller_error": (400, "tagged"),
    }
    if fault and fault.kind in refusals:
        number, message = refusals[fault.kind]
        raise _ApiError(number, message.format(**fault.options))


def _spoilt(content: dict[str, Any], fault: Fault | None) -> Any:
    if fault is None or "items" not in content:
        return content
    if fault.kind == "hollow":
        return {}
    if fault.kind == "wrong_wrapper":
        return [content]
    if fault.kind == "wrong_type":
        return content | {"items": {"0": "?"}}
    if fault.kind == "drift" and len(content["items"]) > 4:
        items = content["items"]
        for item in items:
            item["community_owned_date_v2"] = 1
        items[0].pop("owner", None)
        items[1]["score"] = str(items[1]["score"])
        items[2].pop("creation_date", None)
        items[3]["title"] = 42
    return content


def main() -> None:
    """Serve a corpus of the paper's size until Ctrl+C."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    sizes = {"caffe": 183, "keras": 567, "tensorflow": 1558, "theano": 231, "torch": 177}
    with StackExchange(corpus(sizes, seed=2019, low_scored=0.5), parser.parse_args().port) as api:
        print(api.url, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
