"""The history of answers: which submitted row replaces which, and which answers a corrected sheet withdraws.

What belongs here: the order of valid rows. What doesn't: whether a row is valid (validation.py).
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import polars as pl

from dlbug_assets.labeling.label_texts import as_text
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

TAKEN, CHANGED, UNCHANGED, WITHDRAWN = "taken", "changed", "unchanged", "withdrawn"

_ITEM = ("item_id", "rater", "batch", "pass")
#: A rater's answers about an item, with the columns of _ITEM.
Item = tuple[str, str, int, str]
#: One of them: with bug_index.
Key = tuple[Item, int]


class Recorded(NamedTuple):
    """labeling.rater_labels; and, by version, what became of its rows, and what was assumed about earlier answers."""

    labels: pl.DataFrame
    outcomes: Mapping[str, Counter[str]]
    assumptions: Mapping[str, str]


@dataclass
class _Answers:
    """The rows that count, and when each of the others was replaced."""

    current: dict[Item, dict[int, int]] = field(default_factory=dict)
    given_in: dict[int, str] = field(default_factory=dict)  # row -> sheet
    by_sheet: dict[str, set[Key]] = field(default_factory=dict)
    replaced_at: dict[int, datetime] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)

    def replace(self, item: Item, index: int, time: datetime) -> int:
        """Let a row no longer count; return it."""
        row = self.current[item].pop(index)
        self.replaced_at[row] = time
        return row

    def still_given(self, sheet: str) -> set[Key]:
        """Return the answers of a sheet that count."""
        return {
            (item, index)
            for item, index in self.by_sheet.get(sheet, ())
            if self.given_in.get(self.current.get(item, {}).get(index, -1)) == sheet
        }


def record(
    valid: pl.DataFrame, study: Study, sheets: Mapping[str, str], refused: Mapping[str, Collection[Key]]
) -> Recorded:
    """Return what the valid rows of all versions amount to.

    ``valid`` has the columns of labeling.rater_labels except those that are added here, in order of arrival; ``file``
    is the version. ``sheets`` names the sheet of each version, ``refused`` the answers that were refused in it.

    A row about the same bug, batch and pass supersedes the former one, unless it repeats it: then it is dropped. "No
    bug" supersedes the bugs that the rater listed for that batch, and the other way round. A version that repeats at
    least half of the answers that its sheet gave before is a corrected one: answers that it lacks are withdrawn. Any
    other version is a portion of the sheet, and withdraws nothing. ``revision`` counts from 1 per item, rater, batch,
    pass and bug.
    """
    numbered = valid.with_row_index("_row")
    # Only the few items and sheets with several versions need more than the first answer.
    versions = Counter(sheets.values())
    is_alone = pl.col("file").is_in([version for version, sheet in sheets.items() if versions[sheet] == 1])
    is_simple = is_alone & (pl.col("file").n_unique().over(_ITEM) == 1)
    replayed = numbered.filter(~is_simple)
    outcomes: dict[str, Counter[str]] = {version: Counter() for version in sheets}
    for version, count in numbered.filter(is_simple).group_by("file").len().rows():
        outcomes[version][TAKEN] = count
    columns = (*_ITEM, "bug_index", "file", "received_at")
    written = [as_text(dimension) for dimension in study.asked]
    cells = [pl.col("is_bug").cast(pl.String), *written, pl.col("place"), pl.col("comment")]
    answer = pl.concat_str([cell.fill_null("\x1e") for cell in cells], separator="\x1f")
    rows = replayed.select(*columns, answer).rows()
    answers = _Answers()
    revisions: list[int | None] = []
    counts: Counter[Key] = Counter()
    assumptions: dict[str, str] = {}
    of_version: dict[str, range] = {}
    for row, (*_, version, _, _) in enumerate(rows):
        start = of_version[version].start if version in of_version else row
        of_version[version] = range(start, row + 1)
    for version, sheet in sheets.items():
        present: set[Key] = set()
        before = answers.still_given(sheet)
        time = rows[of_version[version].start][6] if version in of_version else None
        for row in of_version.get(version, ()):
            *item_of, index, _, received_at, text = rows[row]
            item: Item = (item_of[0], item_of[1], item_of[2], item_of[3])
            current = answers.current.setdefault(item, {})
            present.add((item, index))
            if index in current and rows[current[index]][7] == text:
                outcomes[version][UNCHANGED] += 1
                revisions.append(None)
                answers.given_in[current[index]] = sheet
                answers.by_sheet.setdefault(sheet, set()).add((item, index))
                continue
            outdated = [each for each in current if each == index or (index == 0) != (each == 0)]
            for each in outdated:
                answers.replace(item, each, received_at)
            outcomes[version][CHANGED if outdated else TAKEN] += 1
            current[index] = row
            counts[item, index] += 1
            revisions.append(counts[item, index])
            answers.given_in[row] = sheet
            answers.by_sheet.setdefault(sheet, set()).add((item, index))
        if time is not None:
            lacking = (before & answers.still_given(sheet)) - present - set(refused.get(version, ()))
            repeated = len(before & present)
            if lacking and 2 * repeated >= len(before):
                answers.withdrawn |= {answers.replace(item, index, time) for item, index in lacking}
                outcomes[version][WITHDRAWN] = len(lacking)
                assumptions[version] = (
                    f"a corrected version: it repeats {repeated} of {len(before)} earlier answers, so those that it "
                    f"lacks are withdrawn ({len(lacking)})"
                )
            elif lacking:
                assumptions[version] = (
                    f"a portion of its sheet: it repeats {repeated} of {len(before)} earlier answers, so those that it "
                    f"lacks still count ({len(lacking)})"
                )
    history = replayed.select(
        "_row",
        pl.Series("revision", revisions, pl.Int32),
        pl.Series("replaced_at", map(answers.replaced_at.get, range(len(rows))), pl.Datetime("us")),
        pl.Series("withdrawn", [row in answers.withdrawn for row in range(len(rows))], pl.Boolean),
        _is_kept=pl.Series([revision is not None for revision in revisions], dtype=pl.Boolean),
    )
    schema = table_schema("labeling.rater_labels", study)
    labels = (
        numbered.join(history, on="_row", how="left", maintain_order="left")
        .filter(pl.col("_is_kept").fill_null(value=True))
        .with_columns(
            pl.col("revision").fill_null(1),
            pl.col("withdrawn").fill_null(value=False),
            superseded=pl.col("replaced_at").is_not_null(),
        )
    )
    return Recorded(labels.select(schema.names()).cast(schema), outcomes, assumptions)
