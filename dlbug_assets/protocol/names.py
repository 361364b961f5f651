"""Rules for names and other texts of a study, of which some name files."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Names of devices on Windows, whatever their case: a file or folder with such a name cannot be unpacked there.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MOST_SHOWN, _MOST_FOUND = 80, 30


def person_name(name: str) -> str:
    """Return the name of a rater or adjudicator; raise ValueError if it cannot name files."""
    if not re.fullmatch(r"[A-Za-z0-9_]{1,40}", name):
        raise ValueError(f"{shown(name)}: use up to 40 letters, digits and _ (it names files)")
    return without_devices(name)


def without_devices(name: str) -> str:
    """Return a name; raise ValueError for that of a device on Windows."""
    if name.lower() in _DEVICES:
        raise ValueError(f"{name!r} is the name of a device on Windows, but it names files: use another one")
    return name


def without_control_characters(text: str) -> str:
    """Return a text; raise ValueError if it has control characters other than tabs and line feeds."""
    if found := _CONTROL.search(text):
        raise ValueError(f"contains the control character U+{ord(found.group()):04X}: remove it")
    return text


def require_more_than_case(names: Iterable[str]) -> None:
    """Raise ValueError if names differ only in case: they name files, and some disks ignore case."""
    known: dict[str, str] = {}
    for name in names:
        if (other := known.setdefault(name.casefold(), name)) != name:
            raise ValueError(f"{other!r} and {name!r} differ only in case, but they name files: use different names")


def slug(name: str) -> str:
    """Return a name as part of the names of columns: `Stack Overflow` as `stack_overflow`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def require_columns(sources: Iterable[str]) -> None:
    """Raise ValueError if sources cannot be told apart in the names of columns, or one has the name of all of them."""
    known: dict[str, str] = {}
    for name in sources:
        column = slug(name)
        if not column:
            raise ValueError(f"sources: {shown(name)}: use letters from a to z or digits (it names columns)")
        if column == "both":
            raise ValueError(f"sources: {shown(name)} means all sources together: use another name")
        if (other := known.setdefault(column, name)) != name:
            raise ValueError(
                f"sources: {shown(other)} and {shown(name)} differ in no letter or digit, but they name columns "
                f"(both {column!r}): use different names"
            )


def plural(noun: str) -> str:
    """Return the plural of an English noun with a regular one."""
    if re.search(r"(?i)[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(?i)(s|x|z|ch|sh)$", noun) else f"{noun}s"


def counted(number: int, noun: str) -> str:
    """Return a number with a noun that agrees with it: `1 row`, `2 rows`, `1,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def in_sentence(name: str) -> str:
    """Return a title as it is written within a sentence: with a small letter, except for abbreviations and names."""
    first = name.split(maxsplit=1)[0] if name.strip() else name
    return name if re.search(r"[A-Z0-9]", first[1:]) else name[:1].lower() + name[1:]


def shown(value: Any, most: int = _MOST_SHOWN) -> str:
    """Return a value as messages show it: its beginning, of up to ``most`` characters, as in Python."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python prints
        return "such a large number"
    return text if len(text) <= most else f"{text[:most]}.."


def closest(written: str, known: Iterable[str]) -> str:
    """Return a question that suggests the known name that is most similar to what was written, or an empty text."""
    by_folded = {name.casefold(): name for name in known}
    similar = difflib.get_close_matches(written.casefold(), by_folded, n=1)
    return f" (did you mean {by_folded[similar[0]]!r}?)" if similar else ""


def listed_names(names: Sequence[str]) -> str:
    """Return the names that there are, for a message about one that isn't there."""
    more = f" and {len(names) - _MOST_FOUND} more" if len(names) > _MOST_FOUND else ""
    return f"Found: {', '.join(map(shown, names[:_MOST_FOUND])) or 'nothing'}{more}"
