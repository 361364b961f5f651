"""The command line: each error is one message that names the cause and the fix."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlbug_assets.cli.runs import contiguous_ranges
from dlbug_assets.layout import PROJECT, STUDIES
from support.commands import DLBUG, NEXT, command, environment
from support.small_disks import mount, unmount


def only_message(result) -> str:
    """Return the message of a failed command, which has no traceback."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr


def test_studies_lists_the_shipped_studies(dlbug):
    result = dlbug("studies")
    assert result.returncode == 0
    assert re.findall(r"^(\w+): .", result.stdout, flags=re.M) == [
        "chaliasos2021",
        "drosos2024",
        "islam2019",
        "live",
        "modern",
        "sample",
    ]
    assert result.stdout.endswith(
        "sample: Synthetic sample study\n"
        "    Library: Caffe, Keras, Tensorflow, Theano, Torch\n"
        "    Dimensions: Bug type, Root cause, Effect, Stage, Antipattern\n"
        "    Sources: Stack Overflow, GitHub (posts: sample, commits: sample, labels: sample)\n"
        "    Needs: nothing\n"
    )


def test_the_schema_of_a_study_is_json(dlbug):
    assert json.loads(dlbug("schema", "study").stdout)["required"] == ["study", "libraries", "sources"]


def test_doctor_reports_what_works_and_what_is_optional(dlbug):
    result = dlbug("doctor")
    assert result.returncode == 0
    lines = dict(line[6:].split(": ", 1) for line in result.stdout.splitlines())
    assert lines["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert lines["lease"] == "no run is writing the study sample"
    assert lines["GITHUB_TOKEN"].startswith("not set: ")


def test_doctor_reports_the_next_tick_of_each_schedule(dlbug):
    assert "ok    schedules: none: no source of sample changes over time" in dlbug("doctor").stdout
    report = dlbug("doctor", "--study", "live").stdout
    assert re.search(r"note  schedule: refresh: off; it would run at \d{4}-\d\d-\d\d 03:00 UTC\. Start it in", report)
    assert re.search(r"note  schedule: sweep: off; it would run at \d{4}-\d\d-\d\d 04:00 UTC\.", report)


def test_doctor_fails_with_the_fix(dlbug):
    result = dlbug("doctor", DLBUG_SPARK="local[2]", PATH="/nowhere", JAVA_HOME="/nowhere")
    fix = "install Java 17 or newer, or unset DLBUG_SPARK."
    assert f"FAIL  Java: not found, but DLBUG_SPARK is set: {fix}" in result.stdout
    summary = "1 check failed; fix it first" if find_spec("pyspark") else "2 checks failed; fix them first"
    assert only_message(result) == f"error: {summary}\n"


def test_tokens_are_read_from_a_file_that_only_its_owner_should_be_able_to_read(tmp_path):
    (tmp_path / ".env").write_text("GITHUB_TOKEN=planted-secret\nSTACKEXCHANGE_KEY=planted-secret\n")
    (tmp_path / ".env").chmod(0o644)
    result = command(tmp_path / "home", "doctor", cwd=tmp_path, STACKEXCHANGE_KEY="")
    lines = dict(line[6:].split(": ", 1) for line in result.stdout.splitlines())
    assert [lines[".env"], lines["GITHUB_TOKEN"]] == [
        f"others on this machine can read its tokens: chmod 600 {tmp_path / '.env'}",
        "set",
    ]
    # The environment takes precedence, even if the variable is empty.
    assert lines["STACKEXCHANGE_KEY"].startswith("not set: ")
    assert "planted-secret" not in result.stdout + result.stderr
    (tmp_path / ".env").chmod(0o600)
    assert "chmod" not in command(tmp_path / "home", "doctor", cwd=tmp_path).stdout


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le"])
def test_a_token_file_in_another_encoding_is_one_message(tmp_path, encoding):
    (tmp_path / ".env").write_text("# Schlüssel\nGITHUB_TOKEN=planted-secret\n", encoding=encoding)
    result = command(tmp_path / "home", "studies", cwd=tmp_path)
    where = re.escape(f"error: {tmp_path / '.env'}, line 1: ")
    assert re.fullmatch(rf"{where}not valid UTF-8 \([a-z ]+\); save it as UTF-8\n", only_message(result))


def test_doctor_never_prints_a_token(dlbug):
    result = dlbug("doctor", **dict.fromkeys(("GITHUB_TOKEN", "STACKEXCHANGE_KEY"), "planted-secret"))
    assert result.stdout.count(": set\n") == 2
    assert "planted-secret" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--study", "nope"), "error: unknown study 'nope': it is neither a folder with a study.toml, nor"),
        (("new", "Mine"), "error: 'Mine' cannot be the name of a study: use a small letter, then up to 39 small"),
        (("run", "--libraries", "Keras,Chainer"), "error: unknown library 'Chainer': this study has Caffe, Keras,"),
        (("run", "--select", "group:nope"), "error: --select 'group:nope' selects nothing"),
        (("run", "--select", "group:("), "error: --select 'group:(': "),
        (("sql", "select 1"), "sample.duckdb does not exist yet. `dlbug run --study sample` creates it."),
        (("sql", "select 1", "--format", "parquet"), "error: parquet is binary: name a file with --output FILE"),
    ],
)
def test_invalid_arguments_are_one_message(dlbug, arguments, expected):
    assert expected in only_message(dlbug(*arguments))


