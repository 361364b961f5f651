"""`dlbug verify`: a package is recomputed, and what was changed in it is found, whatever its checksums say."""

import hashlib
import shutil
import zipfile

import pytest

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.packages.package import MANIFEST, Package
from dlbug_assets.publishing.packages.verification import changed_study_files, compare, read_package
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
        (replaced("publishing.study_info", b"\n", b"\ndagster-postgres_version,0.1\n"), []),
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
    ids=[
        "nothing",
        "key",
        "cell",
        "version of a package",
        "row",
        "table",
        "another table",
        "another version's columns",
    ],
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


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a home with a study of its own, whose labels are in a file, and its package."""
    folder = tmp_path_factory.mktemp("own")
    labels = [f"https://stackoverflow.com/questions/{1000 + row},{'AB'[row % 2]},{'XYZ'[row % 3]}" for row in range(30)]
    (folder / "bugs.csv").write_text("\n".join(["link,library,symptom", *labels, ""]), encoding="utf-8")
    for arguments in (
        ("new", "mine", "--from", "bugs.csv"),
        ("run", "--study", "mine"),
        ("package", "--study", "mine"),
    ):
        done = command(folder / "home", *arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def package_of_own(own, tmp_path):
    """Return the archive of that study's package, and a folder with what is in it."""
    archive = Home(own / "home", "mine").package / "mine-replication.zip"
    shutil.unpack_archive(archive, tmp_path)
    return archive, tmp_path / "mine-replication"


def test_a_package_is_recomputed_with_a_file_that_it_may_not_contain(own, package_of_own, tmp_path):
    archive, folder = package_of_own
    done = command(tmp_path / "home", "verify", str(archive))
    assert done.returncode == 1
    assert "cannot be recomputed without study/bugs.csv, which it may not contain" in done.stderr
    shutil.copyfile(own / "bugs.csv", folder / "study" / "bugs.csv")
    done = command(tmp_path / "home", "verify", ".", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" tables equal")
    assert command(tmp_path / "home", "run", "--study", ".", cwd=folder).returncode == 0
    (folder / "study" / "mappings.csv").write_text("another\n", encoding="utf-8")
    done = command(tmp_path / "home", "verify", ".", cwd=folder)
    assert "study/mappings.csv is not in manifest-sha256.txt: it does not belong to the package" in done.stderr


def test_the_study_of_a_zip_replaces_no_other_study_and_no_file_that_was_put_beside_it(own, package_of_own, tmp_path):
    archive, _ = package_of_own
    reference = ("--select", "group:reference")
    done = command(own / "home", "run", "--study", str(archive), *reference)
    assert done.returncode == 1
    assert f"this home has another study 'mine', in {own / 'mine'}: set DLBUG_HOME to another folder" in done.stderr
    home = Home(tmp_path / "home", "mine")
    assert command(home.root, "run", "--study", str(archive), *reference).returncode == 0
    (home.packaged_study / "bugs.csv").write_text("mine", encoding="utf-8")
    assert command(home.root, "run", "--study", str(archive), *reference).returncode == 0
    assert (home.packaged_study / "bugs.csv").read_text(encoding="utf-8") == "mine"
    (home.packaged_study / "taxonomy.csv").write_text("changed", encoding="utf-8")
    done = command(home.root, "run", "--study", str(archive), *reference)
    assert f"this home has another study 'mine', in {home.packaged_study}" in done.stderr
    assert (home.packaged_study / "taxonomy.csv").read_text(encoding="utf-8") == "changed"


def repacked(packed, path, change):
    """Write a package with changed files, which its checksums match, and return its path."""
    files = read_package(packed)
    change(files)
    del files[MANIFEST]
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {MANIFEST: "".join(lines).encode()}).items():
            archive.writestr(f"bugs/{name}", content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("study/study.toml"), "bugs.zip has no study/study.toml: it is not a replication pack"),
        (
            lambda files: files.update({"study/study.toml": files["study/study.toml"] + b"[newer]\n"}),
            "bugs.zip/study/study.toml: newer: unknown key",
        ),
        (lambda files: files.update({f"study/{'x' * 300}": b""}), "bugs.zip/study: File name too long"),
    ],
    ids=["missing", "another version's", "long name"],
)
def test_a_study_that_cannot_be_read_is_named_by_its_path_in_the_package(packed, tmp_path, change, message):
    path = repacked(packed, tmp_path / "bugs.zip", change)
    done = command(tmp_path / "home", "run", "--study", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert list(Home(tmp_path / "home", "").root.glob("*/packaged_study")) == []


def test_a_changed_file_of_the_study_is_found(sample, packed, tmp_path):
    path = repacked(packed, tmp_path / "bugs.zip", lambda files: files.update({"study/claims.toml": b""}))
    study = load_study("sample")
    with published_query(sample.home) as query:
        recomputed = Package(study, load_specs(study=study), query, sample.home.root)
        assert changed_study_files(read_package(packed), recomputed) == []
        assert changed_study_files(read_package(path), recomputed) == ["study/claims.toml"]


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
