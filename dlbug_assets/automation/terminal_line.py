"""A line on a terminal that can be drawn again."""

import os
from collections.abc import Mapping

#: Carriage return, then the control sequence that erases the rest of the line.
ERASE_LINE = "\r\x1b[K"


def can_redraw(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Return whether a file descriptor is a terminal on which a line can be drawn again."""
    return os.isatty(descriptor) and environ.get("TERM", "dumb") != "dumb"
