"""SQL of users."""

import atexit
import random
import tempfile
from pathlib import Path

import duckdb

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits
from dlbug_assets.ingest.csv_cells import ESCAPED_START
from dlbug_assets.layout import Home
from dlbug_assets.warehouse import ad_hoc
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, nasty

_QUERIES = (
    "select library, count(*) from labeling.items group by all order by 2 desc limit 3",
    "with a as (select unnest([1, 2]) as n) select n, n / 2, {'x': n} from a where n > (select 1)",
    "from labeling.items select item_id as \"the id\", title || 'é' where title like '%a%'",
    "describe labeling.items; show tables; summarize labeling.items",
    "pivot labeling.items on library using count(*)",
    "explain select * from range(10) t(a) join labeling.items on a = 1",
    "select list(a), map {'k': 1.5}, date '2020-01-01', interval 3 days, null::int[] from range(3) t(a)",
)
#: Where queries may not write.
_TARGET = Path(tempfile.gettempdir(), "fuzzed")
_WORDS = (
    "select", "from", "*", "copy", "to", f"'{_TARGET}'", "attach", "install", "load", "set", "pragma", "call", "export",
    "read_text('/etc/passwd')", "read_csv('/etc/passwd')", "glob('*')", "union all", "recursive", "/*", "--", ";", "(",
    "repeat('a', 2000000000)", "range(1000000000)", "cross join range(100000)", "::blob", "::int", "::hugeint", ")",
    "::varchar[]", "[", "]", "{", "}", "$1", "?", "getenv('HOME')", "query('select 1')", "order by all", "limit 1e9",
    "insert into labeling.items", "delete from labeling.items", "create table a as", "drop table", "begin", "unnest",
    "checkpoint", "values (1)", "over ()", "filter (where true)", "lambda x: x", "x -> x", "'\\x00'::blob", "e'\\0'",
    "collate nocase",
)  # fmt: skip
_EXPRESSIONS = (
    "title", "*", "count(*)", "count(*) over ()", "null", "1 / 0", "9223372036854775807 + 1", "'nan'::double",
    "1e308 * 10", "repeat('a', 2000000000)", "repeat(title, 1000)", "'\\x00\\xff'::blob", "chr(0)", "chr(27) || '[2J'",
    "'=1+1'", "'@x'", "interval '100000 years'", "date '290309-12-22 (BC)'", "'infinity'::timestamp",
    "{'a': [1, null], 'b c': {'d': 1}}",
    "map {'k': [1.5]}", "union_value(x := 1)", "[[], [null]]", "unnest(range(40000000))", "unnest([1, 2])", "uuid()",
    "list_transform([1, 2], lambda x: x + 1)", "string_agg(title, '')", "list(item_id)", "json('{\"a\": [1]}')",
    "regexp_replace(title, '(a+)+$', '')", "title like '%a'", "getenv('HOME')", "current_setting('temp_directory')",
    "(select max(a) from range(3000000) t(a))", "'é\U0001f469\u200d\U0001f4bb'", "1::hugeint << 120",
    "0.1::decimal(38, 37)",
)  # fmt: skip
_SOURCES = (
    "labeling.items", "labeling.items a cross join labeling.items b", "(from labeling.items) s", "range(200) t(title)",
    "range(1000000000) t(title)", "(values ('=1+1'), ('@x'), (null)) v(title)", "duckdb_tables()", "duckdb_settings()",
    "information_schema.tables", "read_csv('/etc/passwd')", "'/etc/passwd'", "glob('*')", "read_text('/etc/passwd')",
    "(select 1 as title union all select 2) u", "query('select 1')", "pragma_version()",
    "labeling.items tablesample 50%",
)  # fmt: skip
_CLAUSES = (
    "", "", "", "where title > 'a'", "group by all", "order by all", "limit 3", "limit 0", "offset 10",
    "using sample 5", "where item_id in (select item_id from labeling.items)", "qualify row_number() over () < 3",
    "having count(*) > 1",
)  # fmt: skip
_FORMATS = ("table", "csv", "json")


class Queries(Kind):
    """Queries: they change nothing and leave no file. The first line of an input is the format of the result."""

    name = "sql"

    def __init__(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="fuzz-")
        atexit.register(root.cleanup)
        self._home = Home(Path(root.name), "tiny")
        self._home.published.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(self._home.published)) as connection:
            connection.execute("create schema labeling")
            connection.execute(
                "create table labeling.items as select 'SO-' || a as item_id, 'title ' || a as title, "
                "['Keras', 'Torch'][1 + a % 2] as library from range(20) t(a)"
            )
        self._content = self._home.published.read_bytes()
        self._child = ChildProcess(
            f"{ad_hoc.__name__}:run", Limits(768 << 20, 3), largest_file=64 << 20, with_folder=True
        )

    def examples(self) -> list[bytes]:
        queries = [(f"{form}\n{query}").encode() for query in _QUERIES for form in _FORMATS]
        return [query for query in queries if query.startswith(b"table") or b";" not in query]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        form, _, query = content.partition(b"\n")
        if choose.random() < 0.6:
            columns = ", ".join(choose.choices(_EXPRESSIONS, k=choose.randint(1, 3)))
            clauses = f"{choose.choice(_SOURCES)} {choose.choice(_CLAUSES)}"
            return form + b"\n" + f"{choose.choice(('', '', 'explain '))}select {columns} from {clauses}".encode()
        for _ in range(choose.randint(1, 3)):
            if choose.random() < 0.3:
                query = mutate_bytes(choose, query)
            else:
                words = query.split(b" ")
                words[choose.randrange(len(words))] = choose.choice((*_WORDS, nasty(choose))).encode()
                query = b" ".join(words)
        return form + b"\n" + query

    def read(self, content: bytes, folder: Path) -> None:
        form, _, query = content.partition(b"\n")
        size = 0
        try:
            for piece in self._child.call(
                root=str(self._home.root), study="tiny", query=query.decode("utf-8", "replace"),
                output_format=form.decode(), rows=100, truncated="..", memory="256MB", spill=32 << 20,
                escaped_start=ESCAPED_START,
            ):  # fmt: skip
                size += len(piece)
                if size > 1 << 20:
                    break
        except DlbugError as error:
            if isinstance(error, LimitError):
                assert "ended with exit status" not in str(error), error
            if "memory" in str(error):
                self._child.close()  # what it could not use is not all free again, and each query has its own process
            raise
        finally:
            assert self._home.published.read_bytes() == self._content
            assert [path.name for path in self._home.published.parent.iterdir()] == [self._home.published.name]
            assert not _TARGET.exists()
