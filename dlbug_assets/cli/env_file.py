"""Variables from the file .env in the current folder."""

from collections.abc import MutableMapping
from io import StringIO

from dotenv import dotenv_values

from dlbug_assets.layout import ENV_FILE
from dlbug_assets.protocol.files.text import read_text_file

#: The variables that the file may set, which docs/operator.md describes. Any other could make Python or git run code.
VARIABLES = (
    "DLBUG_STUDY",
    "DLBUG_HOME",
    "DLBUG_ARTIFACT",
    "DLBUG_RELEASES",
    "DLBUG_STACKEXCHANGE_URL",
    "DLBUG_GITHUB_URL",
    "DLBUG_GITHUB_CLONES",
    "DLBUG_SPARK",
    "DLBUG_UI_TOKEN",
    "GITHUB_TOKEN",
    "STACKEXCHANGE_KEY",
)


def load_env_file(environ: MutableMapping[str, str]) -> list[str]:
    """Set the variables of .env that ``environ`` does not have, and return the names of those that it may not set.

    Raises :class:`DlbugError` for a file that cannot be read, is larger than 1 MiB or is not a regular file.
    """
    advice = "delete it, or write a few variables as NAME=value into a file"
    try:
        text = read_text_file(ENV_FILE.resolve(), advice)
    except (FileNotFoundError, NotADirectoryError):
        return []
    given = dotenv_values(stream=StringIO(text), interpolate=False)
    for name, value in given.items():
        if name in VARIABLES and value is not None:
            environ.setdefault(name, value)
    return sorted(name for name in given if name not in VARIABLES)
