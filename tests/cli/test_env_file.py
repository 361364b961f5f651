"""Variables from .env: which are set, and which files are refused."""

import os

import pytest

from dlbug_assets.cli.env_file import VARIABLES, load_env_file
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import PROJECT


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def load(**environ):
    ignored = load_env_file(environ)
    return environ, ignored


def test_without_a_file_nothing_is_set(env_file):
    assert load(PATH="/bin") == ({"PATH": "/bin"}, [])


def test_only_documented_variables_are_set(env_file):
    env_file.write_text(
        "PYTHONPATH=/evil\nGITHUB_TOKEN=abc\nexport DLBUG_STUDY='live'\nLD_PRELOAD=x\n"
        "GIT_SSH_COMMAND=x\nDLBUG_OTHER=1\n"
    )
    environ, ignored = load()
    assert environ == {"GITHUB_TOKEN": "abc", "DLBUG_STUDY": "live"}
    assert ignored == ["DLBUG_OTHER", "GIT_SSH_COMMAND", "LD_PRELOAD", "PYTHONPATH"]


def test_the_environment_takes_precedence(env_file):
    env_file.write_text("GITHUB_TOKEN=file\nSTACKEXCHANGE_KEY=file\n")
    assert load(GITHUB_TOKEN="", STACKEXCHANGE_KEY="own") == ({"GITHUB_TOKEN": "", "STACKEXCHANGE_KEY": "own"}, [])


def test_values_refer_to_no_other_variable(env_file, monkeypatch):
    monkeypatch.setenv("SECRET", "secret")
    env_file.write_text("DLBUG_STACKEXCHANGE_URL=http://127.0.0.1/${SECRET}\n")
    assert load()[0] == {"DLBUG_STACKEXCHANGE_URL": "http://127.0.0.1/${SECRET}"}


def test_a_byte_order_mark_is_skipped(env_file):
    env_file.write_bytes(b"\xef\xbb\xbfGITHUB_TOKEN=abc\n")
    assert load() == ({"GITHUB_TOKEN": "abc"}, [])


@pytest.mark.timeout(10)
def test_a_named_pipe_is_refused_without_waiting_for_it(env_file):
    os.mkfifo(env_file)
    with pytest.raises(DlbugError, match=rf"^{env_file} is not a regular file; delete it, or write a few variables"):
        load()


def test_a_folder_is_refused(env_file):
    env_file.mkdir()
    with pytest.raises(DlbugError, match=rf"^{env_file} is a folder; delete it"):
        load()


def test_a_large_file_is_refused(env_file):
    env_file.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(DlbugError, match="is larger than 1 MiB"):
        load()


def test_the_operators_guide_has_every_variable():
    guide = (PROJECT / "docs" / "operator.md").read_text(encoding="utf-8")
    assert [name for name in VARIABLES if f"| `{name}` |" not in guide] == []