def test_an_unknown_key_of_a_study_is_one_message(dlbug, tmp_path):
    study = tmp_path / "mine.toml"
    text = (STUDIES / "sample" / "study.toml").read_text(encoding="utf-8")
    study.write_text(text.replace("seed = 2019", "seed = 2019\nsead = 1"), encoding="utf-8")
    known = "name, title, seed, group, follows, cites, licence, keywords, authors"
    assert only_message(dlbug("run", "--study", str(study))) == (
        f"error: {study}: study.sead: unknown key (did you mean 'seed'?) (known are {known})\n"
    )


def test_an_unreachable_service_is_one_message(dlbug):
    message = only_message(dlbug("run", "--study", "live", "--select", "+group:github"))
    assert (
        "error: github.landing: Caffe, Keras, Tensorflow, Theano, Torch: http://127.0.0.1:9: the request for" in message
    )
    assert "failed 4 times, the last time with: no whole reply (ConnectionError). Is there a network?" in message
    assert message.endswith("error: 1 of the run's steps failed. Nothing was published." + NEXT)


def test_a_home_that_is_a_file_is_one_message(dlbug, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for arguments in (("run",), ("sql", "select 1"), ("package",), ("labels", "status")):
        assert only_message(dlbug(*arguments, home=tmp_path / "file")) == (
            f"error: cannot open the folder {tmp_path}/file: Not a directory. Make it a folder that you can read and "
            "enter (chmod u+rwx), or set DLBUG_HOME to another folder.\n"
        )


@pytest.fixture
def disk(tmp_path):
    """Yield the mount point of a small file system, for DLBUG_HOME."""
    mount(tmp_path / "disk", "size=200m")
    yield tmp_path / "disk"
    unmount(tmp_path / "disk")


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_that_cannot_be_written_is_one_message_and_keeps_the_publication(dlbug, disk, state):
    assert dlbug("run", "--select", "group:reference", home=disk).returncode == 0
    before = (disk / "sample.duckdb").read_bytes()
    if state == "full":
        mount(disk, f"remount,size={shutil.disk_usage(disk).used // 1024 + 64}k")
        expected = f"error: cannot write the history of runs in {disk}/sample/dagster_home: "
    else:
        mount(disk, "remount,ro")
        expected = f"error: cannot write {disk}/sample/dagster_home: Read-only file system. Make the folder writable"
    message = only_message(dlbug("run", home=disk))
    assert expected in message
    assert "free" in message.lower()
    assert (disk / "sample.duckdb").read_bytes() == before


def test_a_missing_release_is_one_message_with_its_address(dlbug, tmp_path):
    message = only_message(dlbug("run", "--study", "islam2019", DLBUG_ARTIFACT=str(tmp_path / "nope.zip")))
    steps = r"(stackoverflow.landing, github.landing|github.landing, stackoverflow.landing)"
    assert re.search(f"error: {steps}: DLBUG_ARTIFACT names ", message)
    assert message.count("https://lab-design.github.io/papers/ESEC-FSE-19/dataset.zip") == 1


def test_make_rejects_an_old_python(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "-f", PROJECT / "Makefile", "run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=PROJECT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode != 0
    assert "dlbug needs Python 3.11 or newer" in result.stderr
    assert "Python 3.9.2" in result.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit_file(tmp_path):
    text = (PROJECT / "deploy" / "dlbug.service").read_text(encoding="utf-8")
    unit = tmp_path / "dlbug.service"
    # The program has to exist; everything else is unchanged.
    unit.write_text(text.replace("/opt/dlbug/.venv/bin/dlbug", str(DLBUG)), encoding="utf-8")
    result = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "command",
    [
        ["dg", "check", "defs"],
        ["dg", "launch", "--assets", "key:reference/taxonomy"],
        ["dagster", "definitions", "validate", "-w", "workspace.yaml"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_dagsters_own_commands_work_from_the_checkout(command, tmp_path):
    program = Path(sys.executable).parent / command[0]
    (tmp_path / "dagster_home").mkdir()
    # As in an activated virtual environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        [program, *command[1:]],
        cwd=PROJECT,
        env=environment(tmp_path / "home", DAGSTER_HOME=str(tmp_path / "dagster_home"), PATH=path),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("wanted", "ranges"),
    [
        (["a", "b", "c", "d"], [("a", "d")]),
        (["b"], [("b", "b")]),
        (["d", "a"], [("a", "a"), ("d", "d")]),
        (["d", "a", "b"], [("a", "b"), ("d", "d")]),
    ],
)
def test_neighbouring_libraries_share_a_run(wanted, ranges):
    assert contiguous_ranges(["a", "b", "c", "d"], wanted) == ranges


@pytest.mark.parametrize(("own", "shown"), [("s3cret", r"\$DLBUG_UI_TOKEN"), ("", r"[\w-]{32}")])
def test_the_ui_prints_a_token_that_it_has_made_but_none_that_it_was_given(dlbug, own, shown):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = dlbug("ui", "--host", "0.0.0.0", "--port", str(port), DLBUG_UI_TOKEN=own)  # noqa: S104
    assert result.returncode == 1
    assert re.search(rf"http://0\.0\.0\.0:{port}/\?token={shown} \(", result.stderr)
    assert f"cannot listen on 0.0.0.0:{port}" in result.stderr
    assert "s3cret" not in result.stderr
