"""Queries on the published database, by commands and by users; results as table, CSV, JSON or Parquet."""

import csv
import io
import json
import os
import stat
import tempfile
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dlbug_assets.cli.sql.answer import Bounds, answer
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.macros import create_macros
from dlbug_assets.warehouse.published import published_query
from support.small_disks import mount, unmount


@pytest.fixture
def home(tmp_path):
    """Return the home of a study that has published only its items."""
    home = Home(tmp_path, "tiny")
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
    return home


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Return the folder of temporary files, in which no query leaves anything."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def printed(home, capsysbinary):
    """Return a function that runs a query and returns what it prints."""

    def run(query, output_format):
        answer(home, query, output_format, None)
        return capsysbinary.readouterr().out.decode()

    return run


def test_query_results_are_frames(home):
    with published_query(home) as query:
        assert query("from labeling.items").rows() == [("SO-1-Keras",)]


def test_a_table_that_was_never_materialized_is_one_message(home):
    fix = "Run the study once without --select"
    with published_query(home) as query, pytest.raises(DlbugError, match=f"name rater_labels does not exist! {fix}"):
        query("from labeling.rater_labels")


@pytest.mark.parametrize("output_format", ["csv", "json", "parquet"])
def test_columns_of_the_same_name_become_unique(home, tmp_path, output_format):
    query = "select *, 7 as ITEM_ID from labeling.items join labeling.items as other on true"
    path = tmp_path / "answer"
    answer(home, query, output_format, path)
    read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[output_format]
    assert read(path).to_dicts() == [{"item_id": "SO-1-Keras", "item_id_1": "SO-1-Keras", "ITEM_ID_2": 7}]


#: DuckDB cannot write the largest 128-bit integer as JSON.
EVERY_TYPE = "select * exclude (hugeint) from test_all_types()"


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_columns_of_every_type_are_written(printed, output_format):
    text = printed(EVERY_TYPE, output_format)
    columns = [name for name, *_ in duckdb.execute(EVERY_TYPE).description or []]
    if output_format == "table":
        assert "3 rows" in text
    elif output_format == "csv":
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        assert head == columns
        assert [len(row) for row in rows] == [len(columns)] * 3
    else:
        assert [list(row) for row in json.loads(text)] == [columns] * 3


def test_values_in_csv_are_written_as_duckdb_prints_them(printed):
    query = (
        "select 'a\\x00'::blob as b, '0101'::bit as bits, interval 3 days as i, date 'infinity' as d, "
        "timestamp '2017-07-14 02:40:00' as t, 0.5::double as n, true as y, '' as empty, null as nothing, (1, 'a') as p"
    )
    head, row = printed(query, "csv").splitlines()
    assert head == "b,bits,i,d,t,n,y,empty,nothing,p"
    assert row == r'a\x00,0101,3 days,infinity,2017-07-14 02:40:00,0.5,true,"",,"[1,""a""]"'


def test_columns_of_every_type_but_an_empty_struct_are_written_to_parquet(home, tmp_path):
    path = tmp_path / "answer.parquet"
    answer(home, "select * exclude (empty_struct, geometry) from test_all_types()", "parquet", path)
    assert duckdb.execute("select count(*) from read_parquet(?)", [str(path)]).fetchall() == [(3,)]
    with pytest.raises(DlbugError, match="^the query failed: .*Empty STRUCT columns are not supported in the Parquet"):
        answer(home, "select empty_struct from test_all_types()", "parquet", path)
    assert duckdb.execute("select count(*) from read_parquet(?)", [str(path)]).fetchall() == [(3,)]


