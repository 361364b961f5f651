"""Check a replication package: its files against its checksums, and its tables against those that are recomputed."""

import csv
import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from dlbug_assets.atomic_files import write_folder
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.files.csv import allow_long_fields
from dlbug_assets.protocol.names import counted, shown
from dlbug_assets.protocol.study import STUDY_FILE, Study, load_study
from dlbug_assets.publishing.packages.package import (
    FOLDER,
    MANIFEST,
    Package,
    csv_text,
    left_out_files,
    table_path,
)

_MOST_FILES, _MOST_BYTES = 10_000, 4 << 30
#: The largest ratio of the size of all files to that of their zip. Packages have about 5, zip bombs 1,000.
_MOST_RATIO = 200
#: Keys of publishing.study_info that state who computed the database and when, not what it is about.
_OF_THE_RUN = re.compile(r".+_version|code_commit|code_digest|last_refresh_\w+")
_INFO = "publishing.study_info"
#: Columns with times of the run that are not incidental: a change of theirs alone is published.
_TIMES = {"publishing.corpus_refreshes": {"last_refresh"}}


def read_package(path: Path) -> dict[str, bytes]:
    """Return the files of a package, a zip or a folder, by their path in it.

    A folder may have, besides, the files that its study reads and that no package has; they are not returned. Raises
    :class:`DlbugError` for anything else, for a zip with paths that lead out of it, links, encrypted or damaged
    entries, more than 10,000 files or 4 GiB, or 200 times its size, and for files that do not match the checksums.
    """
    try:
        if not path.is_dir():
            return _checked(path, _unpacked(path))
        found = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        listed = _checksums(found[MANIFEST].read_bytes()) if MANIFEST in found else {}
        known = listed.keys() | {MANIFEST}
        files = _checked(path, {name: file.read_bytes() for name, file in found.items() if name in known})
        if added := found.keys() - files.keys():
            _check_listed(path, added - left_out_files(load_study(path / FOLDER)).keys())
    except FileNotFoundError:
        raise DlbugError(f"{path} does not exist. Name the package's zip or folder.") from None
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}") from None
    return files


