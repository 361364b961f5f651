"""Folders that cannot be entered or read: one message that names the folder and the fix."""

import os
import shutil
import subprocess

import pytest

from support.commands import DLBUG, environment

#: Drops the capabilities by which root reads every folder.
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")

pytestmark = pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None,
    reason="root can read everything, and setpriv is not installed",
)


@pytest.fixture
def folder(tmp_path):
    """Yield a folder, and make its folders removable afterwards."""
    yield tmp_path
    for parent, folders, _ in os.walk(tmp_path):
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o700)  # noqa: PTH101, PTH118


def create(path):
    path.mkdir(parents=True)
    return path


def dlbug(folder, *arguments):
    """Run the command as a user to whom permissions apply."""
    return subprocess.run(
        [*(WITHOUT_PRIVILEGES if os.getuid() == 0 else ()), DLBUG, *arguments],
        env=environment(folder / "home"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def message_of(result):
    assert result.returncode == 1
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr


def cannot_open(path, alternative):
    return (
        f"cannot open the folder {path}: Permission denied. Make it a folder that you can read and enter "
        f"(chmod u+rwx), or {alternative}.\n"
    )


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100], ids=oct)
@pytest.mark.parametrize("arguments", [("run",), ("sql", "select 1"), ("labels", "status"), ("ui",)], ids=" ".join)
def test_an_unreadable_home(folder, mode, arguments):
    home = create(folder / "home")
    home.chmod(mode)
    expected = "error: " + cannot_open(home, "set DLBUG_HOME to another folder")
    assert message_of(dlbug(folder, *arguments)) == expected


def test_doctor_reports_an_unreadable_home(folder):
    create(folder / "home" / "sample").chmod(0o000)
    result = dlbug(folder, "doctor")
    expected = cannot_open(folder / "home" / "sample", "set DLBUG_HOME to another folder")
    assert result.stdout.splitlines(keepends=True)[-1] == f"FAIL  folder: {expected}"
    assert message_of(result) == "error: 1 check failed; fix it first\n"


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=oct)
def test_an_unreadable_folder_of_a_study(folder, mode):
    studies = create(folder / "studies")
    (studies / "mine.toml").touch()
    studies.chmod(mode)
    path = studies / "mine.toml"
    assert message_of(dlbug(folder, "run", "--study", str(path))) == (
        f"error: cannot read {path}: Permission denied. Make the file and its folder readable.\n"
    )


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100], ids=oct)
def test_an_unreadable_inbox(folder, mode):
    inbox = create(folder / "home" / "sample" / "labels" / "inbox")
    sheet = folder / "100-ann.csv"
    sheet.touch()
    inbox.chmod(mode)
    expected = "error: " + cannot_open(inbox, "move it away")
    assert message_of(dlbug(folder, "labels", "import", str(sheet))) == expected


def test_an_unreadable_inbox_during_a_run(folder):
    inbox = create(folder / "home" / "sample" / "labels" / "inbox")
    inbox.chmod(0o000)
    expected = cannot_open(inbox, "move it away and import the sheets again")
    assert expected in message_of(dlbug(folder, "run"))
