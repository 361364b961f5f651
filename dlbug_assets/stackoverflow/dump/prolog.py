"""Find where the rows of a Posts.xml begin: after its declaration, comments and `<posts>`, however long these are."""

import re
from collections.abc import Iterator

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_COMMENT, _INSTRUCTION, _DOCTYPE, _ROOT = b"<!--", b"<?", b"<!DOCTYPE", b"<posts"
#: What may precede the root element and can be skipped without keeping it: its beginning and its end.
_SKIPPED = {_COMMENT: b"-->", _INSTRUCTION: b"?>"}
#: What is matched as a whole, up to so many bytes: the declarations of a document type, and the root element.
_WHOLE = {
    _DOCTYPE: re.compile(rb"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL),
    _ROOT: re.compile(rb"<posts(?:\s[^<>]*)?>"),
}
_LONGEST = 1 << 20


def skip_prolog(chunks: Iterator[bytes]) -> tuple[int, bytes] | None:
    """Return the offset of what follows `<posts>`, and the bytes read after it; None if this isn't a Posts.xml.

    ``chunks`` are the bytes of the file from its beginning; of those before the rows, one chunk is in memory.
    """
    text, offset = b"", 0
    while True:
        stripped = text.removeprefix(_BYTE_ORDER_MARK if offset == 0 else b"").lstrip(_BLANKS)
        offset, text = offset + len(text) - len(stripped), stripped
        if len(text) < len(_DOCTYPE) and (chunk := next(chunks, b"")):
            text += chunk
            continue
        kind = next((begin for begin in (*_SKIPPED, *_WHOLE) if text.startswith(begin)), None)
        if kind is None:
            return None
        if kind in _SKIPPED:
            end = _SKIPPED[kind]
            found, dropped = text.find(end, len(kind)), 0
            while found < 0:
                kept = text[-len(end) + 1 :] if dropped or len(text) > len(kind) + len(end) else text
                chunk = next(chunks, b"")
                if not chunk:
                    return None
                dropped, text = dropped + len(text) - len(kept), kept + chunk
                found = text.find(end, 0 if dropped else len(kind))
            length = found + len(end)
            offset += dropped
        else:
            while not (whole := _WHOLE[kind].match(text)):
                chunk = next(chunks, b"")
                if not chunk or len(text) > _LONGEST:
                    return None
                text += chunk
            length = whole.end()
        offset, text = offset + length, text[length:]
        if kind == _ROOT:
            return offset, text
