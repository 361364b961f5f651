"""Ad-hoc SQL by the dlbug command: bounded, limited to the published database, and stopped by Ctrl+C."""

import os
import pty
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from support.commands import DLBUG, command, environment
from support.processes import in_session

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


def test_memory_is_limited_and_the_limit_can_be_changed(sql):
    query = "select len(list(a || ' is a number')) as n from range(3000000) t(a)"
    result = sql(query, "--memory", "50MB")
    assert result.returncode == 1
    assert result.stderr.startswith("error: the query needs more than 50MB: allow more with --memory (Out of Memory")
    assert len(result.stderr.splitlines()) == 1
    assert sql(query, "--memory", "2GB", "--format", "csv").stdout == "n\n3000000\n"


@pytest.mark.parametrize("memory", ["-1GB", "0GB", "lots"])
def test_impossible_memory_is_refused_before_anything_starts(tmp_path, memory):
    result = command(tmp_path, "sql", "select 1", "--memory", memory)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: --memory {memory} is not possible: give a size such as 500MB or 2GB, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "soon", "86401"])
def test_an_impossible_timeout_is_refused_before_anything_starts(tmp_path, timeout):
    result = command(tmp_path, "sql", "select 1", "--timeout", timeout)
    assert result.returncode == 2
    assert "Error: Invalid value for '--timeout': " in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path):
    """Return a home in which the study `sample` has published one table."""
    with duckdb.connect(str(tmp_path / "sample.duckdb")) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
        connection.execute("comment on table labeling.items is 'Items to label'")
        connection.execute("create macro named(prefix) as table from labeling.items where starts_with(item_id, prefix)")
    return tmp_path


