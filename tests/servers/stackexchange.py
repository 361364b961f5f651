"""A stand-in for the Stack Exchange API 2.3 on loopback, with the faults that the real one is known for.

It replies from its `truth` as the real API does: inclusive windows in whole seconds, a hundred items per page, filters,
a quota, backoffs that must not be ignored, compressed replies and numbered errors. The truth may change at any time.
Tags are found in any case, and by their synonyms; questions have the tags that synonyms stand for.

As a program it serves a generated corpus of the paper's size:
PYTHONPATH=tests python -m servers.stackexchange [--port N]
"""

import argparse
import hashlib
import html
import json
import random
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from servers.stand_in import Fault, Reply, Request, StandIn

_PAGE, _DEFAULT_PAGE, _LAST_PAGE_WITHOUT_KEY, _MOST_TAGS = 100, 30, 25, 20
_SORTS = {"activity": "last_activity_date", "votes": "score", "creation": "creation_date"}
_WRAPPER = (".items", ".has_more", ".quota_max", ".quota_remaining", ".backoff", ".error_id", ".error_name",
            ".error_message")  # fmt: skip
_QUESTION = ("question_id", "title", "tags", "score", "view_count", "answer_count", "accepted_answer_id", "is_answered",
             "creation_date", "last_activity_date", "owner", "link", "content_license")  # fmt: skip
_ANSWER = ("answer_id", "question_id", "score", "is_accepted", "creation_date", "last_activity_date", "owner",
           "content_license")  # fmt: skip
_USER = ("account_id", "user_id", "display_name", "reputation", "user_type")
_SYNONYM = ("from_tag", "to_tag", "creation_date", "applied_count")
_PLAIN = {*_WRAPPER, *(f"question.{f}" for f in _QUESTION), *(f"answer.{f}" for f in _ANSWER),
          *(f"shallow_user.{f}" for f in _USER), *(f"tag_synonym.{f}" for f in _SYNONYM)}  # fmt: skip
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


class _ApiError(Exception):
    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def owner(number: int) -> dict[str, Any]:
    """Return an account, with a name that must not appear anywhere."""
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
    """Return a question; the fields that a test does not need have defaults."""
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
    """Return ``counts`` questions per tag with a score of 6 or more, and a share of ``low_scored`` ones below 6.

    Creation times are between ``first`` and ``last``, ever denser. A ``shared`` part of the questions has the next tag
    as well, which then has more questions than its count.
    """
    draw = random.Random(seed)  # noqa: S311
    sampled = []
    for tag, count in counts.items():
        for number in range(count + round(count * low_scored)):
            created = first + int((last - first) * draw.random() ** 0.5)
            score = 6 + int(draw.paretovariate(1.2)) - 1 if number < count else draw.randrange(-3, 6)
            sampled.append((created, tag, score))
    sampled.sort()
    questions = [_sampled_question(draw, 1000 + 7 * number, *values) for number, values in enumerate(sampled)]
    # Sampled last, so that the other questions do not depend on `shared`.
    following = dict(zip(counts, [*list(counts)[1:], *list(counts)[:1]], strict=True))
    for item in draw.sample(questions, round(shared * len(questions))):
        item.tags.insert(1, following[item.tags[0]])
    return questions


def _sampled_question(draw: random.Random, number: int, created: int, tag: str, score: int) -> Question:
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


