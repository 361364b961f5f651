"""The wheel, installed into a fresh environment and used in a folder that is not a checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dlbug_assets.code_identity import code_digest
from dlbug_assets.layout import PROJECT, Home
from support.commands import command, fingerprints
from support.ui_server import graphql, serving

WHEEL = f"dlbug-{version('dlbug')}-py3-none-any.whl"


def build(target, source, folder):
    """Build a wheel or sdist of a source folder into an empty folder, offline; return its path."""
    arguments = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder]
    subprocess.run(arguments, cwd=source, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", PROJECT, tmp_path_factory.mktemp("wheel"))


class Installed:
    """A virtual environment with the wheel, and an empty folder to run it in."""

    def __init__(self, wheel, root):
        self.folder = root / "folder"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
        self.python = root / "venv" / "bin" / "python"
        self.dlbug = self.python.with_name("dlbug")
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
        (self.packages,) = (root / "venv" / "lib").glob("python*/site-packages")
        # The dependencies are those of the tests, without the checkout: Python does not process .pth files there.
        (self.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        # Dependencies of only tests and executors cannot be imported.
        missing = "import sys; sys.modules |= dict.fromkeys(('pyarrow', 'statsmodels'))\n"
        (self.packages / "missing.pth").write_text(missing, encoding="utf-8")

    def run(self, *arguments):
        return command(None, *arguments, cwd=self.folder, program=self.dlbug)

    def evaluate(self, expression, module):
        code = f"import {module}; print({expression})"
        result = subprocess.run([self.python, "-c", code], cwd=self.folder, capture_output=True, text=True, check=True)
        return result.stdout.strip()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def home(installed):
    """Run the sample study without DLBUG_HOME; return its home."""
    done = installed.run("run")
    assert done.returncode == 0, done.stderr
    return Home(installed.folder / "warehouse", "sample")


def run(installed, *arguments):
    result = installed.run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_it_is_the_code_of_the_checkout_in_another_place(installed):
    package = Path(installed.evaluate("dlbug_assets.__file__", "dlbug_assets")).parent
    assert package == installed.packages / "dlbug_assets"
    module = "dlbug_assets.code_identity"
    assert installed.evaluate(f"{module}.code_digest()", module) == code_digest()
    assert installed.evaluate(f"{module}.code_commit()", module) == "None"
    assert run(installed, "--version") == f"dlbug, version {version('dlbug')}\n"


def test_the_sdist_builds_the_same_wheel(wheel, tmp_path):
    for name in ("sdist", "source", "wheel"):
        (tmp_path / name).mkdir()
    with tarfile.open(build("sdist", PROJECT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build("wheel", source, tmp_path / "wheel")
    assert again.name == wheel.name == WHEEL
    assert contents(again) == contents(wheel)


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sample_study_has_the_same_tables(home, sample):
    assert fingerprints(home) == fingerprints(sample.home)


def test_every_command_works(installed, home):
    assert run(installed, "studies") == command(None, "studies").stdout
    assert run(installed, "sql", "select 6 * 7 as answer", "--format", "csv") == "answer\n42\n"
    assert run(installed, "labels", "status").startswith(command(home.root, "labels", "status").stdout)
    assert run(installed, "labels", "export") == command(home.root, "labels", "export").stdout
    assert "FAIL" not in run(installed, "doctor")
    run(installed, "package")
    packed = home.package / "sample-replication"
    assert f"(code `{code_digest()}`)" in (packed / "README.md").read_text(encoding="utf-8")
    requirements = (packed / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"duckdb=={version('duckdb')}" in requirements
    assert (packed / "sql" / "analysis" / "label_counts.sql").is_file()


def test_the_ui_shows_the_study(installed, home):
    with serving(None, cwd=installed.folder, program=installed.dlbug) as address:
        nodes = graphql(address, "{ assetNodes { groupName } }")["assetNodes"]
    assert {node["groupName"] for node in nodes} >= {"reference", "labeling", "publishing"}


@pytest.mark.parametrize(
    "name",
    [
        "_project/dbt_like_sql/analysis/label_counts.sql",
        "_project/dbt_like_sql/labeling/schema.yml",
        "studies/islam2019/published/table1.csv",
        "_project/workspace.yaml",
        "publishing/templates/style.css",
        "studies/sample/study.toml",
        "cli/studies/template/study.toml",
        "warehouse/database.py",
    ],
)
def test_a_missing_file_is_the_same_message_of_every_command(installed, name, tmp_path):
    path = installed.packages / "dlbug_assets" / name
    path.rename(tmp_path / "elsewhere")
    try:
        results = [installed.run(*arguments) for arguments in (["doctor"], ["run"], ["sql", "select 1"], ["ui"])]
    finally:
        (tmp_path / "elsewhere").rename(path)
    repair = f"Install the wheel again: {installed.python} -m pip install --force-reinstall dlbug-*.whl"
    expected = (1, "", f"error: this installation lacks dlbug_assets/{name}. {repair}\n")
    assert [(result.returncode, result.stdout, result.stderr) for result in results] == [expected] * 4


@pytest.fixture
def outdated(wheel, tmp_path):
    """Return an installation with an old sqlglot that lacks everything that is imported from it."""
    installed = Installed(wheel, tmp_path)
    for name, content in (
        ("sqlglot/__init__.py", ""),
        ("sqlglot-20.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sqlglot\nVersion: 20.0\n"),
    ):
        path = installed.packages / name
        path.parent.mkdir()
        path.write_text(content, encoding="utf-8")
    return installed


def test_an_outdated_package_is_one_message(outdated):
    (needed,) = (found for found in map(Requirement, requires("dlbug") or []) if found.name == "sqlglot")
    problem = f"sqlglot is 20.0, but {needed.specifier} is required"
    result = outdated.run("run")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {problem} (")
    assert result.stderr.count("\n") == 1
    assert f"FAIL  packages: {problem}. Install the wheel again: " in outdated.run("doctor").stdout
