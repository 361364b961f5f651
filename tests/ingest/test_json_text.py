"""JSON of replies: bounded before anything is made of it."""

import tracemalloc

import pytest

from dlbug_assets.ingest.json_text import read_json

MIB = 1 << 20


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"{}," * 20_000_000 + b"{}]",
        b"[" * (64 * MIB),
        b'{"a":' * (12 * MIB),
        b"[" + b"1.5," * (16 * MIB) + b"1]",
    ],
    ids=["objects", "lists", "nested objects", "numbers"],
)
def test_a_reply_with_millions_of_values_is_refused_before_they_take_memory(content):
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\Ait has more than 2,000,000 values\Z"):
        read_json(content)
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()


def test_as_many_values_as_are_read_take_a_quarter_of_a_gigabyte_at_most():
    content = b"[" + b'{"a":1},' * 999_990 + b"1]"
    tracemalloc.start()
    assert len(read_json(content)) == 999_991
    assert tracemalloc.get_traced_memory()[1] < 260 * MIB
    tracemalloc.stop()


def test_punctuation_of_texts_does_not_make_a_page_too_large():
    body = "if (a[0] == {b}) { f(c, d); }" * 1000
    assert len(read_json(b"[%b]" % b",".join([b'{"body":"%b"}' % body.encode()] * 100))) == 100


def test_deep_nesting_is_refused():
    with pytest.raises(ValueError, match=r"\Aits brackets are nested too deeply\Z"):
        read_json(b"[" * 100_000)
