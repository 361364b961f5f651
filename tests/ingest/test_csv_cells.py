"""Cells that no spreadsheet runs as a formula, and that can be read back."""

import re

import duckdb
import polars as pl
import pytest

from dlbug_assets.ingest.csv_cells import ESCAPED_START, escape, unescape

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A1", "'=1", "'quoted'"]  # noqa: RUF001
HARMLESS = ["", "a=1", " =1", "1-2", "\\=1", "[1]", "x\n=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_like_a_formula_follows_an_apostrophe_until_it_is_read(text):
    assert escape(text) == f"'{text}"
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_any_other_text_is_written_and_read_as_it_is(text):
    assert escape(text) == unescape(text) == text


def test_the_expression_finds_the_same_texts_in_python_polars_and_duckdb():
    texts = FORMULAS + HARMLESS
    expected = [escape(text) for text in texts]
    assert [re.sub(f"({ESCAPED_START})", r"'\1", text) for text in texts] == expected
    assert pl.Series(texts).str.replace(f"({ESCAPED_START})", "'$1").to_list() == expected
    escaped = "list_transform($1, lambda x: regexp_replace(x, $2, '''\\0'))"
    assert duckdb.execute(f"select {escaped}", [texts, ESCAPED_START]).fetchall() == [(expected,)]
