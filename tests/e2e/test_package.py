"""The replication package, written by the dlbug command: complete, valid, reproducible, and without persons."""

import hashlib
import json
import shutil
import subprocess
import zipfile
from datetime import datetime

import duckdb
import polars as pl
import pytest
import yaml
from frictionless import Package

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.publishing.packages.package import LEFT_OUT_COLUMNS, LEFT_OUT_TABLES
from dlbug_assets.warehouse.table_specs import load_specs
from support.commands import command
from support.repositories import GitRepository

STUDY = """
[study]
name = "own"
title = "From this machine"
seed = 1
[selection]
created_until = 2017-12-31
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = {repositories}
[sources]
posts = "dump"
dump_path = "Posts.xml"
commits = "clone"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
"""
PEOPLE = (b"jane.doe@example.org", b"Jane Doe", b"rater_a", b"rater_b", b"supervisor")
AUTHORS = ("--author", "Doe, Jane", "--author", "Roe, Richard")


class Published:
    """A copy of the sample's published database, in a home of its own."""

    def __init__(self, home, root):
        self.home = Home(root, "sample")
        root.mkdir()
        shutil.copyfile(home.published, self.home.published)

    def alter(self, *statements):
        with duckdb.connect(str(self.home.published)) as connection:
            for statement in statements:
                connection.execute(statement)

    def package(self, *arguments):
        done = command(self.home.root, "package", *arguments)
        assert done.returncode == 0, done.stderr
        return self.home.package / "sample-replication"


@pytest.fixture(scope="module")
def packed(sample, tmp_path_factory):
    """Return the folder of the sample's package."""
    return Published(sample.home, tmp_path_factory.mktemp("packed") / "home").package(*AUTHORS)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_has_every_table_except_those_that_quote_people(packed):
    tables = {path.stem for path in (packed / "tables").iterdir()}
    assert tables == set(load_specs(study=load_study("sample"))) - set(LEFT_OUT_TABLES)
    for schema in ("stackoverflow", "github", "labeling"):
        for path in (packed / "tables").glob(f"{schema}.*.csv"):
            assert not set(pl.read_csv(path, n_rows=0).columns) & set(LEFT_OUT_COLUMNS)


def test_it_is_a_data_package_that_validates(packed, tmp_path):
    assert Package(str(packed / "datapackage.json")).validate().valid
    shutil.copytree(packed, tmp_path / "altered")
    path = tmp_path / "altered" / "tables" / "labeling.labels.csv"
    rows = pl.read_csv(path, infer_schema=False)
    rows.with_columns(bug_index=pl.lit("first")).write_csv(path)
    report = Package(str(tmp_path / "altered" / "datapackage.json")).validate()
    assert "type-error" in {error for _, error in report.flatten(["fieldName", "type"])}


def test_its_columns_are_described_as_in_the_database(packed):
    described = json.loads((packed / "datapackage.json").read_text(encoding="utf-8"))
    labels = next(resource for resource in described["resources"] if resource["name"] == "labeling.labels")
    fields = {field["name"]: field for field in labels["schema"]["fields"]}
    spec = load_specs(study=load_study("sample"))["labeling.labels"]
    assert labels["schema"]["primaryKey"] == list(spec.grain)
    assert {name: field["description"] for name, field in fields.items()} == {
        column.name: column.description for column in spec.columns
    }
    assert (fields["bug_index"]["type"], fields["created_at"]["type"]) == ("integer", "datetime")


def test_sha256sum_accepts_its_manifest(packed):
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "manifest-sha256.txt"],
        cwd=packed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == len(files(packed)) - 1


