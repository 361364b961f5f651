"""Where things are: the files that ship with the package, and the home of a study.

In a checkout the models and workspace.yaml are at its top level, where people look for them. The wheel has them inside
the package, in ``_project`` (pyproject.toml: force-include).
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
SEEDS = MODELS / "seeds"
STUDIES = PACKAGE / "studies"
WORKSPACE = PROJECT / "workspace.yaml"
#: Variables that the environment does not set, as for `dagster dev`: in the folder where the command is given.
ENV_FILE = Path(".env")

#: The stages of the study: folder, asset group and DuckDB schema of the same name.
SCHEMAS = ("reference", "stackoverflow", "github", "labeling", "analysis", "publishing")


def display_path(path: Path) -> str:
    """Return the path as messages show it: relative to the project where it is inside."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


@dataclass(frozen=True)
class Home:
    """The folder of everything that is generated for one study."""

    root: Path
    study: str

    @classmethod
    def of(cls, study: str, environ: Mapping[str, str]) -> Self:
        """Return the home of a study in DLBUG_HOME, or else in warehouse/ of the checkout or, without one, of the
        current folder. Raises :class:`DlbugError` where the current folder was deleted."""
        try:
            root = Path(environ.get("DLBUG_HOME") or (CHECKOUT or Path()) / "warehouse").absolute()
        except FileNotFoundError:
            raise DlbugError(
                "the current folder does not exist any more: change to another, or set DLBUG_HOME to an absolute path"
            ) from None
        return cls(root, study)

    def check_access(self) -> None:
        """Raise :class:`DlbugError` where a folder of it is there but cannot be opened."""
        for folder in (self.root, self.folder):
            check_folder(folder, "set DLBUG_HOME to another folder")

    @property
    def published(self) -> Path:
        return self.root / f"{self.study}.duckdb"

    @property
    def folder(self) -> Path:
        return self.root / self.study

    @property
    def working(self) -> Path:
        return self.folder / "working.duckdb"

    @property
    def lock(self) -> Path:
        return self.folder / "writer.lock"

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def clones(self) -> Path:
        """Histories: what landed of git repositories."""
        return self.landing / "clones"

    @property
    def labels(self) -> Path:
        """Sheets out (outbox) and in (inbox), what was received, and the frozen rounds of the queue."""
        return self.folder / "labels"

    @property
    def secret_key(self) -> Path:
        return self.folder / "secret.key"

    @property
    def quota(self) -> Path:
        """The ledger of requests: of all studies, because services count by credential and not by study."""
        return self.root / "quota.sqlite"

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def package(self) -> Path:
        return self.folder / "package"

    @property
    def dagster_home(self) -> Path:
        return self.folder / "dagster_home"

    @property
    def run_locks(self) -> Path:
        """A file per run that is not over, by which it shows that it is alive."""
        return self.dagster_home / "run_locks"


def check_folder(folder: Path, alternative: str) -> None:
    """Raise :class:`DlbugError` where ``folder`` is not a folder, or may not be listed and entered; one that does not
    exist is fine. ``alternative`` is what to do instead of changing it, in the imperative."""
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
