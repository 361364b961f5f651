"""Completion of commands, options and names of studies by the shell."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import STUDY_FILE, shipped_studies

#: The variable by which the shell asks click for completions.
_VARIABLE = "_DLBUG_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def script(shell: str, command: click.Command) -> str:
    """Return the script that a shell of :data:`SHELLS` reads at its start."""
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - click has these
    return completion(command, {}, "dlbug", _VARIABLE).source()


def study_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the studies whose names begin like this: those that ship, that were run, and folders that are studies."""
    if os.sep in incomplete:
        return [CompletionItem(incomplete, type="file")]
    run = (home.study for home in Home.of("", os.environ).others())
    here = (path.parent.name for path in Path().glob(f"*/{STUDY_FILE}"))
    names = dict.fromkeys([*shipped_studies(), *sorted({*run, *here})])
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
