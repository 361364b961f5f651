"""Frames are exchanged between DuckDB and Polars as by pyarrow, which only the tests need."""

import duckdb
import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse.frames import query_frames, register_frame, to_frame
from support.tiny_tables import bugs

#: Values of every type of a column or of a query's result, as SQL.
_VALUES = {
    "true": pl.Boolean, "1::tinyint": pl.Int8, "1::bigint": pl.Int64, "1::ubigint": pl.UInt64, "1.5::real": pl.Float32,
    "1::hugeint": pl.Decimal(38, 0), "1.50::decimal(10, 2)": pl.Decimal(10, 2), "'nan'::double": pl.Float64,
    "'ä'": pl.String, "'{}'::json": pl.String, "'a'::enum('b', 'a')": pl.Categorical, "'a\\x00'::blob": pl.Binary,
    "date '2019-08-26'": pl.Date, "time '01:02:03.000004'": pl.Time,
    "timestamp '2019-08-26 01:02:03.000004'": pl.Datetime("us"), "timestamp_ns '2019-08-26'": pl.Datetime("ns"),
    "timestamptz '2019-08-26 00:00:00+02'": pl.Datetime,
    "['a', null]": pl.List(pl.String), "[[1], null]": pl.List(pl.List(pl.Int32)),
    "[1, 2]::integer[2]": pl.Array(pl.Int32, 2), "{'a': 1, 'b': 'x'}": pl.Struct({"a": pl.Int32, "b": pl.String}),
    "[{'a': 1}]": pl.List(pl.Struct({"a": pl.Int32})),
}  # fmt: skip


@pytest.fixture
def connection():
    with duckdb.connect(":memory:") as connection:
        yield connection


@pytest.mark.parametrize(("value", "dtype"), _VALUES.items())
def test_frames_equal_those_exchanged_by_pyarrow(connection, value, dtype):
    # Several batches with NULLs, and no rows.
    column = f"case when i % 3 > 0 then {value} end as x"
    connection.execute(f"create table rows as select i, {column} from range(300000) t(i)")
    for relation in (connection.sql("from rows"), connection.sql("from rows limit 0")):
        frame = to_frame(relation)
        assert frame.dtypes == [pl.Int64, dtype]
        assert frame.equals(relation.pl())

        connection.register("by_pyarrow", frame)
        register_frame(connection, "frame", frame)
        assert connection.sql("from frame").types == connection.sql("from by_pyarrow").types
        assert to_frame(connection.sql("from frame")).equals(frame)


def test_a_column_of_only_null_is_read_as_text(connection):
    register_frame(connection, "frame", pl.DataFrame({"x": [None, None]}))

    assert to_frame(connection.sql("from frame")).equals(pl.DataFrame({"x": [None, None]}, schema={"x": pl.String}))


def test_python_objects_are_rejected(connection):
    with pytest.raises(DlbugError, match="DuckDB cannot read Python objects, as in column x"):
        register_frame(connection, "frame", pl.DataFrame({"x": [object()]}, schema={"x": pl.Object}))


@pytest.mark.parametrize("value", ["interval 1 day", "[interval 1 day]", "{'a': [union_value(a := 1)]}"])
def test_a_type_that_polars_does_not_have_is_an_error(connection, value):
    with pytest.raises(duckdb.NotSupportedError, match=r"Polars has no type for column x \(.+\)"):
        to_frame(connection.sql(f"select {value} as x"))


def test_an_error_after_the_first_rows_is_raised_as_duckdbs(connection):
    late = "select (case when i = 1900000 then 'x' else '1' end)::integer from range(2000000) t(i)"
    with pytest.raises(duckdb.Error, match="Conversion Error: Could not convert string 'x' to INT32"):
        to_frame(connection.sql(late))

    connection.execute("set memory_limit = '60MB'; set temp_directory = ''")
    large = "from range(2000000) union all select len(list(i)) from range(100000000) t(i)"
    with pytest.raises(duckdb.OutOfMemoryException, match="Out of Memory Error"):
        to_frame(connection.sql(large))


def test_a_query_can_be_run_on_frames_in_place_of_tables():
    tables = {"labeling.labels": bugs((1, "Keras"), (2, "Caffe")), "reference.libraries": bugs((9, "Keras"))}
    query = "select labels.bug from labeling.labels join reference.libraries using (library)"

    assert query_frames(query, tables).rows() == [(1,)]
