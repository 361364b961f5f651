"""Packages of others: verify one by recomputing it, and run the study of one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dlbug_assets.atomic_files import write_folder
from dlbug_assets.cli.runs import run_study
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.names import counted
from dlbug_assets.protocol.study import Study, load_study, shipped_studies
from dlbug_assets.publishing.packages.package import FOLDER, MANIFEST, Package, left_out_files
from dlbug_assets.publishing.packages.verification import (
    changed_study_files,
    compare,
    read_package,
    study_files,
    study_info,
    unpacked_study,
    versions_that_differ,
)
from dlbug_assets.publishing.study_info import code_and_versions
from dlbug_assets.warehouse.published import published_query
from dlbug_assets.warehouse.table_specs import load_specs


@dataclass(frozen=True)
class Verification:
    """The number of compared tables, the first difference of each that differs, and which versions differ.

    ``histories`` are tables that keep what earlier publications said, which no recomputation has. ``changed_files`` are
    those of the package's study that are not those of the recomputed one.
    """

    changed_files: tuple[str, ...]
    tables: int
    differences: tuple[str, ...]
    versions: str | None
    histories: tuple[str, ...]


def verify(path: Path, environ: Mapping[str, str]) -> Verification:
    """Recompute the study of a package and compare its tables; ``environ`` says where the files of releases are.

    Raises :class:`DlbugError` for a package that is damaged, that cannot be recomputed, or whose study fails to run.
    """
    files = read_package(path)
    info = study_info(path, files)
    with TemporaryDirectory(prefix="dlbug-verify-") as folder:
        study = _study(path, info, files, Path(folder))
        _require_recomputable(path, study)
        own = {**environ, "DLBUG_HOME": str(Path(folder) / "home")}
        if failures := run_study(study, own):
            reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
            raise DlbugError(f"{path} cannot be recomputed: {counted(len(failures), 'step')} failed: {reasons}")
        home = Home.of(study.name, own)
        with published_query(home) as query:
            recomputed = Package(study, load_specs(study=study), query, home.root)
            changed_files = tuple(changed_study_files(files, recomputed))
            compared = list(compare(files, recomputed))
            histories = tuple(name for name in recomputed.table_names if recomputed.specs[name].is_history)
    differences = tuple(difference for _, difference in compared if difference)
    versions = versions_that_differ(info, code_and_versions())
    return Verification(changed_files, len(compared), differences, versions, histories)


def study_of_package(name_or_path: str, environ: Mapping[str, str]) -> Path | None:
    """Return the study of a package, that of a zip unpacked into the home of the study; None for what is not a package.

    A package is a zip, or a folder with the checksums of its files. Raises :class:`DlbugError` for one that is damaged,
    and for a zip if the home has another study of that name.
    """
    path = Path(name_or_path)
    # os.path, because pathlib raises an error for a folder that cannot be read.
    is_zip = path.suffix == ".zip" and os.path.isfile(path)  # noqa: PTH113
    if not is_zip and not os.path.isfile(path / MANIFEST):  # noqa: PTH113
        return None
    files = read_package(path)
    with TemporaryDirectory(prefix="dlbug-package-") as folder:
        study = unpacked_study(path, files, Path(folder))
    if path.is_dir():
        return path / FOLDER
    home = Home.of(study.name, environ)
    home.check_access()
    own = study_files(files)
    if not _has_study(home, path, own, {name.removeprefix(f"{FOLDER}/") for name in left_out_files(study)}):
        home.folder.mkdir(parents=True, exist_ok=True)
        write_folder(home.packaged_study, own)
    return home.packaged_study


def _has_study(home: Home, path: Path, own: Mapping[str, bytes], left_out: set[str]) -> bool:
    """Return whether a home has the study of the package already, besides which it may have the files left out.

    Raises :class:`DlbugError` if it has another one, which users may have changed, under that name.
    """
    kept, other = home.packaged_study, None
    if home.study_path.is_file():
        recorded = Path(os.fsdecode(home.study_path.read_bytes())).parent
        other = recorded if recorded != kept.absolute() else None
    if other is None and kept.is_dir():
        names = {file.relative_to(kept).as_posix() for file in kept.rglob("*") if file.is_file()} - left_out
        if {name: (kept / name).read_bytes() for name in names} == own:
            return True
        other = kept
    if other:
        raise DlbugError(
            f"{path}: this home has another study {home.study!r}, in {other}: set DLBUG_HOME to another folder, and "
            "run the package there"
        )
    return False


def _study(path: Path, info: Mapping[str, str], files: Mapping[str, bytes], folder: Path) -> Study:
    """Return the study of the package, or the one that ships if it is the same: the package's has numbered raters."""
    name = info["study"]
    if name in shipped_studies() and load_study(name).hash == info["study_hash"]:
        return load_study(name)
    return unpacked_study(path, files, folder)


def _require_recomputable(path: Path, study: Study) -> None:
    """Raise :class:`DlbugError` for a study of sources that a package cannot contain, or without files it needs."""
    if not study.is_recomputable:
        raise DlbugError(
            f"{path}: its files match their checksums, but its tables cannot be recomputed from it: they come from "
            "collected posts and commits, whose texts it leaves out, or from sheets of raters. Its study, which "
            f"collects them again, runs with `dlbug run --study {path}`."
        )
    if missing := [name for name, file in left_out_files(study).items() if not file.is_file()]:
        where = path if path.is_dir() else "its unpacked folder"
        raise DlbugError(
            f"{path}: its files match their checksums, but its tables cannot be recomputed without "
            f"{', '.join(missing)}, which it may not contain: put the files into {where} and run "
            "`dlbug verify` on that folder"
        )