def _unpacked(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            most = min(_MOST_BYTES, _MOST_RATIO * path.stat().st_size)
            if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > most:
                raise DlbugError(
                    f"{path} has more than {_MOST_FILES:,} files or {_MOST_BYTES >> 30} GiB, or {_MOST_RATIO} times "
                    "the size of the zip: not a package"
                )
            files = {}
            for entry in entries:
                name = PurePosixPath(entry.filename)
                is_link = stat.S_ISLNK(entry.external_attr >> 16)
                if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or is_link:
                    raise DlbugError(f"{path}: {shown(entry.filename)} leads out of the package: do not unpack it")
                if len(name.parts) == 1:
                    raise DlbugError(
                        f"{path} is not a replication package of dlbug: {shown(entry.filename)} is not in a folder"
                    )
                # The archive has one folder.
                inner = PurePosixPath(*name.parts[1:]).as_posix()
                if inner in files:
                    raise DlbugError(f"{path}: {shown(entry.filename)} occurs twice: get the package again")
                files[inner] = _bounded(archive, entry)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DlbugError(f"{path} cannot be read as a zip: {error}. Get the package again.") from None
    return files


def _bounded(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return an entry's content, of no more bytes than it states."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{entry.filename} is compressed in another way than in packages")
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename} has not the size that it states")
    return content


def _checksums(manifest: bytes) -> dict[str, str]:
    lines = (line.partition("  ") for line in _text(manifest).splitlines())
    return {name: checksum for checksum, _, name in lines}


def _checked(path: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files if they are those that the manifest lists."""
    if MANIFEST not in files:
        raise DlbugError(f"{path} is not a replication package of dlbug: it has no {MANIFEST}")
    listed = _checksums(files[MANIFEST])
    for name, checksum in sorted(listed.items()):
        if name not in files:
            raise DlbugError(f"{path}: {name} is missing. Get the package again.")
        if hashlib.sha256(files[name]).hexdigest() != checksum:
            raise DlbugError(f"{path}: {name} is not the file that {MANIFEST} lists: it was changed or damaged")
    _check_listed(path, files.keys() - listed.keys() - {MANIFEST})
    return files


def _check_listed(path: Path, unlisted: Set[str]) -> None:
    if unlisted:
        raise DlbugError(f"{path}: {min(unlisted)} is not in {MANIFEST}: it does not belong to the package")


def study_info(path: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the rows of publishing.study_info; raise :class:`DlbugError` for a package without it."""
    if table_path(_INFO) not in files:
        raise DlbugError(f"{path} has no {table_path(_INFO)}: it is not a replication package of dlbug")
    return {str(row.get("key")): str(row.get("value")) for row in _rows(files[table_path(_INFO)])}


def study_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the package's study, by their path within it."""
    start = f"{FOLDER}/"
    return {name.removeprefix(start): content for name, content in files.items() if name.startswith(start)}


def unpacked_study(path: Path, files: Mapping[str, bytes], folder: Path) -> Study:
    """Return the study of a package; that of a zip is written below ``folder``.

    Raises :class:`DlbugError` for a package without a study, or with one that this version of dlbug cannot read.
    """
    own = study_files(files)
    if STUDY_FILE not in own:
        raise DlbugError(f"{path} has no {FOLDER}/{STUDY_FILE}: it is not a replication package of dlbug")
    if path.is_dir():
        return load_study(path / FOLDER)
    try:
        write_folder(folder / FOLDER, own)
        return load_study(folder / FOLDER)
    except DlbugError as error:
        raise DlbugError(str(error).replace(str(folder), str(path))) from None


def changed_study_files(files: Mapping[str, bytes], recomputed: Package) -> list[str]:
    """Return the names of the files of the package's study that are not those of the study that was recomputed."""
    packed, own = study_files(files), recomputed.study_files()
    return [f"{FOLDER}/{name}" for name in sorted(packed.keys() | own.keys()) if packed.get(name) != own.get(name)]


def compare(files: Mapping[str, bytes], recomputed: Package) -> Iterator[tuple[str, str | None]]:
    """Yield each table of the package or of the recomputed one, with its first difference as a message.

    Not compared are histories of earlier publications, columns that schema.yml marks as incidental, and when and with
    which versions a database was computed.
    """
    tables = (re.fullmatch(r"tables/(.+)\.csv", name) for name in files)
    packed = {found[1] for found in tables if found}
    for name in sorted(packed | set(recomputed.table_names)):
        if name in recomputed.specs and recomputed.specs[name].is_history:
            continue
        if name not in packed:
            yield name, f"{name}: the package lacks it"
        elif name not in recomputed.table_names:
            yield name, f"{name}: this version of dlbug does not have it"
        else:
            yield name, _first_difference(name, files[table_path(name)], recomputed)


def _first_difference(name: str, packed: bytes, recomputed: Package) -> str | None:
    own = csv_text(recomputed.table(name))
    columns = _columns(packed)
    if columns != _columns(own):
        return f"{name}: the package has the columns {', '.join(columns)}, recomputed are {', '.join(_columns(own))}"
    spec = recomputed.specs[name]
    left_out = {column.name for column in spec.columns if column.incidental} | _TIMES.get(name, set())
    compared = [column for column in columns if column not in left_out]
    key = [column for column in spec.grain if column in compared]
    key = key if len(key) == len(spec.grain) else compared
    order = [*key, *(column for column in compared if column not in key)]
    for a, b in zip_longest(_sorted(packed, order), _sorted(own, order), fillvalue={}):
        if a == b:
            continue
        keys = [[row[column] for column in key] if row else [] for row in (a, b)]
        if keys[0] != keys[1]:
            is_packed = not b or (bool(a) and keys[0] < keys[1])
            where, row = ("package", a) if is_packed else ("recomputed table", b)
            return f"{name}: only the {where} has {_row(row, key)}"
        column = next(column for column in order if a[column] != b[column])
        return f"{name}, {_row(a, key)}, {column}: {shown(a[column])} in the package, {shown(b[column])} recomputed"
    return None


def _sorted(content: bytes, order: Sequence[str]) -> list[dict[str, str]]:
    """Return rows of some columns in their order, without those of study_info that are about the run."""
    rows = ({column: row[column] or "" for column in order} for row in _rows(content))
    kept = (row for row in rows if not _OF_THE_RUN.fullmatch(row.get("key", "")))
    return sorted(kept, key=lambda row: tuple(row.values()))


def _row(row: Mapping[str, str], key: Sequence[str]) -> str:
    return "row " + ", ".join(f"{column} {shown(row[column], 40)}" for column in key)


def versions_that_differ(packed: Mapping[str, str], own: Mapping[str, str]) -> str | None:
    """Return which of the versions that computed two databases differ, from their publishing.study_info."""
    named = [key for key in packed if key.endswith("_version") and packed[key] != own.get(key)]
    texts = [f"{key.removesuffix('_version')} {packed[key]} (here {own.get(key, 'none')})" for key in named]
    if packed.get("code_digest") != own.get("code_digest"):
        texts.insert(0, f"other code of dlbug {packed.get('dlbug_version')}")
    return (
        f"The package was computed with {counted(len(texts), 'other version')}: {', '.join(texts)}" if texts else None
    )


def _text(content: bytes) -> str:
    # What is not UTF-8 differs from what dlbug writes, and is reported as a difference.
    return content.decode(errors="replace")


def _columns(content: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(_text(content), newline="")), [])


def _rows(content: bytes) -> Iterator[dict[str, str | None]]:
    allow_long_fields()
    yield from csv.DictReader(io.StringIO(_text(content), newline=""))
