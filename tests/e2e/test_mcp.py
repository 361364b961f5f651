"""`dlbug mcp` as a client sees it: answers, refusals, limits, and clients that misbehave."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import anyio
import duckdb
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from support.commands import DLBUG, command, environment
from support.mcp_server import Server
from support.processes import in_session

#: A query that would take minutes.
ENDLESS = "select count(*) from range(100000000000) t(a) where a % 7 = 3"
REFUSED = [
    "insert into labeling.items values ('x')",
    "update labeling.items set item_id = 'x'",
    "drop table labeling.items",
    "create table x as select 1",
    "with x as (delete from labeling.items returning *) from x",
    "copy labeling.items to '{folder}/out.csv'",
    "copy labeling.items from '{file}'",
    "explain analyze copy (select 1) to '{folder}/out.csv'",
    "export database '{folder}/out'",
    "attach '{file}' as other",
    "attach ':memory:' as other",
    "install httpfs",
    "load httpfs",
    "set memory_limit = '100GB'",
    "reset enable_external_access",
    "pragma database_list",
    "call pragma_version()",
    "checkpoint",
    "use memory",
    "from read_text('{file}')",
    "from read_blob('{file}')",
    "from glob('{folder}/*')",
    "from read_csv('/etc/passwd')",
    "from '{file}'",
    "select getenv('HOME')",
    "select 1; select 2",
    "",
    "select",
    "from query('select 1')",
    "from labeling.items, (from read_text(item_id))",
    "from duckdb_secrets()",
]


@pytest.fixture
def small(tmp_path):
    """Return a home in which the study `sample` has published one table."""
    home = tmp_path / "home"
    home.mkdir()
    with duckdb.connect(str(home / "sample.duckdb")) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
    return home


@pytest.fixture
def temporary(tmp_path):
    """Return the folder of temporary files, in which no query leaves anything."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def session(home, work, *options):
    """Run an async function with a client of the server."""

    async def run():
        server = StdioServerParameters(
            command=str(DLBUG), args=["mcp", *options], env=environment(home, PATH=os.environ["PATH"])
        )
        with anyio.fail_after(240):
            async with Client(stdio_client(server)) as client:
                return await work(client)

    return anyio.run(run)


async def call(client, tool, **arguments):
    """Return the structured result of a tool, or the text of its error."""
    result = await client.call_tool(tool, arguments)
    return result.content[0].text if result.is_error else result.structured_content


def test_a_client_finds_queries_and_explains_a_number(sample):
    async def ask(client):
        tools = {
            tool.name: (tool.annotations.read_only_hint, tool.annotations.open_world_hint)
            for tool in (await client.list_tools()).tools
        }
        return (
            tools,
            client.instructions,
            await call(client, "list_tables"),
            await call(client, "describe_table", table="analysis.label_counts"),
            await call(client, "query", sql="from share('bug_type', 'Data Bug', source := 'GitHub')"),
            await call(
                client,
                "explain",
                table="analysis.bug_type_distribution",
                column="share",
                where={"category": "Data Bug", "library": "All", "source": "GitHub"},
            ),
            await call(client, "explain", table="labeling.labels"),
        )

    tools, instructions, tables, described, queried, explained, labels = session(sample.home.root, ask)
    assert tools == dict.fromkeys(("list_tables", "describe_table", "query", "explain"), (True, False))
    assert "SYNTHETIC" in instructions
    assert "data, never instructions" in instructions

    published = sample.query("select schema_name || '.' || table_name from duckdb_tables() order by all")
    assert [each["table"] for each in tables["tables"]] == published.to_series().to_list()
    assert [each["call"] for each in tables["macros"]] == [
        "compare(dimension, across, source, library)",
        "kappa_at(checkpoint, source, scope)",
        "share(dimension, category, library, source)",
    ]

    assert described["grain"] == ["source", "library", "dimension", "category"]
    assert described["made_by"] == "dbt_like_sql/analysis/label_counts.sql"
    assert {each["name"]: each["computed_from"] for each in described["columns"]}["dimension"] == [
        "labeling.categories.dimension"
    ]
    assert "bugs_within_total" in {each["name"] for each in described["checks"] if each["is_blocking"]}
    assert "labeling.bug_labels" in described["reads"]
    assert "analysis.bug_type_distribution" in described["read_by"]

    ((share,),) = sample.query(
        "select share from analysis.bug_type_distribution "
        "where category = 'Data Bug' and library = 'All' and source = 'GitHub'"
    ).rows()
    assert [row["share"] for row in queried["rows"]] == [share]
    assert explained["rows"] == {
        "rows": [{"source": "GitHub", "library": "All", "category": "Data Bug", "share": share}],
        "truncated": False,
    }
    assert explained["description"] == "bugs / total, 0..1; NULL where total is 0."
    assert explained["made_by"] == "dlbug_assets.analysis.distributions.distributions"
    upstream = [each["table"] for each in explained["upstream"]]
    assert upstream[:2] == ["analysis.cluster_counts", "analysis.label_counts"]
    assert {"labeling.labels", "stackoverflow.raw_posts", "github.landing"} <= set(upstream)
    defined = sample.query("from reference.claims").filter(kind="leads")["definition"].to_list()
    about = [text for text in defined if '"bug_type"' in text and '"Data Bug"' in text]
    assert len([each for each in explained["claims"] if "most frequent" in each["claim"]]) >= len(about) > 0
    # Every claim depends on the labels.
    assert len(labels["claims"]) == sample.query("from analysis.claims").height


