"""A question-and-answer site in memory, with the API's replies but without a network, for tests of many histories."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlbug_assets.stackoverflow.api.client import PAGE_SIZE, Page

_SORTS = {"votes": "score", "activity": "last_activity_date", "creation": "creation_date"}


def post(post_id: int, *, created: int, **fields: Any) -> dict[str, Any]:
    """Return a question as the API represents it."""
    return {
        "question_id": post_id,
        "title": f"Question {post_id}",
        "body": "<pre><code>x</code></pre>",
        "tags": ["keras"],
        "score": 10,
        "view_count": 100,
        "answer_count": 0,
        "creation_date": created,
        "last_activity_date": created,
        "owner": {"user_id": post_id},
        "link": f"https://stackoverflow.com/questions/{post_id}",
        "answers": [],
        **fields,
    }


class Site:
    """The posts of a site and its clock; ``before`` is called before each request and may change them.

    ``requests`` are the method and parameters of each request; more than ``max_requests`` are an error.
    """

    def __init__(self, *posts: dict[str, Any], now: int = 2_000_000_000) -> None:
        self.posts = {item["question_id"]: item for item in posts}
        self.now = now
        self.before: Callable[[], object] = lambda: None
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self.max_requests = 2000

    def change(self, post_id: int, **fields: Any) -> None:
        """Edit a question, which is then the one with the latest activity."""
        self.now += 1
        self.posts[post_id] = {**self.posts[post_id], **fields, "last_activity_date": self.now}

    def vote(self, post_id: int, score: int) -> None:
        """Change a score, which does not count as activity."""
        self.posts[post_id] = {**self.posts[post_id], "score": score}

    def answer(self, post_id: int) -> None:
        """Add an answer to a question."""
        answers = self.posts[post_id]["answers"]
        added = {
            "answer_id": post_id * 1000 + len(answers) + 1, "question_id": post_id, "score": 1, "is_accepted": False,
            "body": "<p>so</p>", "creation_date": self.now + 1, "last_activity_date": self.now + 1, "owner": {},
        }  # fmt: skip
        self.change(post_id, answers=[*answers, added], answer_count=len(answers) + 1)

    def ask(self, method: str, *, ids: Sequence[int] = (), **params: Any) -> Page:
        """Return a page of the API's reply."""
        given = {name: value for name, value in params.items() if value is not None}
        return Page.of(json.loads(self.reply(method, ids, given)))

    def reply(self, method: str, ids: Sequence[int], params: Mapping[str, Any]) -> bytes:
        """Return the body of the API's reply."""
        self.before()
        self.requests.append((method, params))
        assert len(self.requests) < self.max_requests, "the requests do not end"
        key = _SORTS[params["sort"]]
        items = list(self.posts.values())
        if ids:
            assert len(ids) <= PAGE_SIZE
            items = [self.posts[post_id] for post_id in ids if post_id in self.posts]
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
