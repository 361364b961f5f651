"""What this installation of dlbug lacks: files of the wheel, and packages as pyproject.toml requires them."""

import csv
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, requires, version

from dlbug_assets.layout import CHECKOUT, PACKAGE


def how_to_repair() -> str:
    """Return the command that installs everything again, as an instruction."""
    if CHECKOUT is not None:
        return "`make setup` installs the pinned ones."
    return f"Install the wheel again: {sys.executable} -m pip install --force-reinstall dlbug-*.whl"


def missing_files() -> list[str]:
    """Return the files that the wheel should have installed and that are not there, relative to site-packages.

    In a checkout the answer is empty. Raises PackageNotFoundError where dlbug is not installed.
    """
    installed = distribution("dlbug")
    if CHECKOUT is not None:
        return []
    # Not ``installed.files``: from Python 3.12 on it leaves out what is missing.
    names = (row[0] for row in csv.reader((installed.read_text("RECORD") or "").splitlines()))
    ours = (name for name in names if name.startswith(f"{PACKAGE.name}/") and not name.endswith(".pyc"))
    return sorted(name for name in ours if not installed.locate_file(name).is_file())


def unmet(requirements: Iterable[str] | None = None) -> list[str]:
    """Return what is not installed as required (by default: by dlbug), a sentence each.

    What only an extra asks for may be missing, but not be of another version.
    """
    # Needed only where something is wrong, and may itself be what is missing.
    try:
        from packaging.requirements import Requirement  # noqa: PLC0415
    except ImportError:
        return ["packaging is missing"]
    problems = []
    for requirement in map(Requirement, (requires("dlbug") or []) if requirements is None else requirements):
        is_optional = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if not is_optional:
                problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found):
            problems.append(f"{requirement.name} is {found}, needed is {requirement.specifier}")
    return problems