def test_texts_in_csv_that_a_spreadsheet_could_run_follow_an_apostrophe(printed):
    query = """select '=1+1' as "=1", '@a' as b, '+1'::blob as c, '-x'::enum('-x') as d, '-5'::json as e,
    chr(9) || '=' as f, -5 as g, -0.5 as h, interval (-3) days as i, ['=1'] as j, chr(39) || '=1' as k, 'a=1' as l,
    null::varchar as m, '' as n"""
    head, row = csv.reader(io.StringIO(printed(query, "csv"), newline=""))
    assert head == ["'=1", *"bcdefghijklmn"]
    assert row == [
        "'=1+1", "'@a", "'+1", "'-x", "'-5", "'\t=", "-5", "-0.5", "-3 days", '["=1"]', "''=1", "a=1", "", "",
    ]  # fmt: skip
    assert json.loads(printed("select '=1+1' as a", "json")) == [{"a": "=1+1"}]


def test_nan_and_infinity_are_null_in_json(printed):
    query = r"""select 'nan'::double as a, '-inf'::float as b, ['inf'::double, 1] as c, 'NaN "-Infinity\' as d"""
    assert printed(query, "json") == r'[{"a":null,"b":null,"c":[null,1.0],"d":"NaN \"-Infinity\\"}]' + "\n"


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "parquet"])
def test_a_file_that_cannot_be_written_is_one_message(home, output_format):
    with pytest.raises(DlbugError, match=r"^cannot write /nonexist/x: No such file or directory$"):
        answer(home, "select 1", output_format, Path("/nonexist/x"))


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "parquet"])
def test_a_failed_query_leaves_the_file_unchanged(home, tmp_path, output_format):
    path = tmp_path / "answer"
    path.write_text("the last result")
    with pytest.raises(DlbugError, match="the query failed: .*nothing does not exist"):
        answer(home, "from labeling.nothing", output_format, path)
    assert path.read_text() == "the last result"


def test_a_query_that_is_not_utf8_is_one_message(home):
    with pytest.raises(DlbugError, match="^the query is not valid UTF-8"):
        answer(home, b"select 'caf\xe9'".decode("utf-8", "surrogateescape"), "table", None)


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "parquet"])
def test_a_query_that_fails_after_its_first_rows_leaves_the_file_unchanged(home, tmp_path, output_format):
    path = tmp_path / "answer"
    path.write_text("the last result")
    query = "select if(a = 900000, error('row 900000'), a) as a from range(1000000) t(a)"
    with pytest.raises(DlbugError, match="^the query failed: .*row 900000"):
        answer(home, query, output_format, path, Bounds(rows=2_000_000))
    assert path.read_text() == "the last result"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["answer", "temporary", "tiny.duckdb"]


def test_a_file_is_replaced_with_its_mode_and_through_a_link(home, tmp_path):
    path, link = tmp_path / "answer", tmp_path / "link"
    path.touch(0o640)
    path.chmod(0o640)
    link.symlink_to(path)
    os.umask(0o077)
    answer(home, "select 7 as n", "csv", link)
    assert path.read_text() == "n\n7\n"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_device_is_written_and_not_replaced(home):
    answer(home, "select 7 as n", "csv", Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


READING = "a query can only read: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, PIVOT and EXPLAIN"


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{folder}/out.csv'",
        "COPY labeling.items TO '{folder}/out.csv'",
        "copy labeling.items from '/etc/passwd'",
        "export database '{folder}'",
        "import database '{folder}'",
        "install httpfs",
        "load httpfs",
        "attach '{folder}/other.duckdb'",
        "detach tiny",
        "use tiny",
        "set enable_external_access = true",
        "set memory_limit = '1TB'",
        "reset memory_limit",
        "pragma enable_profiling",
        "pragma memory_limit = '1TB'",
        "call enable_logging()",
        "checkpoint",
        "vacuum",
        "analyze",
        "begin",
        "prepare p as select 1",
        "execute p",
        "create table labeling.mine as select 1",
        "create temp table mine as select 1",
        "create macro mine() as 1",
        "insert into labeling.items values ('x')",
        "update labeling.items set item_id = 'x'",
        "delete from labeling.items",
        "drop table labeling.items",
        "alter table labeling.items rename to other",
        "comment on table labeling.items is 'x'",
    ],
)
def test_a_statement_that_does_more_than_read_is_refused(home, temporary, query):
    word = query.split()[0].upper()
    with pytest.raises(DlbugError, match=f"^{word} is refused: {READING}$"):
        answer(home, query.format(folder=temporary), "table", None)


