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
            # Not the models of a wheel a second time, and not what Python and editors leave behind.
            folders[:] = [name for name in folders if name not in ("_project", "__pycache__") and name[0] != "."]
            for name in names:
                if name[0] != ".":
                    path = Path(parent, name)
                    yield path.relative_to(base).as_posix(), path


@functools.cache
def code_commit() -> str | None:
    """Return the commit of the checkout (40 hex digits), with ``-dirty`` behind it where files differ from it or are
    new; None for an installed wheel, outside of a git repository, and where git is missing."""
    # A checkout within the repository of something else has no commit of its own.
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return None
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _git("status", "--porcelain") != "" else commit


def _git(*arguments: str) -> str | None:
    """Return what git prints about the checkout; None where it fails."""
    # A hook's variables would lead git to another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(CHECKOUT), *arguments]
    try:
        result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


@functools.cache
def installed_packages() -> dict[str, str]:
    """Return name -> version of what dlbug needs, directly or not, as it is installed here, in alphabetical order.

    Names are canonical (PEP 503). What an extra of dlbug asks for is included where it is installed; dlbug is not.
    """
    described = {DISTRIBUTION: distribution(DISTRIBUTION).metadata}
    waiting = [(DISTRIBUTION, extra) for extra in ("", *described[DISTRIBUTION].get_all("Provides-Extra", ()))]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        if name not in described:
            try:
                described[name] = distribution(name).metadata
            except PackageNotFoundError:
                continue
        for requirement in map(Requirement, described[name].get_all("Requires-Dist", ())):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                asked = {(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)}
                waiting += asked - seen
                seen |= asked
    del described[DISTRIBUTION]
    return {name: metadata["Version"] for name, metadata in sorted(described.items())}
