"""What pydantic finds wrong with a TOML file, as messages with the keys of the file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dlbug_assets.protocol.names import closest, shown

_MOST_PROBLEMS = 10
#: Characters of a key that messages show.
_LONGEST_KEY = 80
#: The key by whose text messages tell the entries of a list apart, and how much of it they show.
_NAMES = {"claims": "text", "dimensions": "name"}
_LONGEST_NAME = 40


def explanation(error: ValidationError, content: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return the first problems of a file's content as `key: message; key: message`, with keys as in TOML.

    Dimensions and claims are numbered from 0, followed by their name or text: `dimensions.0 ('cause').title`.

    ``model`` is what the content was validated as. The first unknown key of a table is followed by those that are known
    in it. A list that lacks only its invalid entries is not reported as too short.
    """
    problems = error.errors(include_url=False)
    listed: set[tuple[Any, ...]] = set()
    tables = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
    explained = [
        _explain(problem, content, model, listed)
        for problem in problems
        if problem["type"] != "too_short" or problem["loc"] not in tables
    ]
    more = [f"{len(explained) - _MOST_PROBLEMS} more"] if len(explained) > _MOST_PROBLEMS else []
    return "; ".join(explained[:_MOST_PROBLEMS] + more)


def _explain(problem: Any, content: Mapping[str, Any], model: type[BaseModel], listed: set[tuple[Any, ...]]) -> str:
    """Format one problem as `key: message`; ``listed`` are the tables whose keys are listed in an earlier message."""
    location, kind = problem["loc"], problem["type"]
    key = ".".join(_keys(location, content, is_missing=kind == "missing"))
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = list(_known(location[:-1], model))
        message = f"unknown key{closest(str(location[-1])[:_LONGEST_KEY], known)}"
        if location[:-1] not in listed:
            message += f" (known are {', '.join(known)})"
            listed.add(location[:-1])
    elif kind == "missing":
        message = "missing"
    elif kind != "value_error" and not isinstance(problem["input"], dict | list | tuple):
        message = f"{message}, not {shown(problem['input'])}"
    return f"{key}: {message}" if key else message


def numbered(place: int, name: Any) -> str:
    """Return the place of an entry of a list, with its name or text if it has one."""
    return f"{place} ({shown(name, _LONGEST_NAME)})" if isinstance(name, str) else f"{place}"


def _keys(location: Sequence[Any], content: Any, *, is_missing: bool) -> Iterator[str]:
    """Yield the parts of a place that the file has, without the alternatives of a union that pydantic adds to it."""
    for number, part in enumerate(location, start=1):
        key = str(part)[:_LONGEST_KEY]
        if isinstance(content, list) and isinstance(part, int):
            content = content[part]
            name = _NAMES.get(location[0])
            if number == 2 and isinstance(content, dict) and tuple(location[number:]) != (name,):  # noqa: PLR2004
                key = numbered(part, content.get(name))
        elif isinstance(content, dict) and part in content:
            content = content[part]
        elif not (is_missing and number == len(location)):
            continue
        yield key


def _known(location: Sequence[str | int], model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of the table at a place."""
    tables = [model]
    for part in location:
        annotations = [field.annotation for table in tables for name, field in _fields(table) if name == part]
        found = [model for annotation in annotations for model in _models(annotation)]
        # The tag of a union is a value of one of the table's keys.
        tagged = [table for table in tables if any(part in get_args(field.annotation) for _, field in _fields(table))]
        tables = found or tagged or tables
    yield from dict.fromkeys(name for table in tables for name, _ in _fields(table))


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables that a value may be, or that its entries may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
