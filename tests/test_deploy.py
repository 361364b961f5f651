"""The systemd unit: how much of the machine it leaves to the service."""

import re
import shutil
import subprocess

import pytest

from dlbug_assets.layout import PROJECT

UNIT = PROJECT / "deploy" / "dlbug.service"
#: systemd calls an exposure below 3 (of 10) OK.
MOST_EXPOSURE = 3.0


@pytest.fixture
def systemd_analyze():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")

    def run(*arguments):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr

    return run


def test_the_unit_leaves_little_to_the_service(systemd_analyze):
    report = systemd_analyze("security", "--offline=true", "--no-pager", str(UNIT))
    exposure = re.search(r"Overall exposure level for dlbug.service: ([0-9.]+)", report)
    assert exposure, report
    assert float(exposure.group(1)) < MOST_EXPOSURE


def test_the_unit_has_no_unknown_setting(systemd_analyze):
    complaints = systemd_analyze("verify", "--no-pager", str(UNIT)).splitlines()
    assert [line for line in complaints if "/opt/dlbug/.venv/bin/dlbug is not executable" not in line] == []


def test_the_state_is_private_and_memory_is_bounded():
    settings = dict(line.split("=", 1) for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line)
    assert settings["StateDirectory"] == "dlbug"
    assert settings["StateDirectoryMode"] == "0700"
    assert settings["UMask"] == "0077"
    assert settings["MemoryMax"] == "8G"
