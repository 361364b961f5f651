"""Variables from the file .env in the current folder."""

import os
import stat
from collections.abc import MutableMapping
from io import StringIO

from dotenv import dotenv_values

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import ENV_FILE

#: The variables that the file may set, which README.md describes. Any other could make Python or git run code.
VARIABLES = (
    "DLBUG_STUDY",
    "DLBUG_HOME",
    "DLBUG_ARTIFACT",
    "DLBUG_STACKEXCHANGE_URL",
    "DLBUG_GITHUB_URL",
    "DLBUG_GITHUB_CLONES",
    "DLBUG_SPARK",
    "DLBUG_UI_TOKEN",
    "GITHUB_TOKEN",
    "STACKEXCHANGE_KEY",
)
_LARGEST = 1 << 20


def load_env_file(environ: MutableMapping[str, str]) -> list[str]:
    """Set the variables of .env that ``environ`` does not have, and return the names of those that it may not set.

    Raises :class:`DlbugError` for a file that cannot be read, is larger than 1 MiB or is not a regular file.
    """
    path = ENV_FILE.resolve()
    try:
        # Without waiting, as opening a named pipe would.
        descriptor = os.open(ENV_FILE, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DlbugError(
                    f"{path} is not a regular file; delete it, or write variables as NAME=value into a file"
                )
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return []
    except IsADirectoryError:
        raise DlbugError(f"{path} is a folder; delete it, or write variables as NAME=value into a file") from None
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise DlbugError(f"{path} is larger than 1 MiB; it should only contain a few variables, as NAME=value")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 has null bytes
        raise DlbugError(f"{path} is not valid UTF-8; save it as UTF-8")
    given = dotenv_values(stream=StringIO(text), interpolate=False)
    for name, value in given.items():
        if name in VARIABLES and value is not None:
            environ.setdefault(name, value)
    return sorted(name for name in given if name not in VARIABLES)