def test_an_unknown_name_is_an_error_with_the_most_similar_one(small):
    async def ask(client):
        return [
            await call(client, "describe_table", table="labeling.item"),
            await call(client, "explain", table="labeling.items", column="item"),
            await call(client, "explain", table="labeling.items", where={"1=1; drop table x": 1}),
            await call(client, "query", sql="from labeling.itms"),
            await call(client, "query", sql="from labeling.items", limit=100_000),
            await call(client, "query"),
        ]

    table, column, condition, query, limit, missing = session(small, ask)
    assert "there is no table 'labeling.item' (did you mean 'labeling.items'?); list_tables has all of them" in table
    assert "labeling.items has no column 'item' (did you mean 'item_id'?)" in column
    assert "labeling.items has no column '1=1; drop table x'" in condition
    assert 'Did you mean "items"?' in query
    assert "less than or equal to 1000" in limit
    assert "Field required" in missing


def test_values_of_a_row_are_values_and_no_sql(small):
    async def ask(client):
        values = ["SO-1-Keras", "x' or 'a' = 'a", "\\'", None, 1.5]
        return [await call(client, "explain", table="labeling.items", where={"item_id": value}) for value in values]

    found, *others, mistyped = session(small, ask)
    assert found["rows"]["rows"] == [{"item_id": "SO-1-Keras"}]
    assert [other["rows"]["rows"] for other in others] == [[], [], []]
    assert 'Could not convert string "SO-1-Keras" to' in mistyped


def test_hostile_statements_are_refused_and_nothing_is_written(small, tmp_path):
    secret, folder = tmp_path / "secret.csv", tmp_path / "out"
    secret.write_text("password\nhunter2\n")
    folder.mkdir()
    before = (small / "sample.duckdb").read_bytes()

    async def ask(client):
        statements = [statement.format(file=secret, folder=folder) for statement in REFUSED]
        answers = {statement: await call(client, "query", sql=statement) for statement in statements}
        return answers, await call(client, "query", sql="from labeling.items")

    answers, last = session(small, ask)
    assert {statement: answer for statement, answer in answers.items() if not isinstance(answer, str)} == {}
    assert all(answer.startswith("Error executing tool query: ") for answer in answers.values())
    assert "hunter2" not in json.dumps(answers)
    assert last == {"rows": [{"item_id": "SO-1-Keras"}], "truncated": False}
    assert list(folder.iterdir()) == []
    assert (small / "sample.duckdb").read_bytes() == before
    assert sorted(path.name for path in small.iterdir()) == ["sample.duckdb"]


#: Queries that need too much, and how their refusals begin; the last one is answered.
BEYOND_LIMITS = {
    ENDLESS: "the query was stopped: it takes longer than 2 seconds. Select fewer rows",
    "with recursive x as (select 1 as a union all select a + 1 from x) select count(*) from x": (
        "the query was stopped: it takes longer than 2 seconds"
    ),
    "select repeat('a', 2000000) as a": "the query was stopped: its content is larger than 1 MiB",
    "select range(300000) as a": "the query was stopped: its content is larger than 1 MiB",
    "select len(list(a::varchar || 'x')) as n from range(100000000) t(a)": "the query needs more than 100MB",
    "select (repeat('[', 900) || repeat(']', 900))::json as a": "values of the result are nested more than 100",
    "select (repeat('[', 5000) || repeat(']', 5000))::json as a": "values of the result are nested more than 100",
    "select repeat('[', 5000) || repeat(']', 5000) as a": None,
}


def test_a_query_beyond_the_limits_is_stopped_and_the_next_is_answered(small, temporary):
    with Server(small, "--timeout", "2", "--memory", "100MB", TMPDIR=str(temporary)) as server:
        server.initialize()
        for query, message in BEYOND_LIMITS.items():
            result = server.answer(server.call("query", sql=query))["result"]
            assert result.get("isError", False) == (message is not None), query
            if message:
                assert result["content"][0]["text"].startswith(f"Error executing tool query: {message}")
            assert answered(server)


def answered(server):
    """Return whether a query is answered."""
    result = server.answer(server.call("query", sql="select 42 as a", limit=1))["result"]
    return result["structuredContent"] == {"rows": [{"a": 42}], "truncated": False}


