"""A question-and-answer site in memory: what the API says of it, without a network, for tests of many histories."""

import json
from collections.abc import Callable
from typing import Any

from dlbug_assets.stackoverflow.api.client import PAGE_SIZE, Page

_SORTS = {"votes": "score", "activity": "last_activity_date", "creation": "creation_date"}


def post(number: int, *, created: int, **fields: Any) -> dict[str, Any]:
    """A question as the API gives it."""
    return {
        "question_id": number,
        "title": f"Question {number}",
        "body": "<pre><code>x</code></pre>",
        "tags": ["keras"],
        "score": 10,
        "view_count": 100,
        "answer_count": 0,
        "creation_date": created,
        "last_activity_date": created,
        "owner": {"user_id": number},
        "link": f"https://stackoverflow.com/questions/{number}",
        "answers": [],
        **fields,
    }


class Site:
    """The posts of a site and its clock; ``before`` is called before each request and may change them."""

    def __init__(self, *posts: dict[str, Any], now: int = 2_000_000_000) -> None:
        self.posts = {item["question_id"]: item for item in posts}
        self.now = now
        self.before: Callable[[], None] = lambda: None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.max_requests = 2000

    def change(self, number: int, **fields: Any) -> None:
        """Edit a post: it becomes the one that was active last."""
        self.now += 1
        self.posts[number] = {**self.posts[number], **fields, "last_activity_date": self.now}

    def vote(self, number: int, score: int) -> None:
        """Votes leave no trace in the activity."""
        self.posts[number] = {**self.posts[number], "score": score}

    def answer(self, number: int) -> None:
        """Add an answer."""
        answers = self.posts[number]["answers"]
        added = {
            "answer_id": number * 1000 + len(answers) + 1, "question_id": number, "score": 1, "is_accepted": False,
            "body": "<p>so</p>", "creation_date": self.now + 1, "last_activity_date": self.now + 1, "owner": {},
        }  # fmt: skip
        self.change(number, answers=[*answers, added], answer_count=len(answers) + 1)

    def ask(self, method: str, *, ids: Any = (), **params: Any) -> Page:
        """What the API answers, as a page."""
        given = {name: value for name, value in params.items() if value is not None}
        return Page.of(json.loads(self.reply(method, list(ids), given)))

    def reply(self, method: str, ids: list[int], params: dict[str, Any]) -> bytes:
        """What the API answers, as bytes."""
        self.before()
        self.asked.append((method, params))
        assert len(self.asked) < self.max_requests, "asked without end"
        key = _SORTS[params["sort"]]
        items = list(self.posts.values())
        if ids:
            assert len(ids) <= PAGE_SIZE
            items = [self.posts[number] for number in ids if number in self.posts]
        if method.endswith("/answers"):
            items = [answer for item in items for answer in item["answers"]]
        found = [
            item
            for item in items
            if ("tagged" not in params or params["tagged"] in item["tags"])
            and params.get("min", -(10**12)) <= item[key] <= params.get("max", 10**12)
            and params.get("fromdate", 0) <= item["creation_date"] <= params.get("todate", 10**12)
        ]
        identity = "answer_id" if method.endswith("/answers") else "question_id"
        found.sort(key=lambda item: (item[key], item[identity]), reverse=params["order"] == "desc")
        start = (params.get("page", 1) - 1) * PAGE_SIZE
        page = found[start : start + PAGE_SIZE]
        return json.dumps(
            {"items": page, "has_more": start + PAGE_SIZE < len(found), "total": len(found), "quota_remaining": 9000}
        ).encode()
