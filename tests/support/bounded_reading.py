"""Read received files in a process of its own with little memory."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlbug_assets
from dlbug_assets.labeling.sheets import submissions
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.filled_sheets import items_of

#: More than the process may take, but little enough for the machine.
_MOST_MEMORY = 2 << 30


def command(folder: Path, study: Study) -> list[str]:
    """Return the command that reads what was received in a folder."""
    (folder / "study.json").write_text(study.model_dump_json(exclude_unset=True), encoding="utf-8")
    path = [str(Path(__file__).parents[1]), str(Path(dlbug_assets.__file__).parents[1])]
    program = f"import sys; sys.path[:0] = {path}; from support.bounded_reading import main; main()"
    return [sys.executable, "-c", program, str(folder)]


def read_received(folder: Path, study: Study) -> dict[str, Any]:
    """Return labels (item, rater, line), rejected rows (file, line, reason), and the peak of memory in MiB."""
    done = subprocess.run(command(folder, study), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def _peak() -> int:
    """Return the peak of this process in MiB; that of getrusage begins with the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    folder = Path(sys.argv[1])
    study = Study.model_validate_json((folder / "study.json").read_text(encoding="utf-8"))
    read = submissions.read(folder / "received", items_of(5, study), study, load_taxonomy(load_study("islam2019")))
    result = {
        "labels": read.labels.select("item_id", "rater", "line").rows(),
        "rejected": read.rejected.select("file", "line", "reason").rows(),
        "peak": _peak(),
    }
    sys.stdout.write(json.dumps(result))
