"""What a key of a TOML file should have been given, in the words of people who write TOML."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dlbug_assets.protocol.names import counted, shown

_PLAIN = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "string_type": "a text in quotes",
    "date": "a date such as 2017-12-31",
}
#: JSON's names of the other types that a table may be written as.
_OTHER_TYPES = {"string": "a text in quotes", "array": "a list of texts"}


def expectation(problem: Mapping[str, Any], key: str, model: type[BaseModel]) -> str | None:
    """Return what should have been written as the value of a key, None if pydantic's ``problem`` is about no value.

    ``model`` is what the file was validated as.
    """
    kind, limits = problem["type"], problem.get("ctx", {})
    field = field_at(problem["loc"], model)
    if kind == "string_pattern_mismatch":
        example = field.examples[0] if field and field.examples else None
        return f"a text such as {example!r}" if example else f"a text that matches {limits['pattern']}"
    if kind in ("tuple_type", "list_type"):
        is_table = field is not None and any(models(field.annotation))
        return f"tables {table_header(key, field)}" if is_table else f"a list, {key.rsplit('.', 1)[-1]} = [..]"
    if kind in ("model_type", "dict_type"):
        # Entries of a mapping may be something else, the mapping itself may not.
        tables = _tables(problem["loc"], model) if kind == "model_type" else []
        other = [_OTHER_TYPES[name] for table in tables for name in getattr(table, "other_types", ())]
        return " or ".join(dict.fromkeys([*other, f"a table, {table_header(key, field)}"]))
    amounts = {
        "literal_error": lambda: f"one of {limits['expected']}".replace("one of True", "true"),
        "greater_than": lambda: f"more than {_number(limits['gt'])}",
        "greater_than_equal": lambda: f"{_number(limits['ge'])} or more",
        "less_than": lambda: f"less than {_number(limits['lt'])}",
        "less_than_equal": lambda: f"{_number(limits['le'])} or less",
        "string_too_short": lambda: f"a text of {counted(limits['min_length'], 'character')} or more",
        "string_too_long": lambda: f"a text of {counted(limits['max_length'], 'character')} or less",
        "too_short": lambda: f"{counted(limits['min_length'], 'entry')} or more",
        "too_long": lambda: f"{counted(limits['max_length'], 'entry')} or less",
    }
    if kind in amounts:
        return amounts[kind]()
    return next((phrase for start, phrase in _PLAIN.items() if kind.startswith(start)), None)


def _number(limit: float) -> str:
    """Return a limit, which pydantic may have as a float, without decimals if it has none."""
    return str(int(limit) if limit == int(limit) else limit)


def as_toml(value: Any) -> str:
    """Return a value as TOML has it, the beginning of a long one, and only the kind of a list or table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list | tuple):
        return f"a list of {counted(len(value), 'entry')}" if value else "an empty list"
    return shown(value)


def table_header(key: str, field: FieldInfo | None) -> str:
    """Return how a table is written: `[key]`, one of several `[[key]]`, or `{..}` within another one."""
    *outer, name = key.split(".")
    if re.match(r"\d+\b", name):
        return f"[[{outer[0]}]]" if len(outer) == 1 else "{..}"
    if outer:
        return f"{name} = {{..}}"
    is_list = field is not None and str(field.annotation).startswith("tuple")
    return f"[[{key}]]" if is_list else f"[{key}]"


def field_at(location: Sequence[str | int], model: type[BaseModel]) -> FieldInfo | None:
    """Return the field of the tables at a place, None for an entry of a list and for a key that is not a field."""
    if not location:
        return None
    tables = _tables(location[:-1], model)
    return next((field for table in tables for name, field in fields(table) if name == location[-1]), None)


def known_keys(location: Sequence[str | int], model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of the table at a place."""
    yield from dict.fromkeys(name for table in _tables(location, model) for name, _ in fields(table))


def _tables(location: Sequence[str | int], model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the tables that a place may have."""
    tables = [model]
    for part in location:
        annotations = [field.annotation for table in tables for name, field in fields(table) if name == part]
        found = [model for annotation in annotations for model in models(annotation)]
        # The tag of a union is a value of one of the table's keys.
        tagged = [table for table in tables if any(part in get_args(field.annotation) for _, field in fields(table))]
        tables = found or tagged or tables
    return tables


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the keys of a table with their fields."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables that a value may be, or that its entries may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)
