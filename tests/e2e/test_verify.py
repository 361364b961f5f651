"""`dlbug verify`: a package is recomputed, and what was changed in it is found, whatever its checksums say."""

import shutil

import pytest

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.packages.package import Package
from dlbug_assets.publishing.packages.verification import compare, read_package
from dlbug_assets.warehouse.published import published_query
from dlbug_assets.warehouse.table_specs import load_specs
from support.commands import command

STUDY = """
[study]
name = "own"
title = "From GitHub"
seed = 1
[[libraries]]
name = "Keras"
repositories = ["./keras"]
[sources]
commits = "clone"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
"""


@pytest.fixture(scope="module")
def packed(sample, tmp_path_factory):
    """Return the archive of the sample's package."""
    home = Home(tmp_path_factory.mktemp("packed"), "sample")
    shutil.copyfile(sample.home.published, home.published)
    done = command(home.root, "package")
    assert done.returncode == 0, done.stderr
    return home.package / "sample-replication.zip"


def test_every_table_of_the_samples_package_comes_out_again(packed, tmp_path):
    done = command(tmp_path / "home", "verify", str(packed))
    assert done.returncode == 0, done.stderr
    tables = len([name for name in read_package(packed) if name.startswith("tables/") and name.endswith(".csv")]) - 1
    assert "Not compared: analysis.claim_history, which earlier publications are part of" in done.stderr
    assert done.stdout.splitlines()[-1] == f"{tables} of {tables} tables equal"
    assert tables > 80
    assert not (tmp_path / "home" / "sample.duckdb").exists()


@pytest.fixture
def differences(sample, packed):
    """Return the messages about a package whose files were changed by a function."""

    def found(change):
        files = read_package(packed)
        change(files)
        study = load_study("sample")
        with published_query(sample.home) as query:
            recomputed = Package(study, load_specs(study=study), query, sample.home.root)
            return [message for _, message in compare(files, recomputed) if message]

    return found


def replaced(name, old, new):
    def change(files):
        content = files[f"tables/{name}.csv"]
        assert old in content
        files[f"tables/{name}.csv"] = content.replace(old, new, 1)

    return change


def without_last_row(files):
    name = "tables/reference.libraries.csv"
    files[name] = files[name][: files[name].rstrip().rindex(b"\n") + 1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda files: None, []),
        (
            replaced("reference.sources", b"GitHub", b"GitLab"),
            ["reference.sources: only the recomputed table has row source 'GitHub'"],
        ),
        (
            replaced("reference.dimensions", b"Bug type", b"Kind of bug"),
            ["reference.dimensions, row dimension 'bug_type', title: 'Kind of bug' in the package, 'Bug type' recom"],
        ),
        (without_last_row, ["reference.libraries: only the recomputed table has row library 'Torch'"]),
        (lambda files: files.pop("tables/analysis.claims.csv"), ["analysis.claims: the package lacks it"]),
        (
            lambda files: files.update({"tables/analysis.other.csv": b"x\n1\n"}),
            ["analysis.other: this version of dlbug does not have it"],
        ),
        (
            replaced("analysis.repeats", b"source", b"origin"),
            ["analysis.repeats: the package has the columns "],
        ),
    ],
    ids=["nothing", "key", "cell", "row", "table", "another table", "another version's columns"],
)
def test_the_first_difference_of_a_table_is_named(differences, change, expected):
    found = differences(change)
    assert [message[: len(start)] for message, start in zip(found, expected, strict=True)] == expected


def test_the_study_of_a_package_is_run_and_found_by_its_name_afterwards(packed, tmp_path):
    home = Home(tmp_path, "sample_package")
    arguments = ("--select", "group:reference")
    done = command(tmp_path, "run", "--study", str(packed), *arguments)
    assert done.returncode == 0, done.stderr
    assert load_study(home.packaged_study).name == "sample_package"
    assert command(tmp_path, "run", "--study", "sample_package", *arguments).returncode == 0
    raters = command(tmp_path, "sql", "select * from reference.study", "--study", "sample_package", "--format", "csv")
    assert "sample_package" in raters.stdout


def test_a_changed_package_is_refused_before_it_is_run(packed, tmp_path):
    (tmp_path / "bugs.zip").write_bytes(packed.read_bytes()[:-100])
    done = command(tmp_path / "home", "verify", str(tmp_path / "bugs.zip"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "bugs.zip cannot be read as a zip: " in done.stderr


def test_a_study_of_collected_commits_is_refused_with_the_reason(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "keras").mkdir()
    arguments = ("--study", str(tmp_path / "study.toml"))
    command(tmp_path / "home", "run", "--incomplete", *arguments)
    assert command(tmp_path / "home", "package", *arguments).returncode == 0
    done = command(tmp_path / "home", "verify", str(tmp_path / "home" / "own" / "package" / "own-replication.zip"))
    assert done.returncode == 1
    assert "its files match their checksums, but its tables cannot be recomputed from it" in done.stderr
