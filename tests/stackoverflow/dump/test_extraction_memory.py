"""The peak memory of extracting from a large dump."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.dumps import HEAD, answer, question

EXTRACT_AND_PRINT_PEAK = """
import sys
from pathlib import Path
from dlbug_assets.stackoverflow.dump import extraction

path, folder = map(Path, sys.argv[1:])
reading = extraction.extract(
    path, {"Keras": ["keras"]}, {"Keras": folder}, min_score=6, created_from=None, created_until=None
)
status = Path("/proc/self/status").read_text()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(reading.questions["Keras"], reading.answers["Keras"], peak.split()[1])
"""


def peak_memory(path: Path) -> tuple[int, int, int]:
    """Return questions, answers and the peak memory in MiB of a process that extracts from a dump.

    The peak is the kernel's VmHWM, because ru_maxrss of getrusage is at least that of the process that started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux has a process's peak memory in /proc")
    folder = path.parent / "Keras"
    folder.mkdir()
    command = [sys.executable, "-c", EXTRACT_AND_PRINT_PEAK, str(path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    questions, answers, peak = map(int, done.stdout.split())
    return questions, answers, peak // 1024


@pytest.mark.slow
@pytest.mark.parametrize("body", ["x" * 1800, "😀" + "x" * 1800], ids=["narrow", "wide"])
def test_memory_stays_small_for_a_large_file(tmp_path, body):
    """Extract from 150 MB: a third is selected questions, a third their answers, a third other questions."""
    path, count = tmp_path / "Posts.xml", 26_500
    templates = [
        question(1000, Body=body).replace("1000", "%(id)d"),
        answer(1000, 2000, Body=body).replace("1000", "%(id)d").replace("2000", "%(parent)d"),
        question(1000, "python", Body=body).replace("1000", "%(id)d"),
    ]
    with path.open("w") as file:
        file.write(HEAD)
        for kind, template in enumerate(templates):
            file.writelines(template % {"id": kind * count + number, "parent": number} for number in range(count))
        file.write("</posts>")
    assert path.stat().st_size > 150_000_000
    questions, answers, peak = peak_memory(path)
    assert (questions, answers) == (count, count)
    assert peak < 300


@pytest.mark.slow
def test_memory_stays_small_for_a_long_row(tmp_path):
    path = tmp_path / "Posts.xml"
    path.write_text(HEAD + question(1) + '<row Id="2" Body="' + "x" * 150_000_000 + '" />' + question(3) + "</posts>")
    questions, _, peak = peak_memory(path)
    assert questions == 2
    assert peak < 200
