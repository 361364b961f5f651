"""Read small text files that people write, which may turn out to be anything else."""

import os
import stat
from pathlib import Path

from dlbug_assets.errors import DlbugError

#: Bytes of a file.
LARGEST = 1 << 20


def read_text_file(path: Path, advice: str) -> str:
    """Return the text of a regular file of at most 1 MiB in UTF-8, without its byte order mark, if it has one.

    Raises FileNotFoundError and NotADirectoryError, and :class:`DlbugError` for anything else that cannot be read. The
    message names the path and ends with ``advice``, except where other permissions or saving in UTF-8 are what helps.
    """
    try:
        # Without waiting, as opening a named pipe would.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DlbugError(f"{path} is not a regular file; {advice}")
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except IsADirectoryError:
        raise DlbugError(f"{path} is a folder; {advice}") from None
    except PermissionError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}. Make the file and its folder readable.") from None
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}; {advice}") from None
    if len(content) > LARGEST:
        raise DlbugError(f"{path} is larger than {LARGEST >> 20} MiB; {advice}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DlbugError(f"{path}, line {line}: not valid UTF-8 ({error.reason}); save it as UTF-8") from None
    if "\0" in text:  # as in UTF-16
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DlbugError(f"{path}, line {line}: not valid UTF-8 (a null character); save it as UTF-8")
    return text
