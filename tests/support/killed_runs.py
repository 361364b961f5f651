"""Run the dlbug command in a process that kills itself (SIGKILL) before or after a call of a function.

Example: `PYTHONPATH=tests python -m support.killed_runs landed 3 run --study live`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dlbug_assets.cli.main import main
from dlbug_assets.github.clones.git import Clone
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.warehouse.database import Warehouse
from support.commands import environment

#: Name -> class and method, and whether the process is killed before or after the call.
POINTS = {
    "received": (Collection, "land", True),
    "fetched": (Clone, "fetch", False),
    "landed": (Collection, "land", False),
    "moved": (Collection, "finish", False),
    "loaded": (Warehouse, "replace_part", False),
}


def is_killed(point: str, call: int, home: Path, *arguments: str, **more: str) -> bool:
    """Run the command up to the ``call``-th call at a point; return whether it was killed there."""
    done = subprocess.run(
        [sys.executable, "-m", "support.killed_runs", point, str(call), *arguments],
        env=environment(home, PYTHONPATH=str(Path(__file__).parent.parent), **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode == -signal.SIGKILL


def _kill_at(point: str, call: int) -> None:
    owner, name, is_before = POINTS[point]
    original, calls = getattr(owner, name), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


if __name__ == "__main__":
    _kill_at(sys.argv[1], int(sys.argv[2]))
    sys.argv[1:3] = []
    main()
