"""The systemd unit and the container: how much of the machine they leave to the service."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from dlbug_assets.layout import PROJECT
from support.ui_server import serving

UNIT = PROJECT / "deploy" / "dlbug.service"
CONTAINERFILE = PROJECT / "deploy" / "Containerfile"
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


@pytest.fixture
def stages():
    """Return the instructions of each stage of the Containerfile, as pairs of name and arguments."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    starts = [number for number, (name, _) in enumerate(lines) if name == "FROM"]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def values(stage, name):
    return [arguments for instruction, arguments in stage if instruction == name]


def test_the_container_runs_as_a_user_with_one_volume(stages):
    final = stages[-1]
    assert values(final, "USER") == ["10001:10001"]
    assert values(final, "VOLUME") == values(final, "WORKDIR") == ["/data"]
    settings = dict(word.split("=", 1) for line in values(final, "ENV") for word in shlex.split(line))
    # Nothing is written outside of the volume.
    assert {settings[name] for name in ("HOME", "TMPDIR", "DLBUG_HOME")} == {"/data"}
    assert json.loads(values(final, "ENTRYPOINT")[0]) == ["dlbug"]
    assert json.loads(values(final, "CMD")[0]) == ["ui", "--host", "0.0.0.0", "--port", "3000"]  # noqa: S104
    names = [name for name, _ in final]
    assert "RUN" not in names[names.index("USER") :]


def test_the_container_has_pinned_packages_and_files_of_the_project_only(stages):
    build, final = stages
    installed = [command for command in values(build, "RUN") if "pip install" in command]
    assert all("--require-hashes -r requirements.txt" in line or "--no-deps" in line for line in installed)
    sources = [source for arguments in values(build, "COPY") for source in arguments.split()[:-1]]
    assert "requirements.txt" in sources
    assert [source for source in sources if not (PROJECT / source).exists()] == []
    assert values(final, "COPY") == ["--from=build /opt/dlbug /opt/dlbug"]
    assert values(build, "ADD") + values(final, "ADD") == []
    assert re.findall(r"TOKEN=|KEY=|https?://(?!127\.0\.0\.1)", CONTAINERFILE.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_the_health_check_asks_the_ui_with_its_token(stages, tmp_path):
    (arguments,) = values(stages[-1], "HEALTHCHECK")
    program, *options = json.loads(arguments[arguments.index("[") :])
    assert program == "python"
    token = "0123456789abcdef"  # noqa: S105 - of the server below

    def check(given):
        environ = {"DLBUG_UI_TOKEN": given}
        return subprocess.run([sys.executable, *options], env=environ, capture_output=True, check=False, timeout=60)

    with serving(tmp_path, DLBUG_UI_TOKEN=token) as address:
        options = [option.replace("http://127.0.0.1:3000", address) for option in options]
        assert [check(given).returncode for given in (token, "another")] == [0, 1]
    assert check(token).returncode == 1
