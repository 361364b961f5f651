"""The next step after a command, as a command that works when it is copied."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def command(*arguments: str | Path) -> str:
    """Return a dlbug command for a shell in the current folder, with every argument quoted as needed."""
    return " ".join([executable(), *(shlex.quote(str(argument)) for argument in arguments)])


def executable() -> str:
    """Return how this program is called from the current folder: `dlbug`, or its path if PATH leads elsewhere."""
    own = Path(sys.executable).with_name("dlbug")
    if not own.is_file():
        return shutil.which("dlbug") or f"{shlex.quote(sys.executable)} -m dlbug_assets"
    found = shutil.which("dlbug")
    if found is not None and Path(found).samefile(own):
        return "dlbug"
    path = os.path.relpath(own)
    return shlex.quote(str(own) if path.startswith(os.pardir) else path)