@pytest.mark.parametrize(
    "query",
    [
        "explain analyze copy (select 1) to '{folder}/out.csv'",
        "explain copy (select 1) to '{folder}/out.csv'",
        "EXPLAIN\nANALYZE COPY (select 1) to '{folder}/out.csv'",
        "with x as (copy (select 1) to '{folder}/out.csv') from x",
        "explain analyze with x as (copy (select 1) to '{folder}/out.csv') from x",
        "select 1; copy (select 1) to '{folder}/out.csv'",
    ],
)
def test_a_copy_within_another_statement_is_refused(home, temporary, query):
    with pytest.raises(DlbugError, match=f"^COPY is refused: {READING}$"):
        answer(home, query.format(folder=temporary), "table", None)


@pytest.mark.parametrize(("word", "body"), [
    ("INSERT", "insert into labeling.items values ('x') returning *"),
    ("UPDATE", "update labeling.items set item_id = 'x' returning *"),
    ("DELETE", "delete from labeling.items returning *"),
])  # fmt: skip
def test_a_write_within_a_query_is_refused(home, word, body):
    with pytest.raises(DlbugError, match=f"^{word} is refused: {READING}$"):
        answer(home, f"with x as ({body}) from x", "table", None)


@pytest.mark.parametrize(
    "query",
    [
        "from read_text('{file}')",
        "from READ_BLOB('{file}')",
        "from system.main.\"read_csv\"/* */('{file}')",
        "select (select count(*) from glob('{folder}/*'))",
        "describe from read_parquet('{file}')",
        "summarize from read_json('{file}')",
        "with x as (from read_text('{file}')) from x",
        "explain analyze from read_text('{file}')",
        "from labeling.items, lateral (from read_text(item_id))",
        "from parquet_metadata('{file}')",
        "from sniff_csv('{file}')",
        "from read_duckdb('{file}', table_name = 'items')",
        "from query('from read_text(''{file}'')')",
        "from query_table('{file}')",
        "from json_execute_serialized_sql(json_serialize_sql('from glob(''*'')'))",
        "from duckdb_secrets()",
        "from duckdb_extensions()",
        "from enable_profiling()",
        "from arrow_scan(1, 1, 1)",
    ],
)
@pytest.mark.parametrize("file", ["database", "/etc/passwd"])
def test_a_function_that_reads_a_file_or_another_query_is_refused(home, temporary, query, file):
    file = home.published if file == "database" else file
    with pytest.raises(DlbugError, match=r"^\w+\(\) is refused: a query reads tables of the published database only$"):
        answer(home, query.format(file=file, folder=temporary), "table", None)


@pytest.fixture
def with_macros(home):
    """Return the home with a distribution and the macros that read it."""
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema analysis")
        connection.execute("""create table analysis.effect_distribution as select 'GitHub' as source, 'All' as library,
            'Crash' as category, 1 as bugs, 2 as total, 0.5 as share, 0.1 as share_low, 0.9 as share_high,
            0.1 as cluster_low, 0.9 as cluster_high, null as undefined_reason, null as cluster_undefined_reason""")
        create_macros(connection)
    return home


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select bugs, total from share('effect', 'Crash')", [["bugs", "total"], ["1", "2"]]),
        ("select total from Main.SHARE('effect', source := 'GitHub')", [["total"], ["2"]]),
        ("pivot (from share('effect')) on source using sum(share) group by bugs", [["bugs", "GitHub"], ["1", "0.5"]]),
        ("explain from share('effect')", None),
    ],
)  # fmt: skip
def test_macros_of_the_database_are_answered(with_macros, printed, query, rows):
    if rows is None:
        assert "effect_distribution" in printed(query, "table")
    else:
        assert list(csv.reader(io.StringIO(printed(query, "csv")))) == rows


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from share((select content from read_text('/etc/passwd')))", r"^read_text\(\) is refused"),
        ("from share('effect', (with x as (copy (select 1) to '/tmp/x') select 1))", "^COPY is refused"),
        ("from share('/etc/passwd')", "does not exist"),
        ("from share('../labeling.items; drop table x; --')", "does not exist"),
        ("from share('x'' from read_text(''/etc/passwd'') --')", "does not exist"),
        ("create or replace macro share(a) as table from read_text(a)", "^CREATE is refused"),
        ("drop macro table share", "^DROP is refused"),
    ],
)
def test_macros_open_no_way_to_files_or_writes(with_macros, query, message):
    with pytest.raises(DlbugError, match=message):
        answer(with_macros, query, "table", None)


