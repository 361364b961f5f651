"""Find what is missing in this installation of dlbug: files of the wheel, and required packages."""

import csv
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

from dlbug_assets.layout import CHECKOUT, PACKAGE


def how_to_repair() -> str:
    """Return an instruction with the command that reinstalls everything."""
    if CHECKOUT is not None:
        return "`make setup` installs the pinned ones."
    return f"Install the wheel again: {sys.executable} -m pip install --force-reinstall dlbug-*.whl"


def missing_files() -> list[str]:
    """Return the files of the wheel that are missing, relative to site-packages; empty in a checkout.

    Raises PackageNotFoundError if dlbug is not installed.
    """
    installed = distribution("dlbug")
    if CHECKOUT is not None:
        return []
    # Not ``installed.files``: from Python 3.12 on it omits missing files.
    names = (row[0] for row in csv.reader((installed.read_text("RECORD") or "").splitlines()))
    ours = (name for name in names if name.startswith(f"{PACKAGE.name}/") and not name.endswith(".pyc"))
    return sorted(name for name in ours if not Path(str(installed.locate_file(name))).is_file())


def unmet_requirements(requirements: Iterable[str] | None = None) -> list[str]:
    """Return a phrase for each requirement (by default, of dlbug) that is missing or has an unsuitable version.

    Requirements of an extra may be missing.
    """
    # Imported here because it may be missing itself.
    try:
        from packaging.requirements import Requirement  # noqa: PLC0415
    except ImportError:
        return ["packaging is missing"]
    problems: list[str] = []
    for requirement in map(Requirement, (requires("dlbug") or []) if requirements is None else requirements):
        is_optional = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if not is_optional:
                problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found):
            problems.append(f"{requirement.name} is {found}, but {requirement.specifier} is required")
    return problems
