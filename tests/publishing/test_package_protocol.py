"""The replication package from small tables: its protocol, paths on this machine, and texts that look like formulas."""

import csv
import io
import re
import tomllib

import pytest

from dlbug_assets.ingest.csv_cells import escape
from dlbug_assets.protocol.study import shipped_studies
from dlbug_assets.publishing.package import Package
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


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("place", ["/home/jane/Posts.xml", "s3a://janes-bucket/Posts.xml"])
def test_the_folder_or_bucket_of_a_dump_is_left_out(package, place):
    _, packed = package(('posts = "api"', f'posts = "dump"\ndump_path = "{place}"'))
    files = packed.files()
    assert tomllib.loads(files["study.toml"].decode())["sources"]["dump_path"] == "Posts.xml"
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
    protocol = tomllib.loads(files["study.toml"].decode())
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