@pytest.mark.parametrize("name", ["'{file}'", '"{file}"', "'tiny.duckdb'", "tiny.duckdb", "'/etc/passwd.csv'"])
def test_a_file_in_place_of_a_table_is_refused(home, name):
    query = f"from {name.format(file=home.published)}"
    with pytest.raises(
        DlbugError, match="^the file .* is refused: a query reads tables of the published database only$"
    ):
        answer(home, query, "table", None)


def test_any_other_file_in_place_of_a_table_is_refused_by_duckdb(home, tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DlbugError, match="file system operations are disabled by configuration"):
        answer(home, "from 'x.csv'", "table", None)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("from labeling.items", [["item_id"], ["SO-1-Keras"]]),
        ("values (1)", [["col0"], ["1"]]),
        ("from range(2)", [["range"], ["0"], ["1"]]),
        ("select 7 / 2 as a, 7 // 2 as b", [["a", "b"], ["3.5", "3"]]),
        ("select 'read_text(x); copy' as glob", [["glob"], ["read_text(x); copy"]]),
        ("select 'x' glob '*' as a", [["a"], ["true"]]),
        ("with recursive x as (select 1 as a union all select a + 1 from x where a < 2) from x", [["a"], ["1"], ["2"]]),
        ("select 1 as a union all select 2", [["a"], ["1"], ["2"]]),
        ("pivot (select 1 as a, 2 as b) on b using sum(a)", [["2"], ["1"]]),
        ("pivot (select 1 as a, 2 as b) on b in (2) using sum(a)", [["2"], ["1"]]),
        ("unpivot (select 1 as a) on a", [["name", "value"], ["a", "1"]]),
        ("select column_name from (describe labeling.items)", [["column_name"], ["item_id"]]),
        ("select count from (summarize labeling.items)", [["count"], ["1"]]),
        ("select name from (show all tables)", [["name"], ["items"]]),
        ("select table_name from duckdb_tables()", [["table_name"], ["items"]]),
        ("select name from pragma_table_info('labeling.items')", [["name"], ["item_id"]]),
        ("select table_name from information_schema.tables", [["table_name"], ["items"]]),
        ("select unnest([1, 2]) as a", [["a"], ["1"], ["2"]]),
    ],
)
def test_a_query_that_reads_is_answered(printed, query, rows):
    assert list(csv.reader(io.StringIO(printed(query, "csv")))) == rows


@pytest.mark.parametrize("query", ["explain from labeling.items", "-- why?\nEXPLAIN ANALYZE select 1", "show tables"])
def test_a_statement_about_a_query_is_answered(printed, query):
    assert printed(query, "table").startswith("┌")


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("/* /* */ explain select 1 -- */ explain analyze copy (select 1) to '{folder}/out.csv'", "COPY"),
        ("explain/* */analyze copy (select 1) to '{folder}/out.csv'", "EXPLAIN with options"),
        ("explain (analyze, format json) copy (select 1) to '{folder}/out.csv'", "EXPLAIN with options"),
    ],
)
def test_an_explain_that_hides_what_it_executes_is_refused(home, temporary, query, refused):
    with pytest.raises(DlbugError, match=f"^{refused} is refused: "):
        answer(home, query.format(folder=temporary), "table", None)


