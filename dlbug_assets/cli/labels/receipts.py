"""Receipts as text: what became of the rows of a submitted file, and each refused row with its reason on one line."""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from dlbug_assets.cli.terminal import printable
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, WHOLE_FILE

#: Refused rows that are printed of a file.
MOST_REFUSALS = 20
#: Characters of a line with a refused row.
_LONGEST_LINE = 200
_OUTCOMES = ("taken", "changed", "unchanged", "blank", "withdrawn", "refused")


def receipt_lines(receipt: dict[str, Any], refused: pl.DataFrame, command: str) -> Iterator[str]:
    """Yield the lines of a receipt, a row of labeling.receipts.

    ``refused`` are rows of labeling.rejected_labels that are listed below it; ``command`` shows those beyond
    :data:`MOST_REFUSALS`.
    """
    version = f"version {receipt['version']}" if receipt["version"] > 1 else None
    about = ", ".join(filter(None, (version, receipt["rater"], receipt["pass"])))
    outcomes = ", ".join(f"{receipt[name]} {name}" for name in _OUTCOMES if receipt[name])
    rows = receipt["rows"]
    if not refused.filter(line=WHOLE_FILE).is_empty():
        counted = "refused"
    else:
        counted = f"{rows} {'row' if rows == 1 else 'rows'}: {outcomes}" if outcomes else "no rows"
    yield printable(f"{receipt['file']}: {f'{about}; ' if about else ''}{counted}")
    if receipt["note"]:
        yield printable(f"  note: {_one_line(receipt['note'])}")
    for row in refused.sort("line", maintain_order=True).head(MOST_REFUSALS).iter_rows(named=True):
        yield f"  {refusal_line(row)}"
    if refused.height > MOST_REFUSALS:
        yield f"  and {refused.height - MOST_REFUSALS} more: {command}"


def refusal_line(row: dict[str, Any]) -> str:
    """Return where a refused row is, what it is about and why it was refused, in one line.

    ``row`` is a row of labeling.rejected_labels.
    """
    content = json.loads(row["content"]) if row["content"] else {}
    bug = content.get("bug_index")
    is_shown = content.get("item_id") and bug and (content.get("pass") != LIST_BUGS or str(bug) != "1")
    about = f"{content.get('item_id') or ''}{f' bug {bug}' if is_shown else ''}"
    kind = "task" if row["file"].lower().endswith(".json") else "line"  # Label Studio numbers tasks
    place = f"{kind} {row['line']}" if row["line"] else "the whole file"
    line = printable(_one_line(f"{place}{f', {about}' if about else ''}: {row['reason']}"))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _one_line(text: str) -> str:
    return " ".join(text.split())
