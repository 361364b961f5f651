"""Read JSON that comes from outside."""

import json
from typing import Any


def read_json(content: bytes) -> Any:
    """A JSON value, with U+FFFD in the place of every half of a surrogate pair that stands alone in its texts: JSON can
    write such halves, but no table and no file can hold them. Raises ValueError for what is no JSON, and RecursionError
    for what is nested too deeply."""
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    value = json.loads(text)
    if _has_surrogates(text):
        written = json.dumps(value, ensure_ascii=False)
        return json.loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _has_surrogates(text: str) -> bool:
    """Whether surrogates stand in JSON, as escapes (which may well be pairs) or by themselves."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\\ud" in text or "\\uD" in text
