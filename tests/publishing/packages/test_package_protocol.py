"""The replication package from small tables: its protocol, paths on this machine, and texts that look like formulas."""

import csv
import io
import json
import re
import tomllib
from hashlib import sha256

import pytest
import yaml

from dlbug_assets.ingest.csv_cells import escape
from dlbug_assets.protocol.study import load_study, shipped_studies
from dlbug_assets.publishing.packages.package import Package
from dlbug_assets.warehouse.table_specs import load_specs

pytestmark = pytest.mark.slow


@pytest.fixture
def package(small_study, tmp_path):
    """Return a function that writes a study like `live` with replaced lines, and returns its database and package."""

    def write(*replaced):
        path = tmp_path / "own.toml"
        text = shipped_studies()["live"].read_text(encoding="utf-8").replace('name = "live"', 'name = "own"')
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        database = small_study(str(path))
        return database, Package(database.study, load_specs(study=database.study), database.query, tmp_path)

    return write


@pytest.fixture
def packed_study(tmp_path):
    """Return a function that loads the study of a package from files alone."""

    def load(database):
        packed = Package(database.study, load_specs(study=database.study), database.query, tmp_path / "home").files()
        for name, content in packed.items():
            if name.startswith("study/"):
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return load_study(tmp_path / "study"), packed

    return load


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("place", ["/home/jane/Posts.xml", "s3a://janes-bucket/Posts.xml"])
def test_the_folder_or_bucket_of_a_dump_is_left_out(package, place):
    _, packed = package(('posts = "api"', f'posts = "dump"\ndump_path = "{place}"'))
    files = packed.files()
    assert tomllib.loads(files["study/study.toml"].decode())["sources"]["dump_path"] == "Posts.xml"
    assert [name for name, content in files.items() if b"jane" in content] == []


def test_paths_of_this_machine_are_shortened_to_what_distinguishes_them(package, tmp_path):
    listed = ["/home/jane/a/net", "/home/jane/b/net.git", "file:///home/jane/other", "owner/name"]
    database, packed = package(
        ('repositories = "topic:keras"', f"repositories = {listed}"), ('commits = "api"', 'commits = "clone"')
    )
    names = ["/home/jane/a/net", "/home/jane/b/net", "/home/jane/other", "owner/name"]
    reasons = [
        f"its clone is damaged: delete {tmp_path}/own/landing/clones/1.git, and it is fetched again",
        "fatal: '/home/jane/b/net.git' does not appear to be a git repository",
        f"unable to access https://example.org{tmp_path}/1.git",
        None,
    ]
    for name, reason in zip(names, reasons, strict=True):
        database.put("github.repositories", {"library": "Keras", "full_name": name, "unread_reason": reason})
    files = packed.files()
    protocol = tomllib.loads(files["study/study.toml"].decode())
    keras = next(library for library in protocol["libraries"] if library["name"] == "Keras")
    assert keras["repositories"] == ["./a/net", "./b/net.git", "./other", "owner/name"]
    found = {row["full_name"]: row["unread_reason"] for row in rows(files["tables/github.repositories.csv"])}
    assert found == {
        "./a/net": "its clone is damaged: delete $DLBUG_HOME/own/landing/clones/1.git, and it is fetched again",
        "./b/net": "fatal: './b/net.git' does not appear to be a git repository",
        "./other": reasons[2],
        "owner/name": "",
    }
    assert [name for name, content in files.items() if b"jane" in content] == []


def test_no_text_in_a_table_is_a_formula_for_a_spreadsheet(package):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", "\n=x", "＝1", "'=1", "'", "it's", "a=b"]  # noqa: RUF001
    database, packed = package()
    for text in texts:
        database.put("github.repositories", {"library": "Keras", "full_name": text, "stars": -1})
    files = packed.files()
    cells = [(row["full_name"], row["stars"]) for row in rows(files["tables/github.repositories.csv"])]
    assert sorted(cells) == sorted((escape(text), "-1") for text in texts)
    # The README's recipe restores them.
    restore = re.search(r'replace\(r"(.*)", "", regex=True\)', files["README.md"].decode())
    assert restore
    assert sorted(re.sub(restore[1], "", cell) for cell, _ in cells) == sorted(texts)


@pytest.mark.parametrize("name", ["islam2019", "chaliasos2021", "drosos2024"])
def test_the_packaged_folder_of_a_shipped_study_is_that_study(packed_study, small_study, name):
    study, _ = packed_study(small_study(name))
    assert (study.name, study.hash) == (name, load_study(name).hash)


