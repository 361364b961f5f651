"""Reading a replication package: what is not one, or was damaged, is refused by name."""

import hashlib
import stat
import zipfile

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.publishing.packages.verification import read_package, versions_that_differ

FILES = {"README.md": b"# Bugs\n", "tables/analysis.claims.csv": b"claim\nCrash\n"}


def manifest(files):
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


def zipped(path, files, folder="bugs/"):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name if isinstance(name, zipfile.ZipInfo) else f"{folder}{name}", content)
    return path


WHOLE = FILES | {"manifest-sha256.txt": manifest(FILES)}


def test_a_zip_and_its_folder_have_the_same_files(tmp_path):
    packed = zipped(tmp_path / "bugs.zip", WHOLE)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    assert read_package(packed) == read_package(tmp_path / "bugs") == WHOLE


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"README.md": b"# Other\n"}, "README.md is not the file that manifest-sha256.txt lists: it was changed or"),
        ({"README.md": None}, "README.md is missing. Get the package again."),
        ({"more.csv": b"x"}, "more.csv is not in manifest-sha256.txt: it does not belong to the package"),
        ({"manifest-sha256.txt": None}, "is not a replication package of dlbug: it has no manifest-sha256.txt"),
        ({"manifest-sha256.txt": b"\xff\n"}, " is missing. Get the package again."),
    ],
    ids=["changed", "missing", "added", "no manifest", "no text"],
)
def test_files_that_do_not_match_the_checksums_are_named(tmp_path, changed, message):
    files = {name: content for name, content in (WHOLE | changed).items() if content is not None}
    with pytest.raises(DlbugError) as error:
        read_package(zipped(tmp_path / "bugs.zip", files))
    assert message in str(error.value)


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "name",
    ["bugs/../../evil.py", "/etc/evil", "bugs/tables/../../../evil", "bugs\\..\\evil", link("bugs/study")],
    ids=["climbing", "absolute", "climbing inside", "backslashes", "link"],
)
def test_paths_that_lead_out_of_a_zip_are_refused(tmp_path, name):
    entry = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
    packed = zipped(tmp_path / "bugs.zip", {**WHOLE, entry: b"/etc"})
    with pytest.raises(DlbugError, match="leads out of the package: do not unpack it"):
        read_package(packed)
    assert [path.name for path in tmp_path.iterdir()] == ["bugs.zip"]


def test_an_entry_that_occurs_twice_is_refused(tmp_path):
    packed = zipped(tmp_path / "bugs.zip", WHOLE)
    with zipfile.ZipFile(packed, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("bugs/README.md", b"other")
    with pytest.raises(DlbugError, match="'bugs/README.md' occurs twice"):
        read_package(packed)


def test_more_than_ten_thousand_files_are_refused(tmp_path):
    packed = zipped(tmp_path / "bugs.zip", {f"{number}.csv": b"" for number in range(10_001)})
    with pytest.raises(
        DlbugError, match="has more than 10,000 files or 4 GiB, or 200 times the size of the zip: not a"
    ):
        read_package(packed)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bugs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bugs/README.md", bytes(1 << 24))
    with pytest.raises(DlbugError, match="or 200 times the size of the zip: not a package"):
        read_package(tmp_path / "bugs.zip")


def test_a_zip_without_a_folder_is_refused(tmp_path):
    with pytest.raises(DlbugError, match=r"is not a replication package of dlbug: 'README.md' is not in a folder"):
        read_package(zipped(tmp_path / "bugs.zip", WHOLE, folder=""))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_entries_that_are_compressed_in_another_way_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bugs.zip", "w", method) as archive:
        archive.writestr("bugs/README.md", b"# Bugs")
    with pytest.raises(DlbugError, match=r"bugs/README.md is compressed in another way than in packages"):
        read_package(tmp_path / "bugs.zip")


def test_a_zip_with_any_damaged_byte_is_refused_or_has_the_same_files(tmp_path):
    """Bytes of times and attributes are not part of the files."""
    path = tmp_path / "bugs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in WHOLE.items():
            archive.writestr(f"bugs/{name}", content)
    whole, refused = path.read_bytes(), 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0b0101_0101]) + whole[position + 1 :])
        try:
            assert read_package(path) == WHOLE
        except DlbugError:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"<html>"], ids=["empty", "damaged", "a page"])
def test_what_is_not_a_zip_is_refused(tmp_path, content):
    path = tmp_path / "bugs.zip"
    path.write_bytes(content)
    with pytest.raises(DlbugError, match="cannot be read as a zip: .* Get the package again"):
        read_package(path)


def test_a_truncated_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "bugs.zip", WHOLE)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DlbugError, match="cannot be read as a zip"):
        read_package(path)


def test_an_entry_that_is_larger_than_it_states_is_refused(tmp_path):
    path = zipped(tmp_path / "bugs.zip", WHOLE)
    content = path.read_bytes()
    size = len(WHOLE["README.md"]).to_bytes(4, "little")
    # In the central directory, the size follows the compressed size.
    place = content.rindex(size + size, 0, content.rindex(b"bugs/tables/"))
    path.write_bytes(content[: place + 4] + (3).to_bytes(4, "little") + content[place + 8 :])
    with pytest.raises(DlbugError, match="cannot be read as a zip: "):
        read_package(path)


def test_a_path_without_a_package_is_named(tmp_path):
    with pytest.raises(DlbugError, match="bugs.zip does not exist. Name the package's zip or folder."):
        read_package(tmp_path / "bugs.zip")


def test_versions_that_differ_are_listed_with_those_here():
    own = {"dlbug_version": "1.0", "code_digest": "a", "duckdb_version": "2.0", "polars_version": "2.1"}
    assert versions_that_differ(own, own) is None
    packed = own | {"code_digest": "b", "duckdb_version": "1.9", "scipy_version": "1.17"}
    assert versions_that_differ(packed, own) == (
        "The package was computed with 3 other versions: other code of dlbug 1.0, duckdb 1.9 (here 2.0), "
        "scipy 1.17 (here none)"
    )
