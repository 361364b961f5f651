"""The map of a file with final labels: what its columns are, in the form of [[releases]] of a study.

What belongs here: the description of the file. What doesn't: reading it (file_rows.py).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.files.problems import explanation
from dlbug_assets.protocol.files.toml import read_toml_file
from dlbug_assets.protocol.names import closest
from dlbug_assets.protocol.releases import Column, Release
from dlbug_assets.protocol.study import Study

MAP_FILE = "map.toml"
#: What a column can be, beside the label of a dimension.
FACTS = ("item_id", "link", "library", IS_BUG, "place", "comment")
_KEYS = ("sheet", "rows", "where", "encoding", "separator", "columns", "raters")


class LabelMap(Release, frozen=True):
    """A release whose file is given, with a row for each bug, and whose raters may each have columns of their own.

    Of the keys of a release, a map has ``sheet``, ``rows``, ``where``, ``encoding``, ``separator`` and ``columns``.
    ``raters`` are the columns of raters' own labels, by rater.
    """

    raters: dict[str, Annotated[dict[str, Column], Field(min_length=1)]] = Field(default={}, max_length=100)

    def with_columns_of_raters(self) -> Self:
        """Return the map with the raters' columns among the others: `symptom` of ann as `ann.symptom`."""
        own = {f"{rater}.{name}": column for rater, columns in self.raters.items() for name, column in columns.items()}
        return self.model_copy(update={"columns": {**self.columns, **own}})

    @property
    def named_by(self) -> dict[str, str]:
        """The key of the map that names each column of the file, for messages."""
        return {
            place: f"{table}.{name} of {MAP_FILE}"
            for table, columns in (
                ("columns", self.columns),
                *((f"raters.{rater}", columns) for rater, columns in self.raters.items()),
            )
            for name, column in columns.items()
            for place in (*column.column, *column.placeholders)
        }

    def dimensions(self, study: Study) -> dict[str, Dimension]:
        """Return the asked dimensions that have a column, by its name, also for `ann.symptom`."""
        asked = {dimension.name: dimension for dimension in study.asked}
        columns = self.with_columns_of_raters().columns
        return {name: asked[place] for name in columns if (place := name.rpartition(".")[2]) in asked}


def load_map(path: Path, file: Path, study: Study) -> LabelMap:
    """Return the map in a TOML file for the columns of ``file``.

    Raises :class:`DlbugError` that names the map and the key if it isn't valid or does not fit the study.
    """
    try:
        content = read_toml_file(path, f"{MAP_FILE} states what the columns of a file with final labels are")
    except (FileNotFoundError, NotADirectoryError):
        raise DlbugError(f"{path} does not exist: it states what the columns of the file are") from None
    if unknown := next((key for key in content if key not in _KEYS), None):
        raise DlbugError(f"{path}: unknown key {unknown}{closest(unknown, _KEYS)}; known are {', '.join(_KEYS)}")
    try:
        label_map = LabelMap.model_validate({**content, "path": str(file)})
    except ValidationError as error:
        raise DlbugError(f"{path}: {explanation(error, content, LabelMap)}") from None
    if problem := next(_problems(label_map, study), None):
        raise DlbugError(f"{path}: {': '.join(problem)}")
    return label_map


def _problems(label_map: LabelMap, study: Study) -> Iterator[tuple[str, str]]:
    """Yield each key of the map that does not fit the study, and why."""
    asked = {dimension.name: dimension for dimension in study.asked}
    yield from _misfits("columns", label_map.columns, (*FACTS, *asked), asked)
    if not {"item_id", "link"} & set(label_map.columns):
        yield "columns.link", "missing; give link or item_id: they tell which item of the queue a row is about"
    known = study.labeling.raters
    for rater, columns in label_map.raters.items():
        if rater not in known:
            yield f"raters.{rater}", f"not a rater of the study{closest(rater, known)}; it has {', '.join(known)}"
        yield from _misfits(f"raters.{rater}", columns, (IS_BUG, *asked), asked)


def _misfits(
    table: str, columns: Mapping[str, Column], known: tuple[str, ...], asked: Mapping[str, Dimension]
) -> Iterator[tuple[str, str]]:
    for name, column in columns.items():
        if name not in known:
            yield f"{table}.{name}", f"unknown{closest(name, known)}; it can be {', '.join(known)}"
        if column.template and name != "link":
            yield f"{table}.{name}", "template is for link"
        if column.from_:
            yield f"{table}.{name}", "from is for the releases of a study"
        if column.separator and not (name in asked and asked[name].multiple):
            yield f"{table}.{name}", "separator is for a dimension with several categories"
    for dimension in asked.values():
        if dimension.required and dimension.name not in columns:
            yield f"{table}.{dimension.name}", f"missing; {dimension.name} is required of every bug"