def test_a_pivot_that_looks_up_its_columns_may_not_contain_a_word_that_reads_files(home):
    query = "pivot (from read_text('/etc/passwd')) on content using count(*)"
    with pytest.raises(
        DlbugError, match="^PIVOT with the word read_text is refused, wherever it stands: list the columns"
    ):
        answer(home, query, "table", None)


IMPOSSIBLE = ["", "-1GB", "0GB", "0.0GB", "1MB", "1", "80%", "lots", "1e3MB", "nan", "infGB", "1GB;", "٣GB", "999999TB"]


@pytest.mark.parametrize("memory", [*IMPOSSIBLE, "9" * 400 + "GB"])
def test_memory_that_is_impossible_is_refused_with_the_option(memory):
    with pytest.raises(
        DlbugError, match=r"^--memory .*is not possible: give a size such as 500MB or 2GB, from 16MiB to "
    ):
        Bounds(memory=memory)


@pytest.mark.parametrize(
    ("memory", "size"), [("16MiB", 1 << 24), ("500MB", 500_000_000), ("1.5 gb", 1_500_000_000), (" 0.25GiB ", 1 << 28)]
)
def test_memory_is_a_size_in_decimal_or_binary_units(printed, home, memory, size):
    bounds = Bounds(memory=memory)
    assert bounds.memory_bytes == size
    answer(home, "select 1", "csv", Path(os.devnull), bounds)


@pytest.mark.parametrize(
    ("query", "output_format"),
    [
        ("select repeat('a', 2000000000) as a", "table"),
        ("select repeat('a', 2000000000) as a", "csv"),
        ("select repeat('a', 2000000000) as a", "json"),
        ("select repeat('a', 2000000000) as a", "parquet"),
        ("select unnest([x for x in range(40000000)]) as a", "table"),
        ("select length(string_agg(a::varchar)) as a from range(400000000) t(a)", "csv"),
        ("select len(list(a)) as a from range(400000000) t(a)", "csv"),
    ],
)
def test_a_query_that_needs_more_memory_is_stopped(home, tmp_path, query, output_format):
    with pytest.raises(DlbugError, match="^the query needs more than 300MB: allow more with --memory \\(Out of Memory"):
        answer(home, query, output_format, tmp_path / "answer", Bounds(memory="300MB"))
    assert not (tmp_path / "answer").exists()


def test_a_query_that_takes_longer_is_stopped(home):
    query = "select count(*) from range(100000000000) t(a) where a % 7 = 3"
    with pytest.raises(
        DlbugError, match="^the query was stopped: it takes longer than 1 seconds. --timeout and --memory "
    ):
        answer(home, query, "table", None, Bounds(seconds=1))


@pytest.mark.parametrize("depth", [2000, 200_000])
def test_a_query_that_is_nested_too_deeply_is_one_message(home, depth):
    query = f"select {'(' * depth}1{')' * depth}"
    with pytest.raises(DlbugError, match="^the query (failed: Parser Error: Max expression depth|needs more than 1GB)"):
        answer(home, query, "table", None)


SORT = "select a, hash(a) as h, repeat('x', 100) as text from range(500000) t(a) order by h"


def test_a_query_larger_than_its_memory_uses_temporary_files(home, tmp_path):
    path = tmp_path / "sorted.parquet"
    answer(home, SORT, "parquet", path, Bounds(memory="50MB"))
    assert duckdb.execute("select count(*), max(a) from read_parquet(?)", [str(path)]).fetchall() == [
        (500_000, 499_999)
    ]


def test_temporary_files_take_up_to_half_of_the_free_disk(home, tmp_path, temporary):
    disk = temporary / "disk"
    mount(disk, "size=20m")
    try:
        tempfile.tempdir = str(disk)
        with pytest.raises(DlbugError, match=r"^the query writes more than (9|10) MiB of temporary files"):
            answer(home, SORT, "parquet", tmp_path / "never", Bounds(memory="50MB"))
        assert list(disk.iterdir()) == []
    finally:
        unmount(disk)
        disk.rmdir()
