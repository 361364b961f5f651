"""Queries on the published database: those of the commands that make sheets, status and packages of it, and those of
people, whose answers come as table, CSV, JSON or Parquet whatever is in them."""

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
    """A study of which only the items are published."""
    home = Home(tmp_path, "tiny")
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
    return home


@pytest.fixture
def said(home, capsysbinary):
    """What a query says on the terminal."""

    def say(query, output_format):
        answer(home, query, output_format, None)
        return capsysbinary.readouterr().out.decode()

    return say


def test_answers_are_frames(home):
    with published_query(home) as ask:
        assert ask("from labeling.items").rows() == [("SO-1-Keras",)]


def test_a_table_that_was_never_made_is_named_with_the_cure(home):
    cure = "has to be made first: run the study once without --select"
    with published_query(home) as ask, pytest.raises(DlbugError, match=f"name rater_labels does not exist! .* {cure}"):
        ask("from labeling.rater_labels")


@pytest.mark.parametrize("output_format", ["csv", "json", "parquet"])
def test_columns_of_the_same_name_are_told_apart_as_in_a_table(home, tmp_path, output_format):
    query = "select *, 7 as ITEM_ID from labeling.items join labeling.items as other on true"
    path = tmp_path / "answer"
    answer(home, query, output_format, path)
    read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[output_format]
    assert read(path).to_dicts() == [{"item_id": "SO-1-Keras", "item_id_1": "SO-1-Keras", "ITEM_ID_2": 7}]


#: What the largest number of 128 bits becomes in JSON is beyond DuckDB's own writer.
EVERY_TYPE = "select * exclude (hugeint) from test_all_types()"


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_whatever_type_a_column_has_there_is_an_answer(said, output_format):
    text = said(EVERY_TYPE, output_format)
    columns = duckdb.sql(EVERY_TYPE).columns
    if output_format == "table":
        assert "3 rows" in text
    elif output_format == "csv":
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        assert head == columns
        assert [len(row) for row in rows] == [len(columns)] * 3
    else:
        assert [list(row) for row in json.loads(text)] == [columns] * 3


def test_what_csv_has_no_form_for_is_written_as_duckdb_shows_it(said):
    query = (
        "select 'a\\x00'::blob as b, '0101'::bit as bits, interval 3 days as i, date 'infinity' as d, "
        "timestamp '2017-07-14 02:40:00' as t, 0.5::double as n, true as y, '' as empty, null as nothing, (1, 'a') as p"
    )
    head, row = said(query, "csv").splitlines()
    assert head == "b,bits,i,d,t,n,y,empty,nothing,p"
    assert row == r'a\x00,0101,3 days,infinity,2017-07-14 02:40:00,0.5,true,"",,"[1,""a""]"'


def test_what_parquet_has_no_form_for_is_one_message(home, tmp_path):
    path = tmp_path / "answer.parquet"
    with pytest.raises(DlbugError, match=r"^parquet cannot hold the answer: .*INTERVAL.* Cast that column, as in x::"):
        answer(home, "select interval 3 days as x", "parquet", path)
    assert not path.exists()


def test_what_is_no_number_is_null_in_json(said):
    query = r"""select 'nan'::double as a, '-inf'::float as b, ['inf'::double, 1] as c, 'NaN "-Infinity\' as d"""
    assert said(query, "json") == r'[{"a":null,"b":null,"c":[null,1.0],"d":"NaN \"-Infinity\\"}]' + "\n"


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "parquet"])
def test_a_place_that_cannot_be_written_is_named(home, output_format):
    with pytest.raises(DlbugError, match=r"^cannot write /nonexist/x: No such file or directory$"):
        answer(home, "select 1", output_format, Path("/nonexist/x"))


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "parquet"])
def test_a_query_that_fails_leaves_the_file_as_it_was(home, tmp_path, output_format):
    path = tmp_path / "answer"
    path.write_text("the last answer")
    with pytest.raises(DlbugError, match="the query failed: .*nothing does not exist"):
        answer(home, "from labeling.nothing", output_format, path)
    assert path.read_text() == "the last answer"


def test_a_query_in_another_encoding_is_one_message(home):
    with pytest.raises(DlbugError, match="^the query is not UTF-8"):
        answer(home, b"select 'caf\xe9'".decode("utf-8", "surrogateescape"), "table", None)
