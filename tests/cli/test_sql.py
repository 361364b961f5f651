"""Queries on the published database, by commands and by users; results as table, CSV, JSON or Parquet."""

import csv
import io
import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dlbug_assets.cli.sql import answer
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.published import published_query


@pytest.fixture
def home(tmp_path):
    """Return the home of a study that has published only its items."""
    home = Home(tmp_path, "tiny")
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
    return home


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


def test_a_type_that_parquet_does_not_have_is_one_message(home, tmp_path):
    path = tmp_path / "answer.parquet"
    with pytest.raises(DlbugError, match=r"^parquet cannot hold the result: .*INTERVAL.* Cast that column, as in x::"):
        answer(home, "select interval 3 days as x", "parquet", path)
    assert not path.exists()


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
