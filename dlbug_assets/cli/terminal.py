"""Text for terminals."""

#: Characters that change how a terminal shows what follows: the control characters except tab and line feed, and the
#: marks that reverse the direction of writing, which make a text look like another one.
_CONTROL = [
    *(code for code in range(0x20) if chr(code) not in "\t\n"), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F,
    *range(0x202A, 0x202F), *range(0x2066, 0x206A),
]  # fmt: skip
_ESCAPES = {code: f"\\u{code:04x}" for code in _CONTROL}


def printable(text: str) -> str:
    r"""Return a text with control characters as JSON escapes them, such as ``\u001b``."""
    return text.translate(_ESCAPES)
