"""The guard in front of the UI: which requests it passes on, and how it answers the others."""

import asyncio

import pytest

from dlbug_assets.cli.ui.guard import Guard

HOST = "127.0.0.1:3000"
HOSTS = (HOST, "localhost:3000")
OURS = {"host": HOST, "origin": f"http://{HOST}"}
JSON = {"content-type": "application/json"}
TOKEN = "s3cret-t0ken"  # noqa: S105


def send(path="/", *, method="GET", headers=None, kind="http", token=None):
    """Return the status of a request (200 where the app got it, 403 for a closed WebSocket), its headers and body."""
    sent = []

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": "websocket.connect"}

    async def collect(message):
        sent.append(message)

    path, _, query = path.partition("?")
    pairs = [(name, value) for name, values in (headers or {"host": HOST}).items() for value in _listed(values)]
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in pairs],
        **({"method": method} if kind == "http" else {}),
    }
    asyncio.run(Guard(app, HOSTS, token)(scope, receive, collect))
    if kind == "websocket":
        return {"websocket.accept": 200, "websocket.close": 403}[sent[0]["type"]], {}, ""
    received = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], received, "".join(message.get("body", b"").decode() for message in sent[1:])


def _listed(values):
    return [values] if isinstance(values, str) else values


def status(*arguments, **options):
    return send(*arguments, **options)[0]


@pytest.mark.parametrize("host", [HOST, "localhost:3000", "LOCALHOST:3000"])
def test_a_page_is_served_under_the_names_of_the_server(host):
    assert status("/asset-groups?x=1", headers={"host": host}) == 200


@pytest.mark.parametrize(
    "host", ["evil.example:3000", "127.0.0.1", "127.0.0.1:3001", "127.0.0.1:3000.evil.example", "", [HOST, HOST], []]
)
def test_other_hosts_are_refused(host):
    code, _, text = send(headers={"host": host})
    assert (code, text) == (403, "This server is 127.0.0.1:3000 or localhost:3000; see `dlbug ui --allow-host`.\n")


@pytest.mark.parametrize(
    "path",
    ["/graphql?query=mutation{x}", "/graphql/?query={version}", "//graphql?%71uery={version}", "/graphql?a=1"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_graphql_by_get_is_refused(path, method):
    assert status(path, method=method) == 403


def test_the_graphql_page_itself_is_served():
    assert status("/graphql") == 200


@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/a"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": HOST, **JSON}, 200),  # curl
        ({**OURS, **JSON, "sec-fetch-site": "same-origin"}, 200),
        ({**OURS, "content-type": "application/json; charset=utf-8"}, 200),
        ({**OURS, **JSON, "sec-fetch-site": "none"}, 200),
        ({**OURS, **JSON, "sec-fetch-site": "same-site"}, 403),
        ({**OURS, **JSON, "sec-fetch-site": "cross-site"}, 403),
        ({**OURS, **JSON, "origin": "http://127.0.0.1:8000"}, 403),
        ({**OURS, **JSON, "origin": "null"}, 403),
        ({**OURS, **JSON, "origin": f"http://{HOST}@evil.example"}, 403),
        ({**OURS, **JSON, "origin": [f"http://{HOST}", "http://evil.example"]}, 403),
        ({**OURS, "content-type": "application/x-www-form-urlencoded"}, 403),
        ({**OURS, "content-type": "text/plain"}, 403),
        ({**OURS, "content-type": ["text/plain", "application/json"]}, 403),
        (OURS, 403),
    ],
)
def test_posts_need_our_origin_and_json(path, headers, expected):
    assert status(path, method="POST", headers=headers) == expected


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE", "CONNECT"])
def test_other_methods_are_not_allowed(method):
    assert status(method=method, headers={**OURS, **JSON}) == 405


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (OURS, 200),
        ({"host": HOST}, 403),
        ({"host": HOST, "origin": "http://127.0.0.1:8000"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
        ({"host": HOST, "origin": "null"}, 403),
    ],
)
def test_websockets_need_our_origin(headers, expected):
    assert status("/graphql", kind="websocket", headers=headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": HOST}, 401),
        ({"host": HOST, "cookie": f"other=1; dlbug_ui={TOKEN}"}, 200),
        ({"host": HOST, "cookie": f"dlbug_ui={TOKEN[:-1]}"}, 401),
        ({"host": HOST, "cookie": "dlbug_ui=\x80"}, 401),
        ({"host": HOST, "authorization": f"Bearer {TOKEN}"}, 200),
        ({"host": HOST, "authorization": "Bearer "}, 401),
        ({"host": "evil.example", "cookie": f"dlbug_ui={TOKEN}"}, 403),
    ],
)
def test_a_token_is_needed_where_there_is_one(headers, expected):
    assert status("/runs", headers=headers, token=TOKEN) == expected
    if expected != 200:
        assert status("/graphql", kind="websocket", headers={**headers, "origin": f"http://{HOST}"}, token=TOKEN) == 403


def test_an_address_with_the_token_sets_the_cookie_and_leaves_the_token_out():
    code, headers, _ = send(f"//evil.example/runs?token={TOKEN}", token=TOKEN)
    assert (code, headers["location"]) == (303, "/evil.example/runs")
    assert headers["set-cookie"] == f"dlbug_ui={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert status("/runs?token=wrong", token=TOKEN) == 401
    assert status("/runs?token=", token=TOKEN) == 401
    assert status(f"/graphql?token={TOKEN}", method="POST", headers={**OURS, **JSON}, token=TOKEN) == 401


def test_the_start_of_the_server_is_passed_on():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], await receive()))
        await send({"type": "lifespan.startup.complete"})

    async def receive():
        return {"type": "lifespan.startup"}

    async def collect(message):
        seen.append(message["type"])

    asyncio.run(Guard(app, HOSTS)({"type": "lifespan"}, receive, collect))
    assert seen == [("lifespan", {"type": "lifespan.startup"}), "lifespan.startup.complete"]
