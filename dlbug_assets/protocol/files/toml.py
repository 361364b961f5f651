"""Read a TOML file: whatever it contains, what is wrong is reported with the file and the place."""

import re
import tomllib
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.files.text import read_text_file

# For a dotted key, tomllib takes the square of its length.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")
_LONG_NUMBER = re.compile(r"(?<![0-9_])[0-9_]{4301}")
_TABLE = re.compile(r"^[ \t]*\[+([^\[\]\n]+)\]", re.M)


def read_toml_file(path: Path, advice: str) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises FileNotFoundError and NotADirectoryError, and :class:`DlbugError` for what isn't valid TOML, for nesting and
    numbers that Python doesn't read, and as :func:`read_text_file` does, with ``advice``.
    """
    text = read_text_file(path, advice)
    if found := _LONG_KEY.search(text):
        raise DlbugError(f"{path}, line {_line(text, found.start())}: a key has more than 50 parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DlbugError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise DlbugError(f"{path}: arrays or tables are nested too deeply to be read") from None
    except ValueError as error:
        found = _LONG_NUMBER.search(text)
        if found is None:
            raise DlbugError(f"{path}: not valid TOML: {error}") from None
        raise DlbugError(
            f"{path}, line {_line(text, found.start())}: {_key(text, found.start())}: a number of more than 4300 digits"
        ) from None


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _key(text: str, position: int) -> str:
    """Return the key whose value is at a position."""
    table = [match.group(1).strip() for match in _TABLE.finditer(text, 0, position)][-1:]
    name = text[text.rfind("\n", 0, position) + 1 : position].partition("=")[0].strip()
    return ".".join([*table, name[:80]])
