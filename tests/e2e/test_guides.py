"""The commands that the guides give for the study `sample`, which need neither a network nor anything else."""

import re

import pytest

from support.commands import command
from support.guides import PAGES, commands

GIVEN = {
    " ".join(words): words
    for page in PAGES
    for words in commands(page)
    if words[0] == "dlbug" and "--study sample" in " ".join(words)
}


def test_the_guides_have_commands_for_the_sample():
    assert {words[1] for words in GIVEN.values()} == {"doctor", "run", "sql"}


@pytest.mark.parametrize("words", GIVEN.values(), ids=list(GIVEN))
def test_a_command_of_a_guide_succeeds(sample, tmp_path, words):
    result = command(sample.home.root, *words[1:], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    if words[1] == "sql" and "--output" not in words:
        assert not re.search(r"\b0 rows", result.stdout + result.stderr)
        assert result.stdout
    for place in (place for place, word in enumerate(words) if word == "--output"):
        assert (tmp_path / words[place + 1]).stat().st_size > 0
