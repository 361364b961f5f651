"""The options that several commands have."""

import os
from collections.abc import Callable
from typing import Any

import click

from dlbug_assets.cli.completion import study_names
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study


def study_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--study``, passed as ``study_name``."""
    return click.option(
        "--study",
        "study_name",
        envvar="DLBUG_STUDY",
        default="sample",
        show_default=True,
        metavar="NAME|PATH",
        shell_complete=study_names,
        help="A study that ships or was run before, or the path of its folder or TOML file.",
    )(command)


def incomplete_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flag ``--incomplete`` with a help text of its own."""
    return click.option("--incomplete", is_flag=True, help=help_text)


def open_home(study: Study) -> Home:
    """Return the study's home; raise :class:`DlbugError` if it cannot be opened."""
    home = Home.of(study.name, os.environ)
    home.check_access()
    return home
