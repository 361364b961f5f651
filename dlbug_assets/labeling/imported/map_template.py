"""A map to start from, made of the columns that a file has."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits
from dlbug_assets.labeling.imported.archive import check_format
from dlbug_assets.labeling.imported.label_map import FACTS
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.protocol.releases import FORMATS
from dlbug_assets.protocol.study import Study
from dlbug_assets.releases.headers import read_columns

_LIMITS = Limits(memory=1 << 30, seconds=60, reply=16 << 20)
#: Other names of columns that are not labels.
_ALSO = {
    "item_id": ("item", "id"), "link": ("url", "address", "permalink", "question", "commit", "sha"),
    "library": ("framework",), "place": ("location", "where", "line"), "comment": ("comments", "note", "notes"),
    IS_BUG: ("bug",),
}  # fmt: skip
_MEANINGS = {
    "item_id": "as in labeling.items", "link": "an address, the number of a question, or the hash of a commit",
    "library": "tells the items of a link apart", IS_BUG: "true or false; an item without bugs has a row with false",
    "place": "where the bug is", "comment": "any text",
}  # fmt: skip


def map_template(file: Path, study: Study) -> str:
    """Return the text of a map for a file: its columns as comments, and what they seem to be.

    Raises :class:`DlbugError` for a file that cannot be read.
    """
    check_format(file)
    with ChildProcess(f"{read_columns.__module__}:{read_columns.__name__}", _LIMITS) as child:
        try:
            reply = b"".join(child.call(path=str(file.absolute()), kind=FORMATS[file.suffix.lower()]))
        except LimitError as error:
            raise DlbugError(f"{file} cannot be read: {error}") from None
        except DlbugError as error:
            raise DlbugError(f"{file}: {error}") from None
    tables = list(map(json.loads, io.BytesIO(reply)))
    return "\n".join(_lines(file, tables, study)) + "\n"


def _lines(file: Path, tables: Sequence[Mapping[str, Any]], study: Study) -> Iterator[str]:
    # The table whose columns are most like those of a sheet.
    best = max(tables, key=lambda table: len(_matches(table["columns"], study)))
    for table in tables:
        where = " ".join(f"{key} {table[key]!r}" for key in ("sheet", "rows") if table[key])
        yield f"# Columns of {file.name}{f', {where}' if where else ''}, with some values:"
        for name, values in table["columns"].items():
            yield f"#   {name}: {' | '.join(values)}"
    yield ""
    for key in ("sheet", "rows"):
        if best[key] and (len(tables) > 1 or key == "rows"):
            yield f"{key} = {_quoted(best[key])}"
    columns, matches = best["columns"], _matches(best["columns"], study)
    yield "[columns]"
    for name in (*FACTS, *study.asked_names):
        yield _entry(name, matches.get(name), _meaning(name, study))
    for rater in study.labeling.raters:
        own = _matches(columns, study, rater)
        is_commented = "" if own else "# "
        yield f"\n{is_commented}[raters.{rater}]" + ("" if own else "  # if the file has the rater's own labels")
        for name in study.asked_names:
            entry = _entry(name, own.get(name), _meaning(name, study))
            if own or name in study.required_names:
                yield entry


def _matches(columns: Mapping[str, Any], study: Study, rater: str | None = None) -> dict[str, str]:
    """Return the columns of the file by what they seem to be: facts and labels, or the labels of a rater."""
    words = {column: _words(column) for column in columns}
    found: dict[str, str] = {}
    for dimension in study.asked:
        named = [_words(dimension.name), _words(dimension.title)]
        extra = set() if rater is None else {rater.casefold()}
        for column, of_column in words.items():
            if any(set(of_column) == {*of_name, *extra} for of_name in named):
                found.setdefault(dimension.name, column)
    if rater is None:
        for fact in FACTS:
            for name in (fact, *_ALSO[fact]):
                column = next((each for each, of_column in words.items() if of_column == _words(name)), None)
                if column is not None and column not in found.values():
                    found.setdefault(fact, column)
    return found


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.casefold())


def _meaning(name: str, study: Study) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    dimension = next(each for each in study.asked if each.name == name)
    kind = "required" if dimension.required else "optional"
    return f"{kind}, several separated by {dimension.separator!r}" if dimension.multiple else kind


def _entry(name: str, column: str | None, meaning: str) -> str:
    """Return a line of a map, as a comment if no column seems to be meant."""
    return f"{name} = {_quoted(column)}  # {meaning}" if column else f'# {name} = ""  # {meaning}'


def _quoted(text: str) -> str:
    # The strings of TOML are those of JSON, except for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
