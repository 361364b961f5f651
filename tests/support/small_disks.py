"""File systems of their own, in memory: small ones to fill, and ones to make read-only."""

import subprocess
from pathlib import Path

import pytest


def mount(folder: Path, options: str = "") -> None:
    """Mount (or, with the option remount, change) a file system; skips the test where this user may not."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", *(["-o", options] if options else []), "tmpfs", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount program here")
    if result.returncode:
        pytest.skip(f"this user may not mount a file system: {result.stderr.strip()}")


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
