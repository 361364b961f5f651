"""Code versions of functions: which changes of a package change them."""

import functools
import importlib
import shutil
import sys

import pytest

from dlbug_assets.asset_factories.code_versions import source_version

TABLES = """
from code_under_test import words
from code_under_test.words import LIMIT as MOST
from code_under_test.words import Reader, shorten

SEPARATOR = ";"


def count(rows):
    return joined(rows)


def joined(rows):
    return SEPARATOR.join(rows)


def count_short(rows):
    return shorten(rows)[:MOST]


def count_first(rows):
    return words.first(rows)


def apply(function, rows):
    return function(rows)


def read():
    return Reader().read()


def factory():
    def compute(rows):
        return joined(rows)

    return compute


def unrelated(rows):
    return 1
"""
WORDS = """
LIMIT = 10


def first(rows):
    return rows[0]


def shorten(rows):
    return [first(row) for row in rows]


class Base:
    def open(self):
        return 1


class Reader(Base):
    def read(self):
        return self.open()
"""


@pytest.fixture
def version(tmp_path, monkeypatch):
    """Return the code version of a function of the package below, after one replacement in its text."""
    folders = (tmp_path / str(number) for number in range(100))

    def compute(function, old="", new=""):
        package = next(folders) / "code_under_test"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        texts = {"tables": TABLES, "words": WORDS}
        assert not old or sum(text.count(old) for text in texts.values()) == 1
        for name, text in texts.items():
            (package / f"{name}.py").write_text(text.replace(old, new) if old else text, encoding="utf-8")
        monkeypatch.syspath_prepend(package.parent)
        for name in ("code_under_test.tables", "code_under_test.words", "code_under_test"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return source_version(function(importlib.import_module("code_under_test.tables")), package)

    return compute


def count_partially(tables):
    return functools.partial(tables.apply, tables.joined)


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (lambda tables: tables.count, "return joined(rows)\n\n\ndef j", "return joined(rows[1:])\n\n\ndef j"),
        (lambda tables: tables.count, "SEPARATOR.join(rows)", "SEPARATOR.join(reversed(rows))"),
        (lambda tables: tables.count, 'SEPARATOR = ";"', 'SEPARATOR = ","'),
        (lambda tables: tables.count_short, "first(row) for", "row for"),
        (lambda tables: tables.count_short, "return rows[0]", "return rows[1]"),
        (lambda tables: tables.count_short, "LIMIT = 10", "LIMIT = 20"),
        (lambda tables: tables.count_first, "return rows[0]", "return rows[1]"),
        (lambda tables: tables.read, "return self.open()", "return self.open() + 1"),
        (lambda tables: tables.read, "return 1\n\n\nclass", "return 2\n\n\nclass"),
        (lambda tables: tables.Reader().read, "return self.open()", "return self.open() + 1"),
        (lambda tables: tables.Reader().read, "return 1\n\n\nclass", "return 2\n\n\nclass"),
        (count_partially, "return function(rows)", "return function(rows[1:])"),
        (count_partially, "SEPARATOR.join(rows)", "SEPARATOR.join(reversed(rows))"),
        (lambda tables: tables.factory(), "SEPARATOR.join(rows)", "SEPARATOR.join(reversed(rows))"),
    ],
    ids=[
        "the function itself",
        "a function that it calls",
        "a constant of a function that it calls",
        "an imported function",
        "a function that an imported function calls",
        "a constant imported under another name",
        "a function of an imported module",
        "a method of an imported class",
        "a base class of an imported class",
        "a bound method",
        "a base class of a bound method",
        "a partial's function",
        "a partial's argument",
        "a function that a nested function calls",
    ],
)
def test_a_change_in_what_a_function_uses_changes_its_version(version, function, old, new):
    before = version(function)
    assert version(function) == before
    assert version(function, old, new) != before


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (lambda tables: tables.count, "def unrelated(rows):\n    return 1", "def unrelated(rows):\n    return 2"),
        (lambda tables: tables.count, "return rows[0]", "return rows[1]"),
        (lambda tables: tables.count_short, 'SEPARATOR = ";"', 'SEPARATOR = ","'),
        (lambda tables: tables.Reader().read, "LIMIT = 10", "LIMIT = 20"),
        (count_partially, "return shorten(rows)[:MOST]", "return shorten(rows)"),
    ],
    ids=["same module", "imported module", "constant", "bound method", "partial"],
)
def test_a_change_in_what_a_function_does_not_use_keeps_its_version(version, function, old, new):
    assert version(function, old, new) == version(function)


def test_a_function_from_outside_of_the_package_has_no_version(tmp_path):
    with pytest.raises(ValueError, match="^shutil is not a module of elsewhere$"):
        source_version(shutil.copy, tmp_path / "elsewhere")
