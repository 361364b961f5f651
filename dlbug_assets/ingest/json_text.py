"""Read JSON from outside sources."""

import json
from typing import Any


def read_json(content: bytes) -> Any:
    """Return a JSON value, with U+FFFD in place of unpaired surrogates in its strings.

    JSON can contain such surrogates, but tables and files cannot. Raises ValueError where the content is not JSON or is
    nested too deeply.
    """
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    try:
        value = json.loads(text)
        if _has_surrogates(text):
            written = json.dumps(value, ensure_ascii=False)
            return json.loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    return value


def _has_surrogates(text: str) -> bool:
    """Return whether JSON contains surrogates, encoded or as escapes, which may be valid pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\\ud" in text or "\\uD" in text
