"""Paths: the files that ship with the package, and the home of a study.

A checkout has the models and workspace.yaml at its top level. The wheel has them inside of the package, in ``_project``
(pyproject.toml: force-include).
"""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from dlbug_assets.errors import DlbugError

#: The package's folder. Installers unpack wheels, so its resources are files.
PACKAGE = Path(str(files("dlbug_assets")))
#: The top level of the checkout that the code runs from; None for an installed wheel.
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
#: The folder of the models and of workspace.yaml.
PROJECT = CHECKOUT or PACKAGE / "_project"
MODELS = PROJECT / "dbt_like_sql"
#: The table macros of the published database, one a file.
MACROS = MODELS / "macros"
STUDIES = PACKAGE / "studies"
WORKSPACE = PROJECT / "workspace.yaml"
#: Environment variables, as for `dagster dev`, in the current folder; those that are set already take precedence.
ENV_FILE = Path(".env")

#: The stages of the study: folder, asset group and DuckDB schema of the same name.
SCHEMAS = ("reference", "stackoverflow", "github", "labeling", "analysis", "publishing")


def restrict_new_files() -> int:
    """Let this process and those that it starts create files that only their owner can open; return the former umask.

    To be called by every process that writes to a home, before it does: DuckDB, SQLite, git and Dagster create files
    there, too, and their modes depend on nothing else.
    """
    return os.umask(0o077)


def display_path(path: Path) -> str:
    """Return the path as messages show it: relative to the project if it is inside of it."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


@dataclass(frozen=True)
class Home:
    """The folder of all files that are generated for one study."""

    root: Path
    study: str

    @classmethod
    def of(cls, study: str, environ: Mapping[str, str]) -> Self:
        """Return the home of a study: in DLBUG_HOME, else in warehouse/ of the checkout or of the current folder.

        Raises :class:`DlbugError` if the current folder was deleted.
        """
        try:
            root = Path(environ.get("DLBUG_HOME") or (CHECKOUT or Path()) / "warehouse").absolute()
        except FileNotFoundError:
            raise DlbugError(
                "the current folder was deleted: change to another one, or set DLBUG_HOME to an absolute path"
            ) from None
        return cls(root, study)

    def others(self) -> list[Self]:
        """Return the homes in the same root whose study has a recorded path, in alphabetical order."""
        recorded = sorted(self.root.glob(f"*/{self.study_path.name}"))
        return [type(self)(self.root, path.parent.name) for path in recorded]

    def check_access(self) -> None:
        """Raise :class:`DlbugError` if a folder of it exists but cannot be opened."""
        for folder in (self.root, self.folder):
            check_folder(folder, "set DLBUG_HOME to another folder")

    @property
    def published(self) -> Path:
        """The published database, which users open."""
        return self.root / f"{self.study}.duckdb"

    @property
    def folder(self) -> Path:
        """The folder of everything except the published database."""
        return self.root / self.study

    @property
    def working(self) -> Path:
        """The working database, which only runs write."""
        return self.folder / "working.duckdb"

    @property
    def lock(self) -> Path:
        """The file of the writer's lease."""
        return self.folder / "writer.lock"

    @property
    def landing(self) -> Path:
        """Raw replies of the APIs, by collection."""
        return self.folder / "landing"

    @property
    def clones(self) -> Path:
        """Landed git repositories."""
        return self.landing / "clones"

    @property
    def labels(self) -> Path:
        """Sheets for raters (outbox), submitted sheets (inbox, received), and the frozen rounds of the queue."""
        return self.folder / "labels"

    @property
    def packaged_study(self) -> Path:
        """The study of a package that was run."""
        return self.folder / "packaged_study"

    @property
    def reconstructions(self) -> Path:
        """What searches for edits found out about printed tables; saves repeating them, and can be deleted."""
        return self.folder / "reconstructions"

    @property
    def secret_key(self) -> Path:
        """The key of the pseudonyms, see `privacy.secret_key`."""
        return self.folder / "secret.key"

    @property
    def quota(self) -> Path:
        """The ledger of requests of all studies, because services count requests per credential."""
        return self.root / "quota.sqlite"

    @property
    def releases(self) -> Path:
        """Downloaded files of the study's releases."""
        return self.folder / "releases"

    @property
    def report(self) -> Path:
        """The report: a folder with a web page, figures and tables."""
        return self.folder / "report"

    @property
    def package(self) -> Path:
        """The replication package."""
        return self.folder / "package"

    @property
    def study_path(self) -> Path:
        """A text file with the absolute path of the study's TOML file, by which later commands find the study."""
        return self.folder / "study_path"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events and schedules of the study."""
        return self.folder / "dagster_home"

    @property
    def run_locks(self) -> Path:
        """A file per running run, locked by its process for as long as it lives."""
        return self.dagster_home / "run_locks"


def check_folder(folder: Path, alternative: str) -> None:
    """Raise :class:`DlbugError` if ``folder`` exists, but is not a folder or cannot be listed and entered.

    ``alternative`` is an instruction for the message: what to do instead of changing the folder.
    """
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror
    else:
        if stat.S_ISDIR(mode) and os.access(folder, os.R_OK | os.X_OK):
            return
        reason = os.strerror(errno.EACCES if stat.S_ISDIR(mode) else errno.ENOTDIR)
    raise DlbugError(
        f"cannot open the folder {folder}: {reason}. Make it a folder that you can read and enter (chmod u+rwx), "
        f"or {alternative}."
    )
