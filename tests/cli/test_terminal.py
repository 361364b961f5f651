"""Text that terminals show as it is."""

import pytest

from dlbug_assets.cli.terminal import printable


@pytest.mark.parametrize(
    ("character", "escape"),
    [
        ("\x00", r"\u0000"), ("\x07", r"\u0007"), ("\r", r"\u000d"), ("\x1b", r"\u001b"), ("\x7f", r"\u007f"),
        ("\x80", r"\u0080"), ("\x9b", r"\u009b"), ("\x9f", r"\u009f"), ("\u061c", r"\u061c"), ("\u200f", r"\u200f"),
        ("\u202e", r"\u202e"), ("\u2066", r"\u2066"), ("\u2069", r"\u2069"),
    ],
)  # fmt: skip
def test_a_character_that_changes_what_a_terminal_shows_is_escaped(character, escape):
    assert printable(f"a{character}b") == f"a{escape}b"


def test_all_other_characters_are_kept():
    text = "tab\t, line\n, no-break\xa0, é, 深, שלום, ┌─┐, \\u001b"
    assert printable(text) == text
