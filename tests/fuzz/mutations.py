"""Mutate bytes, JSON and cells of tables: at random, or with values that programs often do not expect."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (
    "0", "-1", "-0", "1e400", "-1e400", "nan", "inf", "1.5", "0x7f", "007", "2147483648", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 400, "9" * 5000, "\u0663", "\u00b2",
)  # fmt: skip
TEXTS = (
    "", " ", "\t", "\n", "\r\n", "\0", "\x1b[2J", "\x7f", "\u0085", "\u2028", "\ufeff", "\ufffe", "\u202e",
    "\u0301" * 50, "\U0001f469\u200d\U0001f4bb", "\u0130\u0131\u017f", "none", "null", "NaN", "true", "con", "=1+1",
    "+1", "@x", "'", '"', '""', "';--", "../..", "/dev/zero", "~", "C:\\nul", "%s%n", "{0.__class__}", "${HOME}",
    "&lt;", "</posts>", "<!--", "<![CDATA[", "&#0;", "&#xD800;", "\\ud800", "\\u0000", "x" * 1000, "x" * 40_000,
    "[" * 2000, "{" * 2000, "(" * 500, "a." * 600, "2020-01-01", "9999-12-31T23:59:60", "0000-00-00",
    "2020-01-01T00:00:00+99:99", "https://user:pw@host/a", "file:///etc/passwd", "--upload-pack=x", "-x",
    "ext::sh -c x",
)  # fmt: skip
_BYTES = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\0\0\0\0", b"\x1f\x8b", b"PK\x03\x04")
_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, float("inf"), float("nan"), 2**31, 2**63, -(2**63) - 1, 10**400, "", "\0",
    "\ud800", "x" * 10_000, [], {}, [None], [[]], {"": ""}, ["a", 1], {"items": []}, "2020-01-01", "=1+1",
)  # fmt: skip
_TOKEN = re.compile(rb"\w+|[^\w\s]|\s+")

Mutation = Callable[[random.Random, bytes], bytes]


def mutate_bytes(choose: random.Random, content: bytes) -> bytes:
    """Return the content after one to four changes anywhere in it."""
    for _ in range(choose.randint(1, 4)):
        content = choose.choice(_MUTATIONS)(choose, content)
    return content


def nasty(choose: random.Random) -> str:
    """Return a value that programs often do not expect."""
    return choose.choice(choose.choice((NUMBERS, TEXTS)))


def mutate_text(choose: random.Random, text: str) -> str:
    """Return a text with a change in it, or another one."""
    if choose.random() < 0.5:
        return nasty(choose)
    place = choose.randint(0, len(text))
    return text[:place] + choose.choice(("", nasty(choose))) + text[place + choose.choice((0, 0, 1, 5)) :]


def mutate_json(choose: random.Random, content: bytes) -> bytes:
    """Return JSON with one to three changes of its values, keys and lists."""
    value = json.loads(content)
    for _ in range(choose.randint(1, 3)):
        value = _mutate_value(choose, value)
    return json.dumps(value).encode()


def _mutate_value(choose: random.Random, value: Any) -> Any:
    if isinstance(value, dict | list) and value and choose.random() < 0.85:
        key = choose.choice(list(value)) if isinstance(value, dict) else choose.randrange(len(value))
        action = choose.random()
        if action < 0.1:
            return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value[:key]
        if action < 0.15:
            return {**value, nasty(choose): value[key]} if isinstance(value, dict) else [*value, value[key]]
        changed = _mutate_value(choose, value[key])
        if isinstance(value, dict):
            return {**value, key: changed}
        return [*value[:key], changed, *value[key + 1 :]]
    if isinstance(value, str) and choose.random() < 0.5:
        return mutate_text(choose, value)
    return choose.choice((*_JSON_VALUES, nasty(choose)))


def mutate_cells(choose: random.Random, rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return a table with changes of one to three of its cells, rows or columns."""
    table = [list(row) for row in rows]
    for _ in range(choose.randint(1, 3)):
        number = choose.randrange(len(table))
        row = table[number]
        match choose.randrange(8):
            case 0:
                table.insert(choose.randint(0, len(table)), list(row))
            case 1 if len(table) > 1:
                del table[number]
            case 2:
                row.insert(choose.randint(0, len(row)), nasty(choose))
            case 3 if row:
                del row[choose.randrange(len(row))]
            case _ if row:
                place = choose.randrange(len(row))
                row[place] = mutate_text(choose, row[place])
    return table


def _flip(choose: random.Random, content: bytes) -> bytes:
    if not content:
        return b"\0"
    place = choose.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << choose.randrange(8))]) + content[place + 1 :]


def _slice(choose: random.Random, content: bytes) -> tuple[int, int]:
    begin = choose.randint(0, len(content))
    return begin, min(len(content), begin + choose.choice((1, 4, 30, 300, 3000)))


def _delete(choose: random.Random, content: bytes) -> bytes:
    begin, end = _slice(choose, content)
    return content[:begin] + content[end:]


def _duplicate(choose: random.Random, content: bytes) -> bytes:
    begin, end = _slice(choose, content)
    return content[:end] + content[begin:end] * choose.choice((1, 1, 2, 20)) + content[end:]


def _truncate(choose: random.Random, content: bytes) -> bytes:
    return content[: choose.randint(0, len(content))]


def _insert(choose: random.Random, content: bytes) -> bytes:
    place = choose.randint(0, len(content))
    added = choose.choice((choose.choice(_BYTES), nasty(choose).encode("utf-8", "surrogatepass"), choose.randbytes(4)))
    return content[:place] + added + content[place:]


def _replace_token(choose: random.Random, content: bytes) -> bytes:
    tokens = list(_TOKEN.finditer(content))
    if not tokens:
        return content
    token = choose.choice(tokens)
    return content[: token.start()] + nasty(choose).encode("utf-8", "surrogatepass") + content[token.end() :]


_MUTATIONS: tuple[Mutation, ...] = (_flip, _delete, _duplicate, _truncate, _insert, _replace_token, _replace_token)