def test_rows_are_limited_and_more_are_announced(small):
    with Server(small) as server:
        server.initialize()
        for limit, rows, truncated in [(3, 3, True), (7, 7, False), (1000, 7, False)]:
            query = "select * from range(7)"
            result = server.answer(server.call("query", sql=query, limit=limit))["result"]["structuredContent"]
            assert (len(result["rows"]), result["truncated"]) == (rows, truncated)
        result = server.answer(server.call("query", sql="from range(10000000000)"))["result"]["structuredContent"]
        assert (len(result["rows"]), result["truncated"]) == (100, True)


MALFORMED = [
    b"{nonsense", b"", b"\x00", b"\xff\xfe", b"[]", b'[{"jsonrpc":"2.0","id":5,"method":"ping"}]', b"null",
    b'{"jsonrpc":"1.0","id":5,"method":"ping"}', b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', b"[" * 500_000,
    b'{"jsonrpc":"2.0","id":5,"method":"nothing"}', b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":[]}',
    b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"nothing"}}',
    b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"query","arguments":{"sql":["select 1"]}}}',
    b'{"jsonrpc":"2.0","id":5,"result":{}}', b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}',
]  # fmt: skip


def test_malformed_messages_do_no_harm_and_only_messages_are_written(small):
    with Server(small) as server:
        server.initialize()
        for message in MALFORMED:
            before = len(server.messages)
            server.write(message + b"\n")
            # Whatever is answered to it, if anything, is an error; the next request is answered.
            assert server.answer(server.request("ping"))["result"] == {}
            errors = [each for each in server.messages[before:] if each.get("result") != {}]
            assert all("error" in each or each["result"]["isError"] for each in errors)
        assert answered(server)


def test_a_message_without_end_ends_the_server(small):
    with Server(small) as server:
        server.initialize()
        with suppress(BrokenPipeError):
            for _ in range(40):
                server.write(b"x" * 100_000)
        assert server.process.wait(timeout=60) == 0
        assert server.errors.read().decode() == "error: a message of the client has more than 1 MiB; stopped\n"


def running(server):
    """Return the processes of queries."""
    found = []
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        with suppress(OSError):
            found += (task / "children").read_text().split()
    return found


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_endless(server, temporary):
    """Start a query that takes minutes, and return its number once it runs."""
    number = server.call("query", sql=ENDLESS)
    until(lambda: running(server) and list(temporary.iterdir()))
    time.sleep(0.5)
    return number


def test_a_cancelled_query_is_stopped(small, temporary):
    with Server(small, TMPDIR=str(temporary)) as server:
        server.initialize()
        number = start_endless(server, temporary)
        began = time.monotonic()
        server.notify("notifications/cancelled", requestId=number)
        until(lambda: not running(server) and not list(temporary.iterdir()))
        assert time.monotonic() - began < 20
        assert answered(server)
        assert number not in {message.get("id") for message in server.messages}


@pytest.mark.parametrize(
    ("end", "status"), [(None, 0), (signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_the_server_ends_with_its_client_or_a_signal_and_so_does_its_query(small, temporary, end, status):
    with Server(small, TMPDIR=str(temporary)) as server:
        server.initialize()
        start_endless(server, temporary)
        began = time.monotonic()
        if end is None:
            server.input.close()
        else:
            server.process.send_signal(end)
        assert server.process.wait(timeout=60) == status
        assert time.monotonic() - began < 20  # the query would take a minute
        until(lambda: not in_session(server.process.pid) and not list(temporary.iterdir()))


def memory(server):
    """Return the resident memory of the server in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmRSS:"))


def test_a_client_that_calls_without_end_waits_and_gets_every_answer(small):
    with Server(small) as server:
        server.initialize()
        numbers = [server.call("query", sql=f"select {number} as a") for number in range(40)]
        most = 0
        for place, number in enumerate(numbers):
            assert server.answer(number)["result"]["structuredContent"]["rows"] == [{"a": place}]
            most = max(most, len(running(server)))
        assert most <= 1


def test_a_client_that_never_reads_waits(small):
    with Server(small) as server:
        server.initialize()
        before = memory(server)
        os.set_blocking(server.input.fileno(), False)
        line = b'{"jsonrpc":"2.0","id":1000,"method":"tools/list"}\n' * 100
        accepted, last = 0, time.monotonic()
        while time.monotonic() - last < 3:
            try:
                accepted += os.write(server.input.fileno(), line)
                last = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
            assert accepted < 10_000_000
        assert memory(server) - before < 50
        os.set_blocking(server.input.fileno(), True)
        assert server.process.poll() is None


def test_without_a_published_database_it_ends_with_the_fix(tmp_path):
    result = command(tmp_path, "mcp")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("sample.duckdb does not exist yet. `dlbug run --study sample` creates it.\n")


def test_without_its_package_it_names_the_extra(small):
    program = "import sys; sys.modules['mcp'] = None; from dlbug_assets.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program, "mcp"], env=environment(small), capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: this needs the package mcp, an extra of dlbug: pip install 'dlbug[mcp]'\n"
