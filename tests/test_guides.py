"""What the guides tell users to type exists, and their links lead somewhere."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from dlbug_assets.cli.main import cli
from support.guides import PAGES, PROJECT, anchors, commands, links

NAMES = [page.relative_to(PROJECT).as_posix() for page in PAGES]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command of dlbug that words call, and the words after its name."""
    command: click.Command = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    return command, rest


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_of_dlbug_and_each_of_its_options_exist(page):
    for words in commands(page):
        if Path(words[0]).name == "dlbug":
            command, rest = command_of(words[1:])
            parser = command.make_parser(click.Context(command))
            parser.parse_args(list(rest))  # raises NoSuchOption


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_target_of_make_exists(page):
    targets = set(re.findall(r"^([a-z][\w.-]*):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.M))
    called = {word for words in commands(page) if words[0] == "make" for word in words[1:] if "=" not in word}
    assert {name for name in called if not name.startswith(".venv/")} <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_readme_is_short_and_starts_with_two_commands():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 900
    first, second, *_ = commands(PROJECT / "README.md")
    assert [first, second] == [["make", "run"], ["make", "test"]]


def test_each_guide_is_reached_from_the_readme():
    reached = {(PROJECT / link).resolve() for link in links(PROJECT / "README.md")}
    guides = set((PROJECT / "docs").glob("*.md"))
    assert {guide.name for guide in guides - reached} == set()


@pytest.mark.slow
def test_make_help_lists_every_public_target():
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert phony
    assert {name for name in phony[1].split() if f"make {name} " not in listed} == set()