def test_the_archive_holds_the_same_files(packed):
    with zipfile.ZipFile(packed.parent / "sample-replication.zip") as archive:
        held = {entry.filename.removeprefix("sample-replication/"): archive.read(entry) for entry in archive.infolist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert held == files(packed)


def test_two_builds_are_identical(packed, sample, tmp_path):
    again = Published(sample.home, tmp_path / "home").package(*AUTHORS)
    assert files(again.parent) == files(packed.parent)


def test_it_identifies_nobody(sample, tmp_path):
    published = Published(sample.home, tmp_path / "home")
    person = "Jane Doe <jane.doe@example.org>"
    published.alter(
        f"update labeling.rater_labels set comment = '{person}', place = '{person}'",
        f"update github.fix_commits set message = '{person}', title = '{person}', author_hash = '{person}'",
        f"update github.sampled_commits set patch_excerpt = '{person}'",
        f"update labeling.items set title = '{person}', raters = ['rater_a', 'rater_b']",
        f"update stackoverflow.raw_posts set title = '{person}', body_html = '{person}'",
        "update labeling.labels set provenance = '5-rater_a.csv line 2, to jane.doe@example.org'",
    )
    folder = published.package()
    with zipfile.ZipFile(folder.parent / "sample-replication.zip") as archive:
        held = files(folder.parent) | {entry: archive.read(entry) for entry in archive.namelist()}
    for path, content in held.items():
        assert not [name for name in PEOPLE if name in content], path
    provenance = pl.read_csv(folder / "tables" / "labeling.labels.csv")["provenance"].unique().to_list()
    assert provenance == ["5-rater_1.csv line 2, to <e-mail>"]
    assert set(pl.read_csv(folder / "tables" / "labeling.items.csv")["raters"]) == {'["rater_1", "rater_2"]'}


def test_its_protocol_is_a_study_that_loads(packed):
    study, shipped = load_study(packed / "study"), load_study("sample")
    assert study.name == "sample_package"
    assert study.labeling.raters == ("rater_1", "rater_2")
    assert study.labeling.adjudicator == "adjudicator"
    kept = {"dimensions", "libraries", "published", "selection", "sources"}
    assert study.model_dump(include=kept) == shipped.model_dump(include=kept)


def test_it_has_citation_metadata(packed):
    cited = yaml.safe_load((packed / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["authors"] == [{"family-names": "Doe", "given-names": "Jane"},
                                {"family-names": "Roe", "given-names": "Richard"}]  # fmt: skip
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "dataset")
    assert "license" not in cited
    deposit = json.loads((packed / ".zenodo.json").read_text(encoding="utf-8"))
    assert deposit["creators"] == [{"name": "Doe, Jane"}, {"name": "Roe, Richard"}]
    assert deposit["related_identifiers"][0]["identifier"] == "10.1145/3338906.3338955"


def test_it_has_no_path_of_this_machine(tmp_path):
    folder = tmp_path / "Peculiar-Zebra"
    for name in ("one", "two"):
        GitRepository(folder / name).commit(f"fix {name}\n\nas in {folder}", {"code.py": f"{folder}\n"})
    posts = "".join(f'<row Id="{number}" PostTypeId="1" CreationDate="2017-05-04T03:02:01.000" Score="9" '
                    f'Tags="|keras|" Body="&lt;code&gt;x&lt;/code&gt;" />\n' for number in range(1, 5))  # fmt: skip
    (folder / "Posts.xml").write_text(f"<posts>\n{posts}</posts>\n", encoding="utf-8")
    study = STUDY.format(repositories=["./one", str(folder / "two"), f"{folder}/missing"])
    (folder / "own.toml").write_text(study, encoding="utf-8")
    arguments = ("--study", str(folder / "own.toml"))
    assert "1 of 3 repositories is unread" in command(folder / "home", "run", "--incomplete", *arguments).stderr
    done = command(folder / "home", "package", *arguments)
    assert done.returncode == 0, done.stderr
    packed = folder / "home" / "own" / "package"
    with zipfile.ZipFile(packed / "own-replication.zip") as archive:
        held = files(packed) | {entry: archive.read(entry) for entry in archive.namelist()}
    assert [path for path, content in held.items() if folder.name.encode() in content] == []
    rows = pl.read_csv(packed / "own-replication" / "tables" / "github.repositories.csv")
    assert dict(rows.select("full_name", "state").iter_rows()) == {"./missing": "unread", "./one": "ok", "./two": "ok"}


def test_times_are_utc_and_lists_are_json(packed):
    posts = pl.read_csv(packed / "tables" / "stackoverflow.raw_posts.csv", infer_schema=False)
    assert datetime.strptime(posts["created_at"][0], "%Y-%m-%dT%H:%M:%SZ")
    assert "caffe" in json.loads(posts["tags"][0])


def test_without_a_published_database_there_is_no_package(tmp_path):
    done = command(tmp_path / "home", "package")
    assert done.returncode == 1
    assert done.stderr.endswith("sample.duckdb does not exist yet. `dlbug run --study sample` creates it.\n")


def test_a_database_of_another_protocol_is_an_error(sample, tmp_path):
    published = Published(sample.home, tmp_path / "home")
    published.alter("update publishing.study_info set value = repeat('a', 64) where key = 'study_hash'")
    done = command(published.home.root, "package")
    assert done.returncode == 1
    now = load_study("sample").hash[:12]
    message = f"the published database was computed with protocol aaaaaaaaaaaa, the study now has {now}: run `dlbug run"
    assert message in done.stderr
    assert not published.home.package.exists()


def test_the_hash_of_each_table_is_that_of_its_file(packed):
    for resource in json.loads((packed / "datapackage.json").read_text(encoding="utf-8"))["resources"]:
        content = (packed / resource["path"]).read_bytes()
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert resource["bytes"] == len(content)
