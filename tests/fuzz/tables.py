"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence


def csv_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV in UTF-8, with cells quoted if they need it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def csv_table(content: bytes) -> list[list[str]]:
    """Return the rows of valid CSV."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