@pytest.fixture
def temporary(tmp_path):
    """Return the folder of temporary files, in which no query leaves anything."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def test_a_query_that_takes_longer_than_the_timeout_is_stopped(small, temporary):
    began = time.monotonic()
    result = command(small, "sql", ENDLESS, "--timeout", "2", TMPDIR=str(temporary))
    assert time.monotonic() - began < 30
    assert result.returncode == 1
    assert result.stderr == (
        "error: the query was stopped: it takes longer than 2 seconds. --timeout and --memory allow more.\n"
    )


@pytest.mark.parametrize("statement", ["copy (select 1) to 'out.csv'", "from read_text('/etc/passwd')"])
def test_a_query_can_only_read_the_published_database(small, temporary, tmp_path, statement):
    result = command(small, "sql", statement, cwd=tmp_path, TMPDIR=str(temporary))
    assert result.returncode == 1
    assert " is refused: a query " in result.stderr
    assert not (tmp_path / "out.csv").exists()


def until(condition):
    """Wait until a condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def peak(process):
    """Return the largest resident memory of a running process in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def children(process):
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.parametrize(
    ("query", "output_format", "most"),
    [
        ("select repeat('a', 2000000000) as a", "csv", 2000),
        ("select a, repeat('x', 100) as text from range(3000000) t(a)", "csv", 300),
        ("select a, repeat('x', 100) as text from range(3000000) t(a)", "json", 300),
    ],
)
def test_the_command_stays_small_and_results_are_streamed(small, temporary, query, output_format, most):
    arguments = ["sql", query, "--format", output_format, "--output", small / "answer"]
    with subprocess.Popen(
        [DLBUG, *arguments], env=environment(small, TMPDIR=str(temporary)), stderr=subprocess.DEVNULL
    ) as process:
        parent = child = 0
        while process.poll() is None:
            with suppress(OSError):  # the process has just ended
                parent = max(parent, peak(process.pid))
                child = max(child, *map(peak, children(process.pid)), 0)
            time.sleep(0.02)
    assert 20 < parent < 150
    assert 20 < child < most


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_a_signal_ends_a_query_at_once_without_leaving_a_process_or_a_file(small, temporary, tmp_path, number, status):
    target = tmp_path / "answer.csv"
    with subprocess.Popen(
        # Whoever runs the tests may ignore SIGHUP, as nohup does, and then so would the command.
        ["env", "--default-signal=HUP", DLBUG, "sql", ENDLESS, "--format", "csv", "--output", target],
        env=environment(small, TMPDIR=str(temporary)), stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        until(lambda: children(process.pid))
        (child,) = children(process.pid)
        until(lambda: "\nThreads:\t1\n" not in Path(f"/proc/{child}/status").read_text(encoding="utf-8"))
        process.send_signal(number)
        assert process.wait(timeout=60) == status
        until(lambda: not in_session(process.pid) and not list(temporary.iterdir()))
    if number in (signal.SIGINT, signal.SIGTERM):
        assert {path.name for path in tmp_path.iterdir()} == {"sample.duckdb", "temporary"}


def test_a_closed_standard_output_is_one_message(small):
    result = subprocess.run(
        ["sh", "-c", f"'{DLBUG}' sql 'select 1' >&-"],
        env=environment(small),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (
        1, "error: standard output is closed: name a file with --output FILE\n"
    )  # fmt: skip
    result = subprocess.run(
        ["sh", "-c", f"'{DLBUG}' sql 'select 1' >/dev/full"], env=environment(small), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (1, "error: cannot write the result: No space left on device\n")


#: Clears the screen, in both ways, and reverses the direction of writing.
HOSTILE = "select 'a' || chr(27) || '[2Jb' || chr(155) || '2Jc' || chr(8238) || 'd' as x"


@pytest.mark.parametrize(
    ("output_format", "shown", "piped"),
    [  # DuckDB itself escapes some in tables and in JSON
        ("table", r"a\e[2Jb\u009b2Jc\u202ed", "a\\e[2Jb\x9b2Jc\u202ed"),
        ("csv", r"a\u001b[2Jb\u009b2Jc\u202ed", "a\x1b[2Jb\x9b2Jc\u202ed"),
        ("json", r"a\u001B[2Jb\u009b2Jc\u202ed", "a\\u001B[2Jb\x9b2Jc\u202ed"),
    ],
)
def test_control_characters_are_escaped_on_a_terminal_but_not_in_a_pipe(small, output_format, shown, piped):
    arguments = ["sql", HOSTILE, "--format", output_format]
    terminal = Terminal(small, *arguments)
    assert shown in terminal.read(b"d").decode()
    terminal.wait()
    assert piped in command(small, *arguments).stdout


def test_control_characters_in_an_error_are_escaped(small):
    result = command(small, "sql", "select error('a' || chr(27) || '[2J')")
    assert result.stderr == "error: the query failed: Invalid Input Error: a\\u001b[2J\n"


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
        "dlbug> A query may span lines and ends with ;  .tables lists tables and macros, `describe labeling.items;` a "
        "table's columns. Tab completes names, Ctrl+C stops a query, .quit exits."
    ]
    assert "│ named(prefix) │ NULL    │" in rest
    assert "│     42 │" in rest
    assert "never" not in result.stdout
    assert result.stderr == ""


def test_the_prompt_continues_after_errors(small):
    result = prompt(small, ".schema", "select nonsense;", "describe labeling.items;")
    assert "Ctrl+C stops a query" in result.stdout
    assert result.stderr.startswith("error: the query failed: ")
    assert "│ item_id     │ VARCHAR     │" in result.stdout


class Terminal:
    """The command, by default the prompt, at a terminal of its own."""

    def __init__(self, home, *arguments, **more):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(DLBUG, ["dlbug", *(arguments or ["sql"])], environment(home, **more) | {"TERM": "dumb"})  # noqa: S606

    def read(self, until):
        output, deadline = b"", time.monotonic() + 60
        while until not in output:
            assert time.monotonic() < deadline, output
            if select.select([self.fd], [], [], 0.1)[0]:
                output += os.read(self.fd, 65536)
        return output

    def write(self, text):
        os.write(self.fd, text)

    def wait(self):
        assert os.waitpid(self.pid, 0)[1] == 0
        os.close(self.fd)

    def close(self):
        self.write(b".quit\n")
        self.wait()


def test_the_prompt_stops_a_query_at_ctrl_c_and_keeps_a_history(sample, temporary):
    terminal = Terminal(sample.home.root, TMPDIR=str(temporary))
    terminal.read(b"dlbug> ")
    terminal.write(f"{ENDLESS};\n".encode())
    terminal.read(b"= 3;\r\n")
    until(lambda: list(temporary.iterdir()))
    time.sleep(0.5)
    began = time.monotonic()
    terminal.write(b"\x03")
    terminal.read(b"stopped")
    assert time.monotonic() - began < 30  # half of the time limit, at which the query would be stopped, too
    until(lambda: not children(terminal.pid) and not list(temporary.iterdir()))
    terminal.write(b"select 40 + 2 as answer;\n")
    terminal.read(b"42")
    terminal.close()
    history = sample.home.folder / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert history.read_text().splitlines() == [f"{ENDLESS};", "select 40 + 2 as answer;", ".quit"]


def test_tab_completes_names_over_several_lines(small):
    terminal = Terminal(small, "sql", "--limit", "1")
    terminal.read(b"dlbug> ")
    terminal.write(b"select it\t from labeling.i\t as i\n")
    terminal.read(b"from labeling.items as i\r\n  ...> ")
    terminal.write(b"where i.\t = 'SO-1-Keras' lim\t 7;\n")
    output = terminal.read(b"SO-1-Keras \xe2\x94\x82")
    assert b"where i.item_id = 'SO-1-Keras' limit 7;" in output
    terminal.close()


def test_tab_lists_what_several_names_have_in_common(small):
    terminal = Terminal(small)
    terminal.read(b"dlbug> ")
    terminal.write(b".\t\t")
    assert b".exit    .help    .quit    .tables" in terminal.read(b"tables")
    terminal.write(b"quit\n")
    terminal.wait()
