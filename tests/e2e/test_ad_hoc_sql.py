"""Ad-hoc SQL by the dlbug command: bounded, limited to the published database, and stopped by Ctrl+C."""

import os
import pty
import select
import signal
import subprocess
import time

import duckdb
import pytest

from support.commands import DLBUG, command, environment

#: A query that would take minutes.
ENDLESS = "select count(*) from range(100000000000) t(a) where a % 7 = 3"


@pytest.fixture
def sql(sample):
    return lambda *arguments: command(sample.home.root, "sql", *arguments)


def test_a_table_is_truncated_with_a_note_and_a_file_is_not(sql, tmp_path):
    truncated = sql("select range as n from range(101)")
    assert "│    99 │" in truncated.stdout
    assert "│   100 │" not in truncated.stdout
    assert truncated.stderr == "(the first 100 rows; --limit N shows more, --format csv has all)\n"
    whole = sql("select range as n from range(101)", "--limit", "101")
    assert "│   100 │" in whole.stdout
    assert whole.stderr == ""
    assert sql("select range as n from range(101)", "--format", "csv").stdout.split() == ["n", *map(str, range(101))]
    assert sql("select range as n from range(101)", "--format", "csv", "--limit", "2").stdout.split() == ["n", "0", "1"]
    sql("select range as n from range(101)", "--limit", "1", "--output", str(tmp_path / "n.txt"))
    assert "│     0 │" in (tmp_path / "n.txt").read_text(encoding="utf-8")


def test_lists_are_json_in_csv_and_nested_values_are_written_as_json(sql, tmp_path):
    query = "select tags, post_id from stackoverflow.raw_posts where len(tags) > 1 order by post_id limit 1"
    header, line = sql(query, "--format", "csv").stdout.splitlines()
    assert header == "tags,post_id"
    assert line.startswith('"[""')
    sums = "select sum(bugs) as bugs, [1, 2] as list, {'x': 1} as struct, null as nothing from (select 3 as bugs)"
    assert sql(sums, "--format", "json").stdout == '[{"bugs":3,"list":[1,2],"struct":{"x":1},"nothing":null}]\n'
    assert sql("select 1 as n where false", "--format", "json").stdout == "[]\n"
    sql(sums, "--format", "json", "--output", str(tmp_path / "sums.json"))
    assert (tmp_path / "sums.json").read_text() == sql(sums, "--format", "json").stdout


def test_several_queries_print_one_table_each_and_a_file_holds_one(sql):
    printed = sql("select 'first' as a; select 'second' as b where false; select 'third' as c").stdout
    assert printed.index("first") < printed.index("b") < printed.index("third")
    rejected = sql("select 1; select 2", "--format", "csv")
    assert rejected.returncode == 1
    assert rejected.stderr == "error: csv holds the result of one query, these are 2\n"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("from read_csv('/etc/passwd')", "file system operations are disabled"),
        ("copy (select 1) to 'out.csv'", "file system operations are disabled"),
        ("attach 'other.duckdb'", "file system operations are disabled"),
        ("from read_csv('http://127.0.0.1:9/x.csv')", "file system operations are disabled"),
        ("set enable_external_access = true", "Cannot change"),
        ("set memory_limit = '1TB'", "the configuration has been locked"),
        ("create table analysis.mine as select 1", "read-only mode"),
    ],
)
def test_a_query_can_only_read_the_published_database(sql, query, reason):
    result = sql(query)
    assert result.returncode == 1
    assert result.stderr.startswith("error: the query failed: ")
    assert reason in result.stderr


def test_memory_is_limited_and_the_limit_can_be_changed(sql):
    query = "select len(list(a || ' is a number')) as n from range(3000000) t(a)"
    result = sql(query, "--memory", "50MB")
    assert result.returncode == 1
    assert result.stderr.startswith("error: the query needs more than 50MB: allow more with --memory (Out of Memory")
    assert len(result.stderr.splitlines()) == 1
    assert sql(query, "--memory", "2GB", "--format", "csv").stdout == "n\n3000000\n"
    assert "Memory must have a number" in sql(query, "--memory", "lots").stderr