def test_a_shipped_study_with_numbered_raters_has_another_name_and_still_follows(packed_study, small_study):
    study, packed = packed_study(small_study("sample"))
    shipped = load_study("sample")
    assert (study.name, study.study.follows) == ("sample_package", "islam2019")
    assert (study.labeling.raters, study.labeling.adjudicator) == (("rater_1", "rater_2"), "adjudicator")
    assert [name for name in packed if name.startswith("study/")] == ["study/study.toml"]
    kept = {"dimensions", "libraries", "published", "selection", "sources"}
    assert study.model_dump(include=kept) == shipped.model_dump(include=kept)
    assert study.files.digest == shipped.files.digest


OWN = {
    "dimensions": '[[dimensions]]\nname = "fault"\nrequired = true\n[[dimensions]]\nname = "moon"\nmultiple = true\n'
    '[[dimensions]]\nname = "phase"\nrolls_up = "moon"\nbefore = "-"\n',
    "taxonomy": {"fault": ["Late", "Early"], "moon": ["new-dark", "full-bright"]},
}


def test_a_study_without_licence_citation_and_authors_invents_none(packed_study, own_study):
    study, packed = packed_study(own_study(**OWN))
    assert [name for name in packed if name.startswith("study/")] == ["study/study.toml", "study/taxonomy.csv"]
    # The file of the release is somewhere else, and whose it is, the package doesn't state.
    assert study.releases[0].path == str(packed_folder(study) / "bugs.csv")
    assert b"No licence was chosen for tables and report" in packed["README.md"]
    assert yaml.safe_load(packed["CITATION.cff"]).keys() == {
        "cff-version", "message", "type", "title", "version", "authors",
    }  # fmt: skip
    assert yaml.safe_load(packed["CITATION.cff"])["authors"] == [{"name": "The researchers of the study own"}]
    deposit = json.loads(packed[".zenodo.json"])
    assert deposit["license"] == "notspecified"
    assert not {"related_identifiers", "keywords"} & deposit.keys()
    assert not {"licenses", "sources", "keywords"} & json.loads(packed["datapackage.json"]).keys()
    assert [name for name, content in packed.items() if b"Islam" in content or b"10.1145" in content] == []


def test_files_that_the_study_reads_and_the_package_lacks_are_named_with_their_checksums(
    packed_study, own_study, tmp_path
):
    database = own_study(**OWN)
    _, packed = packed_study(database)
    readme = packed["README.md"].decode()
    assert "# runs the study, once the files below are in place" in readme
    assert "- `study/bugs.csv`\n" in readme
    (tmp_path / "own" / "bugs.csv").write_bytes(b"link\n")
    _, packed = packed_study(database)
    assert f"- `study/bugs.csv`, SHA-256 `{sha256(b'link' + bytes([10])).hexdigest()}`" in packed["README.md"].decode()


def packed_folder(study):
    return study.files.taxonomy.parent


def test_licence_citation_keywords_and_authors_are_those_of_the_study(packed_study, own_study):
    identity = """
licence = "CC-BY-4.0"
keywords = ["tides"]
authors = [{given = "Ada", family = "Doe", orcid = "0000-0002-1825-0097"}]
cites = [{text = "Roe: On tides (2020)", doi = "10.1000/tides"}]
"""
    _, packed = packed_study(own_study(**OWN, identity=identity))
    cited = yaml.safe_load(packed["CITATION.cff"])
    assert (cited["license"], cited["keywords"]) == ("CC-BY-4.0", ["tides"])
    assert cited["authors"] == [
        {"family-names": "Doe", "given-names": "Ada", "orcid": "https://orcid.org/0000-0002-1825-0097"}
    ]
    assert cited["references"] == [
        {"type": "generic", "title": "On tides (2020)", "authors": [{"name": "Roe"}], "doi": "10.1000/tides"}
    ]
    deposit = json.loads(packed[".zenodo.json"])
    assert deposit["creators"] == [{"name": "Doe, Ada", "orcid": "0000-0002-1825-0097"}]
    assert (deposit["license"], deposit["keywords"]) == ("cc-by-4.0", ["tides"])
    assert deposit["related_identifiers"][0]["identifier"] == "10.1000/tides"
    assert json.loads(packed["datapackage.json"])["licenses"] == [{"name": "CC-BY-4.0"}]
    readme = packed["README.md"].decode()
    assert "Tables and report: CC-BY-4.0." in readme
    assert "Based on: Roe: On tides (2020) ([doi 10.1000/tides](https://doi.org/10.1000/tides))." in readme


def test_the_models_and_tables_of_a_package_are_those_of_the_study(packed_study, own_study):
    database = own_study(**OWN)
    _, packed = packed_study(database)
    assert "sql/analysis/crosstab.sql" in packed
    assert "sql/macros/share.sql" in packed
    assert "sql/analysis/root_cause_by_bug_type.sql" not in packed
    assert {"tables/analysis.moon_distribution.csv", "tables/analysis.phase_distribution.csv"} <= packed.keys()