class StackExchange(StandIn):
    """The server.

    ``truth`` has the questions by ID, ``key`` is the only valid key, ``methods`` are those served, and ``synonyms`` has
    the tags that other tags stand for.
    """

    def __init__(self, questions: Iterable[Question] = (), port: int = 0) -> None:
        super().__init__(port)
        self.truth = {item.question_id: item for item in questions}
        self.quota_max = self.quota_remaining = 10_000
        self.key: str | None = None
        self.methods = {
            "sites", "filters/create", "questions", "questions/{ids}", "questions/{ids}/answers", "answers/{ids}",
            "tags/{ids}/synonyms",
        }  # fmt: skip
        self.synonyms: dict[str, str] = {}
        self.filters: dict[str, tuple[set[str], bool]] = {name: (fields, True) for name, fields in _BUILT_IN.items()}
        self._not_before: dict[str, float] = {}

    def add(self, item: Question) -> None:
        """Add a question."""
        with self.lock:
            self.truth[item.question_id] = item

    def edit(self, number: int, **changes: Any) -> None:
        """Change a question, which is then the one with the latest activity."""
        with self.lock:
            vars(self.truth[number]).update(changes, last_activity_date=int(self.now()))

    def vote(self, number: int, score: int) -> None:
        """Change a score, which does not count as activity."""
        with self.lock:
            self.truth[number].score = score

    def delete(self, number: int) -> None:
        """Delete a question, which no reply reports."""
        with self.lock:
            del self.truth[number]

    def answer(self, number: int, **fields: Any) -> None:
        """Add an answer to a question."""
        with self.lock:
            item = self.truth[number]
            now = int(self.now())
            defaults = {"answer_id": number * 1000 + len(item.answers), "question_id": number, "score": 0,
                    "is_accepted": False, "body": "<p>So.</p>", "creation_date": now, "last_activity_date": now,
                    "owner": owner(1)}  # fmt: skip
            item.answers.append(Answer(**{**defaults, **fields}))
            item.last_activity_date = now

    def method_of(self, path: str) -> str:
        return re.sub(r"(?<=^tags/)[^/]+|(?<=/)[\d;]+", "{ids}", path.removeprefix("/2.3/").strip("/"))

    def reply(self, request: Request, fault: Fault) -> Reply:
        if fault.kind == "edge_block":
            headers = {"Content-Type": "text/html"}
            if "retry_after" in fault.options:
                headers["Retry-After"] = str(fault.options["retry_after"])
            body = b"<html><body>Too many requests</body></html>"
            return Reply(fault.options.get("status", 429), body, headers)
        if fault.kind == "http_500":
            return Reply(500, b'{"message": "something broke"}')
        if fault.kind == "deep":
            return Reply(fault.options.get("status", 200), b'{"items": ' + b"[" * 200_000)
        try:
            _raise_error(fault, is_known=request.method in self.methods)
            return Reply(200, json.dumps(_distort(self._content(request, fault), fault)).encode())
        except _ApiError as error:
            content = {"error_id": error.number, "error_name": _ERRORS[error.number], "error_message": str(error)}
            if "backoff" in fault.options:
                content["backoff"] = fault.options["backoff"]
                self.hold(request.method, fault.options["backoff"])
            # A filter applies to errors, too: without their fields, the status is all that a client gets.
            fields, _ = self.filters.get(request.params.get("filter", "default"), self.filters["default"])
            content = {key: value for key, value in content.items() if f".{key}" in fields}
            return Reply(400, json.dumps(content).encode())

    def _content(self, request: Request, fault: Fault) -> dict[str, Any]:
        """Return the wrapper object of a reply; raise _ApiError for an error."""
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
            return {"items": [self._create_filter(request.params)], "has_more": False, **self._quota()}
        if request.method == "tags/{ids}/synonyms":
            return self._synonyms_of(request)
        return self._listed(request, fault)

    def hold(self, method: str, seconds: float) -> None:
        """Reject requests of a method for some seconds, and count them as ``punished``."""
        self._not_before[method] = time.monotonic() + seconds

    def _quota(self) -> dict[str, int]:
        return {"quota_max": self.quota_max, "quota_remaining": self.quota_remaining}

    def _create_filter(self, params: Mapping[str, str]) -> dict[str, Any]:
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

    def _synonyms_of(self, request: Request) -> dict[str, Any]:
        fields, _ = self.filters[request.params.get("filter", "default")]
        tags = unquote(request.path.split("/")[-2]).split(";")
        if len(tags) > _MOST_TAGS:
            raise _ApiError(400, "tags")
        known = [
            {"from_tag": one, "to_tag": other, "creation_date": 0, "applied_count": 1}
            for one, other in self.synonyms.items()
            if other in tags
        ]
        items = [{name: item[name] for name in item if f"tag_synonym.{name}" in fields} for item in known]
        return {"items": items, "has_more": False, **self._quota()}

    def _listed(self, request: Request, fault: Fault) -> dict[str, Any]:
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
        size, page = _integer(params, "pagesize", _DEFAULT_PAGE), _integer(params, "page", 1)
        if not 0 <= size <= _PAGE or page < 1:
            raise _ApiError(400, "pagesize" if page > 0 else "page")
        if page > _LAST_PAGE_WITHOUT_KEY and "key" not in params:
            raise _ApiError(403, "page above 25 requires access token or app key")
        if fault.kind == "endless":
            params = {key: value for key, value in params.items() if key not in ("min", "max", "fromdate", "todate")}
            page = 1
        found = self._find(request, params, _SORTS[sort])
        found.sort(key=lambda item: (getattr(item, _SORTS[sort]), _number(item)), reverse=order == "desc")
        items = found[(page - 1) * size : page * size]
        if fault.kind == "empty":
            items = []
        if fault.kind == "outside":
            items += [self.truth[number] for number in fault.options["numbers"]]
        short = fault.options["n"] if fault.kind == "short_answers" else None
        content = {
            ".items": [_as_json(item, fields, is_safe=is_safe, answers=short) for item in items],
            ".has_more": (page * size < len(found) and fault.kind != "empty") or fault.kind == "endless",
            ".total": len(found),
            **{f".{key}": value for key, value in self._quota().items()},
        }
        if fault.kind == "backoff":
            content[".backoff"] = fault.options["seconds"]
            self.hold(request.method, fault.options["seconds"])
        return {key.removeprefix("."): value for key, value in content.items() if key in fields}

    def _find(self, request: Request, params: Mapping[str, str], key: str) -> list[Any]:
        items: list[Any] = list(self.truth.values())
        if request.method.startswith("questions/{ids}"):
            items = [self.truth[number] for number in dict.fromkeys(request.ids) if number in self.truth]
        if request.method in ("questions/{ids}/answers", "answers/{ids}"):
            items = [answer for item in items for answer in item.answers]
        if request.method == "answers/{ids}":
            items = [answer for answer in items if answer.answer_id in request.ids]
        tags = [self.synonyms.get(tag, tag) for tag in params.get("tagged", "").lower().split(";") if tag]
        least, most = _integer(params, "min", None), _integer(params, "max", None)
        since, until = _integer(params, "fromdate", None), _integer(params, "todate", None)
        return [
            item
            for item in items
            if all(tag in getattr(item, "tags", tags) for tag in tags)
            and (least is None or getattr(item, key) >= least)
            and (most is None or getattr(item, key) <= most)
            and (since is None or item.creation_date >= since)
            and (until is None or item.creation_date <= until)
        ]


