"""The identity of the code: its version, commit and digest, and the packages that it runs with."""

import functools
import hashlib
import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dlbug_assets.layout import CHECKOUT, MODELS, PACKAGE, PROJECT

DISTRIBUTION = "dlbug"


def code_version() -> str:
    """Return the version of dlbug that is installed."""
    return version(DISTRIBUTION)


@functools.cache
def code_digest() -> str:
    """Return the sha256 (hex) over name and content of every file of the package and of the models.

    The names are relative, so that a checkout and the wheel built from it have the same digest.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_code_files()):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _code_files() -> Iterator[tuple[str, Path]]:
    for folder, base in ((PACKAGE, PACKAGE.parent), (MODELS, PROJECT)):
        for parent, folders, names in os.walk(folder):
            # Skip a wheel's models, which are read from MODELS, and the temporary files of Python and of editors.
            folders[:] = [name for name in folders if name not in ("_project", "__pycache__") and name[0] != "."]
            for name in names:
                if name[0] != ".":
                    path = Path(parent, name)
                    yield path.relative_to(base).as_posix(), path


@functools.cache
def code_commit() -> str | None:
    """Return the commit of the checkout (40 hex digits), followed by ``-dirty`` if files differ from it or are new.

    Returns None for an installed wheel, outside of a git repository, and without git.
    """
    # A checkout inside of another project's repository has no commit of its own.
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return None
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _git("status", "--porcelain") != "" else commit


def _git(*arguments: str) -> str | None:
    """Return the output of a git command in the checkout; None if it fails."""
    # Variables that git sets for a hook would make it use another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(CHECKOUT), *arguments]
    try:
        result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


@functools.cache
def installed_packages() -> dict[str, str]:
    """Return name -> installed version of dlbug's direct and indirect dependencies, in alphabetical order.

    Names are normalized (PEP 503). Dependencies of dlbug's extras are included if they are installed; dlbug is not.
    """
    metadata = {DISTRIBUTION: distribution(DISTRIBUTION).metadata}
    pending = [(DISTRIBUTION, extra) for extra in ("", *metadata[DISTRIBUTION].get_all("Provides-Extra", ()))]
    seen = set(pending)
    while pending:
        name, extra = pending.pop()
        if name not in metadata:
            try:
                metadata[name] = distribution(name).metadata
            except PackageNotFoundError:
                continue
        for requirement in map(Requirement, metadata[name].get_all("Requires-Dist", ())):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = {(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)}
                pending += required - seen
                seen |= required
    del metadata[DISTRIBUTION]
    return {name: of_package["Version"] for name, of_package in sorted(metadata.items())}
