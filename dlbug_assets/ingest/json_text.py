"""Read JSON from outside sources."""

import json
from typing import Any

#: A page of an API has thousands of values, and their texts have tens of thousands of these characters. A value takes
#: up to 116 bytes for each.
_MOST_VALUES = 2_000_000


def read_json(content: bytes, most_values: int = _MOST_VALUES) -> Any:
    """Return a JSON value, with U+FFFD in place of unpaired surrogates in its strings.

    JSON can contain such surrogates, but tables and files cannot. Raises ValueError where the content is not JSON, is
    nested too deeply, or may have more than ``most_values`` values: 64 MiB of ``{}`` would take a gigabyte.
    """
    # Every value but the first, or the key before it, comes after one of these characters.
    if sum(content.count(character) for character in (b",", b"[", b"{")) > most_values:
        raise ValueError(f"it has more than {most_values:,} values")
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
