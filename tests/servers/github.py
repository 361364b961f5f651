"""A stand-in for GitHub's REST API on loopback, with the faults that the real one is known for.

It serves real git repositories over real sockets: search with its limit, lists from any revision, comparisons, changes,
entity tags, quotas and renames. Repositories may change at any time; `fail` queues a fault for later requests.

As a program it hosts a few synthetic repositories: PYTHONPATH=tests python -m servers.github [--port N]
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from servers.stand_in import Fault, Reply, Request, StandIn
from support.repositories import GitRepository

_PAGE, _DEFAULT_PAGE, _FILES, _SEARCH_RESULTS, _LONGEST_QUERY = 100, 30, 300, 1000, 256
_DOCS = "https://docs.github.com/rest"
_REFUSALS = {
    403: "Repository access blocked", 404: "Not Found", 409: "Git Repository is empty.", 410: "Gone",
    451: "Repository access blocked",
}  # fmt: skip
#: The last second of the year 9999.
_LAST_SECOND = 253_402_300_799
#: The lists that pages of a search, a comparison or a commit's files have.
_LISTS = ("items", "commits", "files")
_SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


@dataclass
class HostedRepository:
    """A hosted repository; ``path`` is a git repository on disk, or None for one without commits.

    ``status`` is the HTTP status where it is gone or blocked, ``forgotten`` are commits that are not served any more,
    and ``aliases`` maps hashes that do not exist to the commits that are served for them.
    """

    number: int
    full_name: str
    path: Path | None
    topics: tuple[str, ...] = ("keras",)
    stars: int = 10
    created: str = "2016-01-01T00:00:00Z"
    is_fork: bool = False
    is_archived: bool = False
    default_branch: str = "main"
    description: str | None = None
    language: str | None = "Python"
    status: int | None = None
    old_names: list[str] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> bytes:
        """Run git in the repository and return its output."""
        # Neither the user's git configuration nor a file name with a star may change the output.
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_LITERAL_PATHSPECS": "1",
        }
        return subprocess.run(
            ["git", *arguments], cwd=self.path, check=True, capture_output=True, env=environment
        ).stdout

    def resolve(self, revision: str) -> str | None:
        """Return the hash of the commit that a branch or hash names, if it is served."""
        if self.path is None or revision.startswith("-"):
            return None
        try:
            sha = self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
        except subprocess.CalledProcessError:
            return None
        # Checked after resolving, so that an abbreviated hash does not find a forgotten commit.
        return None if sha in self.forgotten else sha

    def branch(self, name: str) -> str | None:
        """Return the head of a branch; a tag or hash is not a branch."""
        return self.resolve(f"refs/heads/{name}")


@dataclass
class Limit:
    """A quota; ``reset`` is the Unix time of its renewal, ``window`` the seconds that it is then valid."""

    limit: int
    remaining: int
    reset: float
    window: int = 3600

    def renew(self, now: float) -> None:
        """Renew the quota where its time is over."""
        if now >= self.reset:
            self.remaining, self.reset = self.limit, now + self.window


class Plain(str):
    """A reply that is text instead of JSON."""

    __slots__ = ()


class _RefusedError(Exception):
    """A reply with another status than 200."""

    def __init__(self, status: int, message: str, **headers: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class GitHub(StandIn):
    """The server; it runs while its context is open."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.hosted: dict[int, HostedRepository] = {}
        self.token: str | None = None
        hour, minute = int(time.time()) + 3600, int(time.time()) + 60
        self.limits = {"core": Limit(5000, 5000, hour), "search": Limit(1000, 1000, minute, 60)}
        #: Quotas of requests without a token; None if they count against the token's.
        self.anonymous: dict[str, Limit] | None = None
        #: Whether dates are in the zones of their commits instead of UTC.
        self.has_zones = False
        self._refusal: tuple[float, _RefusedError] | None = None
        self._commits: dict[str, dict[str, Any]] = {}

    def add(self, path: Path | None, full_name: str, *, number: int, **fields: Any) -> HostedRepository:
        """Host a repository."""
        with self.lock:
            self.hosted[number] = HostedRepository(number, full_name, path, **fields)
            return self.hosted[number]

    def rename(self, number: int, full_name: str) -> None:
        """Rename a repository; its old name redirects."""
        with self.lock:
            hosted = self.hosted[number]
            hosted.old_names.append(hosted.full_name)
            hosted.full_name = full_name

    def remove(self, number: int, status: int = 404) -> None:
        """Make a repository gone (404, 410), blocked (451), forbidden (403) or empty (409)."""
        with self.lock:
            self.hosted[number].status = status

    def forget(self, number: int, sha: str) -> None:
        """Stop serving a commit, as after garbage collection."""
        with self.lock:
            self.hosted[number].forgotten.add(sha)

    def remember(self, number: int, sha: str) -> None:
        """Serve a forgotten commit again, as after a push."""
        with self.lock:
            self.hosted[number].forgotten.discard(sha)

    def mirror(self, folder: Path) -> None:
        """Link to the repositories as owner/name.git in a folder, old names included, for cloning."""
        with self.lock:
            for hosted in self.hosted.values():
                for name in (hosted.full_name, *hosted.old_names):
                    link = folder / f"{name}.git"
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.unlink(missing_ok=True)
                    if hosted.path is not None and hosted.status is None:
                        link.symlink_to(hosted.path)

    def lift_limit(self) -> None:
        """End a rate limit before its time."""
        with self.lock:
            self._refusal = None

    def refuse(self, seconds: float, refused: _RefusedError) -> _RefusedError:
        """Refuse all requests for some seconds, and count them in `punished`."""
        self._refusal = (time.monotonic() + seconds, refused)
        return refused

    def method_of(self, path: str) -> str:
        path = re.sub(r"^repos/[^/]+/[^/]+", "repos/{name}", path.strip("/"))
        path = re.sub(r"^repositories/\d+", "repositories/{id}", path)
        path = re.sub(r"compare/.*$", "compare/{base}...{head}", path)
        return re.sub(r"commits/[0-9a-f]{40}$", "commits/{sha}", path)

    def reply(self, request: Request, fault: Fault) -> Reply:
        limit = self.limit(request)
        limit.renew(self.now())
        try:
            self._raise_error(fault, request)
            content, headers = self.answer(request)
            status = 200
        except _RefusedError as refused:
            status = refused.status
            content = {"message": str(refused), "documentation_url": _DOCS, "status": str(status)}
            if "location" in refused.headers:
                content["url"] = refused.headers["location"]
            headers = {name.replace("_", "-"): str(value) for name, value in refused.headers.items()}
        body = b"" if status == 304 else _spoil(content, fault)
        if fault.kind == "no_link":
            headers.pop("Link", None)
        authorization = request.headers.get("authorization", "")
        etag = 'W/"' + hashlib.sha256(body + authorization.encode()).hexdigest()[:40] + '"'
        if status == 200:
            if request.headers.get("if-none-match") == etag:
                status, body = 304, b""
            headers = {**headers, "ETag": etag}
        is_free = request.method == "rate_limit"
        if not is_free and (status in (200, 404, 409, 422, 451) or not authorization):
            limit.remaining -= 1
        if fault.kind != "bare_429":
            rate = {**_limit_json(limit), "resource": "search" if request.method.startswith("search/") else "core"}
            headers = {**{f"X-RateLimit-{name.capitalize()}": str(value) for name, value in rate.items()}, **headers}
        if fault.kind in ("html", "bad_gateway"):
            headers["Content-Type"] = "text/html"
        return Reply(status, body, headers)

    def _raise_error(self, fault: Fault, request: Request) -> None:
        """Raise the _RefusedError of a fault, if it has one."""
        kind = fault.kind
        if kind == "primary":
            seconds = fault.options["seconds"]
            reset = int(self.now() + seconds)
            headers = {"X_RateLimit_Remaining": 0, "X_RateLimit_Reset": reset}
            raise self.refuse(seconds, _RefusedError(403, "API rate limit exceeded for user ID 1.", **headers))
        if kind == "bare_429":
            raise _RefusedError(429, "Too Many Requests")
        if kind == "secondary":
            seconds = fault.options["seconds"]
            raise self.refuse(seconds, _RefusedError(403, _SECONDARY, retry_after=seconds))
        if kind == "secondary_bare":
            raise _RefusedError(403, _SECONDARY)
        if kind == "forbidden":
            raise _RefusedError(403, "Resource not accessible by personal access token")
        if kind == "bad_gateway":
            raise _RefusedError(fault.options.get("status", 502), "Server Error")
        if kind == "status":
            raise _RefusedError(fault.options["status"], "Unexpected")
        if kind == "redirect_abroad":
            raise _RefusedError(301, "Moved Permanently", location=f"{fault.options['url']}{request.path}")
        if kind == "redirect" and not fault.options.pop("is_followed", False):
            fault.options["is_followed"] = True  # the next request follows the redirect
            query = "" if fault.options.get("bare") else f"?{urlencode(request.params)}"
            raise _RefusedError(fault.options.get("status", 301), "Moved", location=f"{self.url}{request.path}{query}")

    def answer(self, request: Request) -> tuple[Any, dict[str, str]]:
        """Return the content and headers of the reply to a request, or raise _RefusedError."""
        if self._refusal and time.monotonic() < self._refusal[0]:
            self.punished += 1
            raise self._refusal[1]
        authorization = request.headers.get("authorization")
        if authorization is not None and authorization.split(" ", 1)[-1] != self.token:
            raise _RefusedError(401, "Bad credentials")
        path = request.path.strip("/")
        if path == "rate_limit":
            # This request is free, and answered even when the quota is used up.
            limits = self.limits if self.anonymous is None or authorization is not None else self.anonymous
            rates = {name: _limit_json(limit) for name, limit in limits.items()}
            return {"resources": rates, "rate": rates["core"]}, {}
        if self.limit(request).remaining <= 0:
            raise _RefusedError(403, "API rate limit exceeded for user ID 1.")
        if path == "search/repositories":
            return self._search(request)
        found = re.fullmatch(r"repositories/(\d+)(?:/(.*))?|repos/([^/]+/[^/]+)(?:/(.*))?", path)
        if found is None:
            raise _RefusedError(404, "Not Found")
        number, rest, name, rest_of_name = found.groups()
        hosted = self.hosted.get(int(number)) if number else self._find_by_name(name, rest_of_name, request)
        status = 404 if hosted is None else hosted.status
        if hosted is None or status is not None:
            raise _RefusedError(status or 404, _REFUSALS[status or 404])
        return self._answer_for_repository(hosted, rest or rest_of_name or "", request)

    def limit(self, request: Request) -> Limit:
        """Return the quota against which a request counts."""
        limits = self.limits if self.anonymous is None or "authorization" in request.headers else self.anonymous
        return limits["search" if request.method.startswith("search/") else "core"]

    def _find_by_name(self, name: str, rest: str | None, request: Request) -> HostedRepository | None:
        # Where a repository was deleted and another created under its name, the name leads to the new one.
        for hosted in sorted(self.hosted.values(), key=lambda hosted: hosted.status is not None):
            if hosted.full_name.lower() == name.lower():
                return hosted
        for hosted in self.hosted.values():
            if name.lower() in [old.lower() for old in hosted.old_names]:
                query = f"?{urlencode(request.params)}" if request.params else ""
                target = f"{self.url}/repositories/{hosted.number}{f'/{rest}' if rest else ''}{query}"
                raise _RefusedError(301, "Moved Permanently", location=target)
        return None

    def _answer_for_repository(
        self, hosted: HostedRepository, rest: str, request: Request
    ) -> tuple[Any, dict[str, str]]:
        if not rest:
            return self.repository_json(hosted), {}
        kind, _, what = unquote(rest).partition("/")
        if kind == "branches" and what:
            return self._branch(hosted, what), {}
        if kind == "git" and what.startswith("ref/heads/"):
            return self._reference(hosted, what.removeprefix("ref/heads/")), {}
        if kind == "commits" and not what:
            return self._list_commits(hosted, request)
        if kind == "commits":
            return self._commit_details(hosted, what, request)
        if kind == "compare" and "..." in what:
            base, head = what.split("...", 1)
            return self._compare(hosted, base, head, request)
        raise _RefusedError(404, "Not Found")

    def _list_commits(self, hosted: HostedRepository, request: Request) -> tuple[Any, dict[str, str]]:
        if hosted.path is None or hosted.resolve(hosted.default_branch) is None:
            raise _RefusedError(409, _REFUSALS[409])
        head = hosted.resolve(request.params.get("sha") or hosted.default_branch)
        if head is None:
            raise _RefusedError(404, "Not Found")
        shas = hosted.git("rev-list", *_window(request.params), head, "--").decode().split()
        items, headers = self._page(hosted, shas, request, _PAGE)
        return [self.commit_json(hosted, sha) for sha in items], headers

    def _commit_details(self, hosted: HostedRepository, revision: str, request: Request) -> tuple[Any, dict[str, str]]:
        sha = hosted.resolve(hosted.aliases.get(revision, revision))
        if sha is None:
            raise _RefusedError(422, f"No commit found for SHA: {revision}")
        if request.headers.get("accept") == "application/vnd.github.sha":
            return Plain(sha), {"Content-Type": "application/vnd.github.sha; charset=utf-8"}
        commit = self.commit_json(hosted, sha)
        if revision in hosted.aliases:
            commit["sha"] = revision
        files = _files(hosted, sha, [parent["sha"] for parent in commit["parents"]][:1])
        added, deleted = sum(file["additions"] for file in files), sum(file["deletions"] for file in files)
        items, headers = self._page(hosted, files, request, _FILES, default=_FILES)
        stats = {"total": added + deleted, "additions": added, "deletions": deleted}
        return {**commit, "stats": stats, "files": items}, headers

    def _compare(self, hosted: HostedRepository, base: str, head: str, request: Request) -> tuple[Any, dict[str, str]]:
        old, new = hosted.resolve(base), hosted.resolve(head)
        if old is None or new is None:
            raise _RefusedError(404, "Not Found")
        try:
            middle = hosted.git("merge-base", old, new).decode().strip()
        except subprocess.CalledProcessError:
            raise _RefusedError(404, f"No common ancestor between {base} and {head}.") from None
        ahead = hosted.git("rev-list", "--reverse", new, f"^{old}").decode().split()
        behind = hosted.git("rev-list", old, f"^{new}").decode().split()
        names = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind", (False, False): "identical"}
        items, headers = self._page(hosted, ahead, request, _PAGE)
        page = f"https://github.com/{hosted.full_name}/compare/{base}...{head}"
        return {
            "url": f"{self.url}/repositories/{hosted.number}/compare/{base}...{head}",
            "html_url": page, "permalink_url": page, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch",
            "base_commit": self.commit_json(hosted, old), "merge_base_commit": self.commit_json(hosted, middle),
            "status": names[bool(ahead), bool(behind)], "ahead_by": len(ahead), "behind_by": len(behind),
            "total_commits": len(ahead), "commits": [self.commit_json(hosted, sha) for sha in items], "files": [],
        }, headers  # fmt: skip

    def _branch(self, hosted: HostedRepository, name: str) -> dict[str, Any]:
        sha = hosted.branch(name)
        if sha is None:
            raise _RefusedError(404, "Branch not found")
        own = f"{self.url}/repos/{hosted.full_name}/branches/{name}"
        checks = {"enforcement_level": "off", "contexts": [], "checks": []}
        return {
            "name": name, "commit": self.commit_json(hosted, sha), "protected": False,
            "_links": {"self": own, "html": f"https://github.com/{hosted.full_name}/tree/{name}"},
            "protection": {"enabled": False, "required_status_checks": checks}, "protection_url": f"{own}/protection",
        }  # fmt: skip

    def _reference(self, hosted: HostedRepository, name: str) -> dict[str, Any]:
        if hosted.path is None or hosted.branch(hosted.default_branch) is None:
            raise _RefusedError(409, _REFUSALS[409])
        sha = hosted.branch(name)
        if sha is None:
            raise _RefusedError(404, "Not Found")
        own = f"{self.url}/repos/{hosted.full_name}/git"
        return {
            "ref": f"refs/heads/{name}", "node_id": f"REF_{sha[:12]}", "url": f"{own}/refs/heads/{name}",
            "object": {"sha": sha, "type": "commit", "url": f"{own}/commits/{sha}"},
        }  # fmt: skip

    def _page(
        self, hosted: HostedRepository, items: list[Any], request: Request, most: int, default: int = _DEFAULT_PAGE
    ) -> tuple[list[Any], dict[str, str]]:
        size, page = _paging(request.params, most, default)
        rest = request.path.strip("/").split("/", 3 if request.path.startswith("/repos/") else 2)[-1]
        links = self._links(f"repositories/{hosted.number}/{rest}", request, page, -(-len(items) // size))
        return items[(page - 1) * size : page * size], links

    def _links(self, path: str, request: Request, page: int, last: int) -> dict[str, str]:
        pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        links = [
            f'<{self.url}/{path}?{urlencode({**request.params, "page": to})}>; rel="{name}"'
            for name, to in pages.items()
            if (name in ("prev", "first") and page > 1) or (name in ("next", "last") and page < last)
        ]
        return {"Link": ", ".join(links)} if links else {}

    def _search(self, request: Request) -> tuple[dict[str, Any], dict[str, str]]:
        params = request.params
        query = params.get("q", "")
        if not query or len(query) > _LONGEST_QUERY:
            raise _RefusedError(422, "Validation Failed")
        found = [hosted for hosted in self.hosted.values() if hosted.status is None and _matches(hosted, query)]
        if params.get("sort") == "stars":
            found.sort(key=lambda hosted: (hosted.stars, hosted.number), reverse=params.get("order", "desc") == "desc")
        size, page = _paging(params, _PAGE, _DEFAULT_PAGE)
        if page * size > _SEARCH_RESULTS:
            raise _RefusedError(422, "Only the first 1000 search results are available")
        items = [{**self.repository_json(hosted), "score": 1.0} for hosted in found[(page - 1) * size : page * size]]
        links = self._links("search/repositories", request, page, -(-min(len(found), _SEARCH_RESULTS) // size))
        return {"total_count": len(found), "incomplete_results": False, "items": items}, links

    def repository_json(self, hosted: HostedRepository) -> dict[str, Any]:
        """Return a repository as the API represents it."""
        page, own = f"https://github.com/{hosted.full_name}", f"{self.url}/repos/{hosted.full_name}"
        head = hosted.resolve(hosted.default_branch)
        pushed = _pushed(hosted, head) if head else hosted.created
        owner, name = hosted.full_name.split("/")
        flags = (
            "has_issues", "has_projects", "has_downloads", "has_wiki", "has_pages", "has_discussions",
            "allow_forking", "is_template", "web_commit_signoff_required", "disabled", "private",
        )  # fmt: skip
        urls = (
            "archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents",
            "contributors", "deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags",
            "hooks", "issue_comment", "issue_events", "issues", "keys", "labels", "languages", "merges", "milestones",
            "notifications", "pulls", "releases", "stargazers", "statuses", "subscribers", "subscription", "tags",
            "teams", "trees",
        )  # fmt: skip
        counts = {"forks": 1, "forks_count": 1, "open_issues": 0, "open_issues_count": 0}
        stars = dict.fromkeys(("stargazers_count", "watchers_count", "watchers"), hosted.stars)
        return {
            "id": hosted.number, "node_id": f"R_{hosted.number}", "name": name, "full_name": hosted.full_name,
            "owner": _account(self.url, owner), "html_url": page, "url": own, "description": hosted.description,
            "fork": hosted.is_fork, "archived": hosted.is_archived, "created_at": hosted.created,
            "updated_at": pushed, "pushed_at": pushed, "git_url": f"git://github.com/{hosted.full_name}.git",
            "ssh_url": f"git@github.com:{hosted.full_name}.git", "clone_url": f"{page}.git", "svn_url": page,
            "homepage": None, "size": 108, "language": hosted.language, "license": None, "topics": list(hosted.topics),
            "visibility": "public", "default_branch": hosted.default_branch, "mirror_url": None,
            "network_count": 1, "subscribers_count": 1, **counts, **stars, **dict.fromkeys(flags, False),
            **{f"{name}_url": f"{own}/{name.replace('_', '/')}" for name in urls},
        }  # fmt: skip

    def commit_json(self, hosted: HostedRepository, sha: str) -> dict[str, Any]:
        """Return a commit as the API represents it."""
        if sha not in self._commits:
            self._commits[sha] = _parse_commit(hosted, sha, has_zones=self.has_zones)
        known = self._commits[sha]
        own = f"{self.url}/repos/{hosted.full_name}"
        parents = [
            {"sha": parent, "url": f"{own}/commits/{parent}",
             "html_url": f"https://github.com/{hosted.full_name}/commit/{parent}"}
            for parent in known["parents"]
        ]  # fmt: skip
        verification = {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        }
        return {
            "sha": sha, "node_id": f"C_{sha[:12]}",
            "commit": {
                "author": known["author"], "committer": known["committer"], "message": known["message"],
                "tree": {"sha": known["tree"], "url": f"{own}/git/trees/{known['tree']}"},
                "url": f"{own}/git/commits/{sha}", "comment_count": 0, "verification": verification,
            },
            "url": f"{own}/commits/{sha}", "html_url": f"https://github.com/{hosted.full_name}/commit/{sha}",
            "comments_url": f"{own}/commits/{sha}/comments", "author": None,
            "committer": _account(self.url, "janedoe"), "parents": parents,
        }  # fmt: skip


def _account(url: str, login: str) -> dict[str, Any]:
    own = f"{url}/users/{login}"
    links = (
        "followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events",
        "received_events",
    )  # fmt: skip
    return {
        "login": login, "id": 1, "node_id": "U_1", "avatar_url": "https://avatars.githubusercontent.com/u/1",
        "gravatar_id": "", "url": own, "html_url": f"https://github.com/{login}", "type": "User",
        "user_view_type": "public", "site_admin": False, **{f"{name}_url": f"{own}/{name}" for name in links},
    }  # fmt: skip


def _matches(hosted: HostedRepository, query: str) -> bool:
    """Return whether a search finds a repository; forks are found only with `fork:true`."""
    words = query.split()
    if hosted.is_fork and "fork:true" not in words:
        return False
    return all(_matches_word(hosted, *word.partition(":")) for word in words)


def _matches_word(hosted: HostedRepository, name: str, colon: str, value: str) -> bool:
    """Return whether a repository matches one word of a query."""
    if not colon:
        return name.lower() in f"{hosted.full_name} {hosted.description or ''}".lower()
    full_name = hosted.full_name.lower()
    qualifiers = {
        "topic": lambda: value in hosted.topics,
        "created": lambda: _in_range(value, _first_and_last_second, _first_and_last_second(hosted.created)[0]),
        "stars": lambda: _in_range(value, lambda text: (int(text), int(text)), hosted.stars),
        "archived": lambda: hosted.is_archived is {"true": True, "false": False}[value],
        "fork": lambda: value == "true" or not hosted.is_fork,
        "language": lambda: value.lower() == (hosted.language or "").lower(),
        "user": lambda: full_name.partition("/")[0] == value.lower(),
        "repo": lambda: full_name == value.lower(),
    }
    try:
        return qualifiers[name]()
    except (KeyError, ValueError):
        raise _RefusedError(422, "Validation Failed") from None


def _in_range(value: str, ends: Callable[[str], tuple[Any, Any]], number: Any) -> bool:
    """Return whether a number is in a range, written as A..B (either may be a star), >=A, >A, <=A, <A or A."""
    first, dots, last = value.partition("..")
    if dots:
        return (first == "*" or ends(first)[0] <= number) and (last == "*" or number <= ends(last)[1])
    sign = value[: len(value) - len(value.lstrip("<>="))]
    least, most = ends(value.removeprefix(sign))
    return {
        ">=": number >= least, ">": number > most, "<=": number <= most, "<": number < least,
        "": least <= number <= most,
    }[sign]  # fmt: skip


def _first_and_last_second(text: str) -> tuple[datetime, datetime]:
    """Return the first and the last second of a date, or a time twice."""
    time = datetime.fromisoformat(text)
    if len(text) == len("2016-01-01"):
        return time.replace(tzinfo=UTC), time.replace(tzinfo=UTC, hour=23, minute=59, second=59)
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time, time


def _window(params: Mapping[str, str]) -> list[str]:
    """Return since and until as options of git: both compare the committer's date, as the API does."""
    options = []
    for name, option in (("since", "--since"), ("until", "--until")):
        if params.get(name):
            try:
                options.append(f"{option}={int(_first_and_last_second(params[name])[0].timestamp())}")
            except ValueError:
                raise _RefusedError(422, "Validation Failed") from None
    return options


def _paging(params: Mapping[str, str], most: int, default: int) -> tuple[int, int]:
    """Return the page's size and number; what is not a number means the default, as at GitHub."""
    size, page = (
        int(value) if value.isdigit() else 0 for value in (params.get("per_page", ""), params.get("page", ""))
    )
    return min(size or default, most), page or 1


def _limit_json(limit: Limit) -> dict[str, int]:
    """Return a quota as the API represents it."""
    return {
        "limit": limit.limit, "used": limit.limit - limit.remaining, "remaining": max(limit.remaining, 0),
        "reset": int(limit.reset),
    }  # fmt: skip


def _parse_commit(hosted: HostedRepository, sha: str, *, has_zones: bool) -> dict[str, Any]:
    header, _, body = hosted.git("cat-file", "commit", sha).partition(b"\n\n")
    fields: dict[str, list[bytes]] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name.decode("ascii", "replace"), []).append(value)
    try:
        message = body.decode(fields.get("encoding", [b"utf-8"])[0].decode(), "replace")
    except LookupError:
        message = body.decode("utf-8", "replace")
    return {
        "parents": [parent.decode() for parent in fields.get("parent", [])],
        "tree": fields["tree"][0].decode(),
        "message": message.rstrip("\n"),
        **{name: _person(fields[name][0], has_zone=has_zones) for name in ("author", "committer")},
    }


def _person(line: bytes, *, has_zone: bool) -> dict[str, str]:
    found = re.fullmatch(rb"(.*) <(.*)> (-?\d+)(?: ([+-])(\d+))?", line)
    assert found, f"git writes an author or committer in this form, not as {line!r}"
    name, address, seconds, sign, zone = found.groups()
    date = _date(int(seconds), (sign or b"+").decode(), (zone or b"").decode() if has_zone else "")
    return {"name": name.decode("utf-8", "replace"), "email": address.decode("utf-8", "replace"), "date": date}


def _pushed(hosted: HostedRepository, sha: str) -> str:
    """Return the time of the last push, as which that of the head commit serves."""
    found = re.search(rb"^committer .*> (-?\d+)", hosted.git("cat-file", "commit", sha), re.MULTILINE)
    assert found, f"{sha} has no committer with a time"
    return _date(min(int(found[1]), _LAST_SECOND), "+", "")


def _date(seconds: int, sign: str, zone: str) -> str:
    """Return a Unix time in ISO 8601, in a zone as git writes it: `0530`, `530` or `051800`; without one in UTC."""
    found = re.fullmatch(r"(?:(\d{1,2})(\d\d)(\d\d)?)?", zone)
    assert found, f"a zone that this server cannot write in ISO 8601: {zone}"
    hours, minutes, rest = found.groups(default="")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(rest or 0))
    text = f"{sign}{int(hours):02}:{minutes}{f':{rest}' * bool(rest)}" if hours else "Z"
    try:
        local = datetime(1970, 1, 1) + timedelta(seconds=seconds) + (offset if sign == "+" else -offset)
    except OverflowError:  # after the year 9999
        return f"{1970 + seconds // 31_556_952}-01-01T00:00:00Z"
    return f"{local:%Y-%m-%dT%H:%M:%S}{text}"


def _files(hosted: HostedRepository, sha: str, parents: list[str]) -> list[dict[str, Any]]:
    """Return the files that a commit changes, by one `git diff-tree` per file, unlike the code under test."""
    options = ("diff-tree", "--root", "--no-commit-id", "-r", "-M")
    raw = hosted.git(*options, "-z", "--raw", *parents, sha).decode("utf-8", "replace").split("\0")
    files, fields = [], iter(raw)
    for entry in fields:
        if not entry:
            continue
        status = entry.split()[-1][0]
        old = next(fields)
        new = next(fields) if status == "R" else old
        between = [*parents, sha, "--", *{old, new}]
        numbers = hosted.git(*options, "--numstat", *between).decode("utf-8", "replace").split("\t")
        patch = hosted.git(*options, "-p", *between).decode("utf-8", "replace")
        added, deleted = (int(number) if number.isdigit() else 0 for number in numbers[:2])
        names = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "T": "changed"}
        page = f"https://github.com/{hosted.full_name}"
        file = {
            "sha": entry.split()[3], "filename": new, "status": names[status], "additions": added,
            "deletions": deleted, "changes": added + deleted, "blob_url": f"{page}/blob/{sha}/file",
            "raw_url": f"{page}/raw/{sha}/file", "contents_url": f"{page}/contents/file?ref={sha}",
        }  # fmt: skip
        place = patch.find("\n@@ ")
        if place >= 0:
            file["patch"] = patch[place + 1 :].removesuffix("\n")
        if status == "R":
            file["previous_filename"] = old
        files.append(file)
    return files


def _spoil(content: Any, fault: Fault) -> bytes:
    """Return the body of a reply after a fault."""
    kind = fault.kind
    if kind == "incomplete":
        content = {**content, "incomplete_results": True, "items": content["items"][::2]}
    if kind == "wrong_total":
        content = {**content, "total_count": fault.options["total"]}
    if kind == "empty_page":
        content = (
            [] if isinstance(content, list) else {name: [] if name in _LISTS else content[name] for name in content}
        )
    if kind == "wrong_shape":
        content = fault.options.get("body", {})
    body = content.encode() if isinstance(content, Plain) else json.dumps(content).encode()
    if kind == "empty_body":
        body = b""
    if kind in ("html", "bad_gateway"):
        body = b"<html><body>Unicorn!</body></html>"
    if kind == "cut_json":
        body = body[: len(body) // 2]
    if kind == "nested":
        body = b"[" * 100_000 + b"]" * 100_000
    if kind == "large":
        body = body.ljust(fault.options["size"])
    return body


def make_repositories(
    folder: Path, topics: Iterable[str], *, repositories: int = 3, commits: int = 12
) -> list[tuple[Path, str, dict[str, Any]]]:
    """Create git repositories of each topic, with fixing commits, other commits and merges.

    Return their paths, names and the fields that `GitHub.add` takes.
    """
    titles = ("Fix the loss", "Add prefix", "Bugfix: shapes", "Update fixture", "Train longer", "fixes #3")
    repositories_of_topics = []
    for place, topic in enumerate(topics):
        for number in range(repositories):
            repository = GitRepository(folder / f"{topic}-{number}")
            for step in range(commits):
                at = 1_450_000_000 + 10_000_000 * number + 1_000_000 * step
                title = titles[(step + number) % len(titles)]
                trailer = "\n\nAsk jane@example.org\n\nSigned-off-by: Jane Doe <jane.doe@example.org>\n"
                files = {f"{step % 4}.py": f"# jane@example.org\n{topic} {number} {step}\n"}
                repository.commit(f"{title} of {topic} {number} {step}{trailer}", files, at=at)
            repository.git("checkout", "-q", "-b", "side", "HEAD~2")
            repository.commit("Fix on the side\n\nCo-authored-by: Jane Doe <jane@example.org>", {"side.py": "1\n"})
            repository.git("checkout", "-q", "main")
            repository.merge("side", f"Merge the side, which fixes {topic}", at=1_600_000_000)
            fields = {
                "number": 1000 * (place + 1) + number, "topics": (topic,), "stars": 100 - number,
                "created": f"201{3 + number}-02-03T04:05:06Z",
            }  # fmt: skip
            repositories_of_topics.append((repository.path, f"{topic}-lovers/project-{number}", fields))
    return repositories_of_topics


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    with tempfile.TemporaryDirectory() as folder, GitHub(parser.parse_args().port) as api:
        for path, full_name, fields in make_repositories(
            Path(folder), ("caffe", "keras", "tensorflow", "theano", "torch")
        ):
            api.add(path, full_name, **fields)
        api.mirror(Path(folder) / "mirror")
        sys.stdout.write(f"DLBUG_GITHUB_URL={api.url} DLBUG_GITHUB_CLONES=file://{folder}/mirror\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
