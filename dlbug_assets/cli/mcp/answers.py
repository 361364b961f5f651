"""What the tools of the server return: a client gets it as JSON with a schema."""

from typing import Any

from pydantic import BaseModel, Field


class Table(BaseModel):
    """A table of the published database."""

    table: str
    rows: int
    description: str


class Macro(BaseModel):
    """A table macro: a function that is called in FROM."""

    call: str
    description: str


class Tables(BaseModel):
    """All tables and macros of the published database."""

    study: str
    notice: str = Field(description="Whether the data are real or synthetic")
    tables: list[Table]
    macros: list[Macro]


class ColumnDescription(BaseModel):
    """A column: its name, DuckDB's type, and what it means."""

    name: str
    data_type: str
    description: str
    computed_from: list[str] = Field(description="Columns that it is computed from, where a SQL model makes the table")


class CheckDescription(BaseModel):
    """A check of a table: it holds for every row, or nothing is published if it is blocking."""

    name: str
    description: str
    is_blocking: bool


class TableDescription(BaseModel):
    """A table: what one row is, its columns, checks, and neighbours in the lineage."""

    table: str
    description: str
    grain: list[str] = Field(description="Columns that identify a row")
    columns: list[ColumnDescription]
    checks: list[CheckDescription]
    made_by: str = Field(description="File of SQL, or Python function")
    reads: list[str]
    read_by: list[str]


class Rows(BaseModel):
    """The first rows of a result."""

    rows: list[dict[str, Any]]
    truncated: bool = Field(description="Whether there are more rows than these")


class Step(BaseModel):
    """A table or file in the lineage, and what it is computed from."""

    table: str
    made_by: str
    reads: list[str]


class UsedBy(BaseModel):
    """A claim that uses a number, and what became of it."""

    finding: int
    role: str
    claim: str
    metric: str | None
    printed: str | None
    computed: str | None
    number_verdict: str | None
    support: str | None
    note: str | None


class Explanation(BaseModel):
    """A table, a column, or the numbers in some of its rows: where they come from and what uses them."""

    subject: str
    description: str
    query: str | None = Field(description="The query of the rows")
    rows: Rows | None
    made_by: str = Field(description="File of SQL, or Python function")
    code: str = Field(description="The text of the SQL, or the docstring of the function")
    computed_from: list[str] = Field(description="Columns that the column is computed from, or tables")
    upstream: list[Step] = Field(description="Everything upstream, nearest first, up to the raw tables")
    claims: list[UsedBy]