@pytest.fixture
def small(tmp_path):
    """Return a home in which the study `sample` has published one table."""
    with duckdb.connect(str(tmp_path / "sample.duckdb")) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
        connection.execute("comment on table labeling.items is 'Items to label'")
    return tmp_path


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
@pytest.mark.parametrize("rows", ["1", "100000"])
def test_a_closed_pipe_ends_the_command_without_a_message(small, output_format, rows):
    process = subprocess.Popen(
        [DLBUG, "sql", f"select range as n from range({rows})", "--format", output_format, "--limit", rows],
        env=environment(small), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1
    process.stderr.close()


def prompt(home, *lines):
    """Return the outcome of a prompt that reads these lines."""
    return subprocess.run(
        [DLBUG, "sql"], env=environment(home), input="".join(f"{line}\n" for line in lines), capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip


def test_the_prompt_lists_tables_and_commands_and_prints_results(small):
    result = prompt(small, ".tables", ".help", "select 40 +", "2 as answer;", ".quit", "select 'never';")
    banner, *rest = result.stdout.splitlines()
    assert banner == (
        f"{small}/sample.duckdb, read-only. End a query with ;  .tables lists tables, .help explains, .quit exits."
    )
    assert "│ labeling.items │     1 │ Items to label │" in rest
    assert [line for line in rest if "describe" in line] == [
        "dlbug> A query may span lines and ends with ;  .tables lists the tables, `describe labeling.items;` a table's "
        "columns. Ctrl+C stops a query, .quit exits."
    ]
    assert "│     42 │" in rest
    assert "never" not in result.stdout
    assert result.stderr == ""


def test_the_prompt_continues_after_errors(small):
    result = prompt(small, ".schema", "select nonsense;", "describe labeling.items;")
    assert "Ctrl+C stops a query" in result.stdout
    assert result.stderr.startswith("error: the query failed: ")
    assert "│ item_id     │ VARCHAR     │" in result.stdout


class Terminal:
    """The prompt at a terminal of its own."""

    def __init__(self, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(DLBUG, ["dlbug", "sql"], environment(home) | {"TERM": "dumb"})  # noqa: S606

    def read(self, until):
        output, deadline = b"", time.monotonic() + 60
        while until not in output:
            assert time.monotonic() < deadline, output
            if select.select([self.fd], [], [], 0.1)[0]:
                output += os.read(self.fd, 65536)
        return output

    def write(self, text):
        os.write(self.fd, text)

    def close(self):
        self.write(b".quit\n")
        assert os.waitpid(self.pid, 0)[1] == 0
        os.close(self.fd)


def test_the_prompt_stops_a_query_at_ctrl_c_and_keeps_a_history(sample):
    terminal = Terminal(sample.home.root)
    terminal.read(b"dlbug> ")
    terminal.write(f"{ENDLESS};\n".encode())
    terminal.read(b"= 3;\r\n")
    time.sleep(0.5)
    terminal.write(b"\x03")
    terminal.read(b"stopped")
    terminal.write(b"select 40 + 2 as answer;\n")
    terminal.read(b"42")
    terminal.close()
    history = sample.home.folder / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert history.read_text().splitlines() == [f"{ENDLESS};", "select 40 + 2 as answer;", ".quit"]


@pytest.mark.parametrize("output_format", ["csv", "json"])
def test_a_query_into_a_file_stops_at_ctrl_c(sample, tmp_path, output_format):
    target = tmp_path / "never"
    process = subprocess.Popen(
        [DLBUG, "sql", ENDLESS, "--format", output_format, "--output", target], env=environment(sample.home.root)
    )
    time.sleep(3)  # by then the query is running; if not, the command ends all the same
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert not target.exists()
