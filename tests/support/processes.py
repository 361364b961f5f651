"""Processes that a command started and that are still running."""

import os
import signal
from pathlib import Path


def in_session(session: int) -> list[str]:
    """Return the commands of the running processes in a session, which descendants belong to even as orphans."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session and (command := (path / "cmdline").read_bytes()):
                found.append(command.replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:  # it has just ended
            continue
    return found


def handles_signals(process: int) -> bool:
    """Return whether a process has installed a handler of SIGTERM."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
