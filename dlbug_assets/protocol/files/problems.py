"""What pydantic finds wrong with a TOML file, as messages with the keys of the file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from dlbug_assets.protocol.files.expectations import as_toml, expectation, field_at, known_keys, models, table_header
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
    explained: list[str] = []
    expected: dict[str, list[str]] = {}
    inputs: dict[str, Any] = {}
    for problem in problems:
        if problem["type"] == "too_short" and problem["loc"] in tables:
            continue
        key = ".".join(_keys(problem["loc"], content, is_missing=problem["type"] == "missing"))
        # A value that fits none of several alternatives has a problem with each of them.
        if phrase := expectation(problem, key, model):
            if key not in expected:
                explained.append(key)
            expected.setdefault(key, []).append(phrase)
            inputs[key] = problem["input"]
        else:
            explained.append(_explain(problem, key, model, listed))
    explained = [
        f"{key}: write {' or '.join(dict.fromkeys(expected[key]))}, not {as_toml(inputs[key])}"
        if key in expected
        else key
        for key in explained
    ]
    more = [f"{len(explained) - _MOST_PROBLEMS} more"] if len(explained) > _MOST_PROBLEMS else []
    return "; ".join(explained[:_MOST_PROBLEMS] + more)


def _explain(problem: Any, key: str, model: type[BaseModel], listed: set[tuple[Any, ...]]) -> str:
    """Format one problem as `key: message`; ``listed`` are the tables whose keys are listed in an earlier message."""
    location, kind = problem["loc"], problem["type"]
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = list(known_keys(location[:-1], model))
        message = f"unknown key{closest(str(location[-1])[:_LONGEST_KEY], known)}"
        if location[:-1] not in listed:
            message += f" (known are {', '.join(known)})"
            listed.add(location[:-1])
    elif kind == "missing":
        field = field_at(location, model)
        is_table = len(location) == 1 and field is not None and any(models(field.annotation))
        message = f"missing; add the table {table_header(key, field)}" if is_table else "missing"
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
