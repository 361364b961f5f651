"""The identity of the code: digest, commit and installed packages."""

import subprocess
from importlib.metadata import version

import pytest

from dlbug_assets import code_identity


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Return the folder of a checkout with a package and its models."""
    for path in ("package/main.py", "models/labeling/items.sql"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(path, encoding="utf-8")
    for name, folder in (("CHECKOUT", ""), ("PROJECT", ""), ("PACKAGE", "package"), ("MODELS", "models")):
        monkeypatch.setattr(code_identity, name, tmp_path / folder)
    for name in ("GIT_DIR", "GIT_WORK_TREE"):  # as in a hook of another repository
        monkeypatch.setenv(name, "/nowhere")
    return tmp_path


def digest():
    return code_identity.code_digest.__wrapped__()


def commit():
    return code_identity.code_commit.__wrapped__()


def git(folder, *arguments):
    settings = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "git", "-C", folder, *settings, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_digest_depends_only_on_names_and_content_of_code_and_models(code):
    first = digest()
    for leftover in ("package/__pycache__/main.pyc", "package/.main.py.swp", "package/_project/items.sql", "README.md"):
        (code / leftover).parent.mkdir(exist_ok=True)
        (code / leftover).write_text("left behind", encoding="utf-8")
    assert digest() == first
    (code / "models" / "labeling" / "items.sql").write_text("changed", encoding="utf-8")
    changed = digest()
    assert changed != first
    (code / "models" / "labeling").rename(code / "models" / "analysis")
    assert digest() not in (first, changed)


def test_the_commit_is_marked_dirty_if_files_differ_from_it(code):
    assert commit() is None
    git(code, "init", "-q")
    assert commit() is None
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "First")
    head = git(code, "rev-parse", "HEAD")
    assert commit() == head
    (code / "package" / "new.py").touch()
    assert commit() == f"{head}-dirty"


def test_there_is_no_commit_without_git_or_inside_of_another_repository(code, monkeypatch):
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "First")
    monkeypatch.setattr(code_identity, "CHECKOUT", code / "package")
    assert commit() is None
    monkeypatch.setattr(code_identity, "CHECKOUT", code)
    monkeypatch.setenv("PATH", "/nowhere")
    assert commit() is None


def test_installed_packages_are_direct_and_indirect_dependencies():
    found = code_identity.installed_packages()
    assert list(found) == sorted(found)
    # pyyaml is required by dlbug, grpcio by dagster, and pytest by neither.
    assert found["pyyaml"] == version("PyYAML")
    assert found["grpcio"] == version("grpcio")
    assert not {"dlbug", "pytest"} & set(found)
