"""File systems in memory that tests fill or make read-only."""

import subprocess
from pathlib import Path

import pytest


def mount(folder: Path, options: str = "") -> None:
    """Mount a file system, or change it with the option remount; skip the test where this user cannot mount."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", *(["-o", options] if options else []), "tmpfs", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("the program mount is not installed")
    if result.returncode:
        pytest.skip(f"this user cannot mount a file system: {result.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Unmount a file system, even where a file is open."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