def _integer(params: Mapping[str, str], name: str, default: Any) -> Any:
    value = params.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"-?\d+", value):
        raise _ApiError(400, name)
    return int(value)


def _number(item: Question | Answer) -> int:
    return item.question_id if isinstance(item, Question) else item.answer_id


def _as_json(item: Question | Answer, fields: set[str], *, is_safe: bool, answers: int | None = None) -> dict[str, Any]:
    kind = "question" if isinstance(item, Question) else "answer"
    names = {name.removeprefix(f"{kind}.") for name in fields if name.startswith(f"{kind}.")}
    values: dict[str, Any] = {name: getattr(item, name) for name in names if getattr(item, name, None) is not None}
    if "title" in values and is_safe:
        values["title"] = html.escape(values["title"]).replace("&#x27;", "&#39;")
    if "owner" in values:
        values["owner"] = {key: value for key, value in item.owner.items() if f"shallow_user.{key}" in fields}
    if "answers" in values:
        values["answers"] = [_as_json(answer, fields, is_safe=is_safe) for answer in values["answers"][:answers]]
        if not values["answers"]:
            del values["answers"]
    return values


def _raise_error(fault: Fault, *, is_known: bool) -> None:
    if not is_known:
        raise _ApiError(404, "no method found with this name")
    errors = {
        "throttle": (502, "too many requests from this IP, more requests available in {seconds} seconds"),
        "unavailable": (503, "the API is down for maintenance"),
        "internal": (500, "an internal error happened"),
        "caller_error": (400, "tagged"),
    }
    if fault.kind in errors:
        number, message = errors[fault.kind]
        raise _ApiError(number, message.format(**fault.options))


def _distort(content: dict[str, Any], fault: Fault) -> Any:
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
