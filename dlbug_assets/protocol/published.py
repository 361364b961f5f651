"""[[published]] of a study: which column of a file with printed numbers is what."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.sections import OrText, Section, Whole

_Text = Annotated[str, Field(min_length=1, max_length=200)]

Unit = Literal["percent", "bugs", "items", "p", "correlation"]

#: The keys that say what a printed number is about; each is a column of the file, or one value for all rows.
PLACES = (
    "reference",
    "dimension",
    "category",
    "library",
    "source",
    "within_dimension",
    "within_category",
    "library_b",
    "year",
)


class CellText(OrText, frozen=True):
    """Where the text of a cell comes from: a ``column`` of the file, or one ``value`` for all rows.

    ``map`` replaces texts of the column by others; those that it does not name stay.
    """

    column: _Text | None = None
    value: _Text | None = None
    map: dict[_Text, _Text] = Field(default={}, max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _is_a_column(cls, content: Any) -> Any:
        return {"column": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _is_column_or_value(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("use the name of a column, or {value = '..'} for all rows")
        if self.map and self.column is None:
            raise ValueError("map replaces texts of a column: name it, as in {column = '..', map = {..}}")
        return self


class PublishedNumbers(Section, frozen=True):
    """[[published]]: a CSV file in the study's folder published/, one printed number per row.

    ``reference`` names the printed table or figure (default: the file's name without .csv). ``dimension``,
    ``category``, ``library`` and ``source`` are what the number is about (default: all libraries, all sources).
    ``within_dimension`` and ``within_category`` limit it to the bugs of another category, ``year`` to those of a year.
    Correlations are of ``library`` and ``library_b``. ``value`` is the number (default: the column named as the unit),
    ``bugs`` the number of bugs printed beside a percent. A key that is left out is the file's column of that name.

    ``unit``: percent, bugs or items (how many there are), p (P value of the comparison of two sources), or correlation
    (Pearson's). ``of``: percent of the bugs that are labelled in the dimension and have the within category, or of all
    bugs of the library and source. ``decimals``: how many are printed (default: as many as a value has at most).
    ``halves`` are rounded away from zero, or to the even digit, as Python and R do. ``reading``: approximate for
    numbers measured from a drawing, which are not judged.
    """

    file: str
    reference: CellText | None = None
    dimension: CellText | None = None
    category: CellText | None = None
    library: CellText | None = None
    source: CellText | None = None
    within_dimension: CellText | None = None
    within_category: CellText | None = None
    library_b: CellText | None = None
    year: CellText | None = None
    value: CellText | None = None
    bugs: CellText | None = None
    unit: Unit = "percent"
    of: Literal["labelled", "all"] = "labelled"
    decimals: Whole | None = Field(default=None, ge=0, le=15)
    halves: Literal["away", "even"] = "away"
    reading: Literal["printed", "approximate"] = "printed"

    @field_validator("file")
    @classmethod
    def _is_in_the_folder(cls, file: str) -> str:
        if "/" in file or "\\" in file or not file.lower().endswith(".csv"):
            raise ValueError(f"use the name of a CSV file in published/, such as 'table2.csv', not {shown(file)}")
        return file

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.bugs is not None and self.unit != "percent":
            raise ValueError(f"bugs are printed beside a percent, but unit is {self.unit!r}: leave bugs out")
        if self.of == "all" and self.unit != "percent":
            raise ValueError(f"of is for unit = 'percent', not {self.unit!r}: leave it out")
        return self
