"""The history of answers: which submitted row replaces which, and which answers a corrected sheet withdraws.

What belongs here: the order of valid rows. What doesn't: whether a row is valid (validation.py).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from dlbug_assets.labeling.asked import sampled_items
from dlbug_assets.labeling.label_texts import as_text
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

TAKEN, CHANGED, UNCHANGED, WITHDRAWN = "taken", "changed", "unchanged", "withdrawn"

_ITEM = ("item_id", "rater", "batch", "pass")
_BUG = ("item_id", "bug_index")
#: A rater's answers about an item, with the columns of _ITEM.
Item = tuple[str, str, int, str]
#: One of them: with bug_index.
Key = tuple[Item, int]
#: What a row answers: item_id, rater, pass and bug_index. In the units pass all rows about an item are one answer.
Question = tuple[str, str, str, int]


class Recorded(NamedTuple):
    """labeling.rater_labels; and, by version, what became of its rows, and what was assumed about earlier answers."""

    labels: pl.DataFrame
    outcomes: Mapping[str, Counter[str]]
    assumptions: Mapping[str, str]


def record(
    valid: pl.DataFrame,
    study: Study,
    sheets: Mapping[str, str],
    refused: Mapping[str, Collection[Question]],
    *,
    cleared: Mapping[str, Collection[Question]] | None = None,
    is_partial: pl.Expr | None = None,
) -> Recorded:
    """Return what the valid rows of all versions amount to.

    ``valid`` has the columns of labeling.rater_labels except those that are added here, in order of arrival; ``file``
    is the version. ``sheets`` names the sheet of each version, ``refused`` the answers that were refused in it, and
    ``cleared`` those with a blank row. ``is_partial`` is true of rows of which something is left to answer.

    A row about the same bug, batch and pass supersedes the former one, unless it repeats it: then it is dropped. "No
    bug" supersedes the bugs that the rater listed for that batch, and the other way round. A version that repeats an
    answer that its sheet gave before withdraws those whose rows it clears, and bugs that are gone from the list of an
    item. If it repeats more than half of them, it is a corrected version, and also withdraws those that it lacks. Any
    other version is a portion of the sheet, and withdraws nothing. Partial answers do not show that: a sheet that is
    exported again repeats them, and lacks what is complete. ``revision`` counts from 1 per item, rater, batch, pass and
    bug.
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
    partial = pl.lit(value=False) if is_partial is None else is_partial
    rows = replayed.select(*columns, answer, partial.alias("_is_partial")).rows()
    replay = _Replay(rows)
    for version, sheet in sheets.items():
        replay.add(version, sheet, outcomes[version], refused.get(version, ()), (cleared or {}).get(version, ()))
    history = replayed.select(
        "_row",
        pl.Series("revision", map(replay.revisions.get, range(len(rows))), pl.Int32),
        pl.Series("replaced_at", map(replay.replaced_at.get, range(len(rows))), pl.Datetime("us")),
        pl.Series("withdrawn", [row in replay.withdrawn for row in range(len(rows))], pl.Boolean),
        _is_kept=pl.Series([row in replay.revisions for row in range(len(rows))], dtype=pl.Boolean),
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
    return Recorded(labels.select(schema.names()).cast(schema), outcomes, replay.assumptions)


def partly_rated(items: pl.DataFrame, units: pl.DataFrame, study: Study) -> pl.Expr:
    """Return whether a rater's row in the dimensions pass leaves a dimension blank that is asked."""
    sampled = sampled_items(items, units, study)
    return pl.any_horizontal(
        pl.col(name).is_null() & (pl.col("item_id").is_in(sorted(sampled[name])) if name in sampled else True)
        for name in study.asked_names
    )


def partly_decided(labels: pl.DataFrame, study: Study) -> pl.Expr:
    """Return whether an adjudicator's row in the dimensions pass leaves a dimension blank in which raters differ.

    ``labels`` is what the raters answered in this pass, with the columns of labeling.rater_labels.
    """
    current = labels.filter(~pl.col("superseded"))
    latest = current.filter(pl.col("batch") == pl.col("batch").max().over(*_BUG, "rater"))
    differing = latest.group_by(_BUG).agg(
        (as_text(dimension).drop_nulls().n_unique() > 1).alias(dimension.name) for dimension in study.asked
    )
    return pl.any_horizontal(
        pl.col(name).is_null() & _bug_id().is_in(differing.filter(name).select(_bug_id()).to_series().implode())
        for name in study.asked_names
    )


def _bug_id() -> pl.Expr:
    return pl.concat_str("item_id", pl.col("bug_index").cast(pl.String), separator="#")


class _Replay:
    """The answers that count, version by version.

    ``rows`` are item_id, rater, batch, pass, bug_index, version, received_at, the answer as one text, and whether it is
    partial.
    """

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._of_version: dict[str, list[int]] = {}
        for row, (*_, version, _, _, _) in enumerate(rows):
            self._of_version.setdefault(version, []).append(row)
        self._current: dict[Item, dict[int, int]] = {}
        self._given_in: dict[int, str] = {}  # row -> the sheet that gave it last
        self._by_sheet: dict[str, set[Key]] = {}
        self._counts: Counter[Key] = Counter()
        #: By row: its revision (none of a repeated row), and when it was replaced; and the rows that were withdrawn.
        self.revisions: dict[int, int] = {}
        self.replaced_at: dict[int, datetime] = {}
        self.withdrawn: set[int] = set()
        #: By version: what was assumed about earlier answers.
        self.assumptions: dict[str, str] = {}

    def add(
        self,
        version: str,
        sheet: str,
        outcome: Counter[str],
        refused: Collection[Question],
        cleared: Collection[Question],
    ) -> None:
        """Add the rows of a version of a sheet, and count what becomes of them."""
        rows = self._of_version.get(version, [])
        if not rows:
            return
        before = self._still_given(sheet)
        complete = {(item, index) for item, index in before if not self._rows[self._current[item][index]][8]}
        present = {self._take(row, sheet, outcome) for row in rows}
        left_out = (before & self._still_given(sheet)) - present
        lacking = {key for key in left_out if _question(key) not in refused}
        if not lacking:
            return
        repeated = len(complete - left_out)
        if 2 * repeated > len(complete):
            kind, withdrawn = "a corrected version", lacking
        else:
            kind = "a portion of its sheet"
            # Of a list of bugs, deleting a row is clearing it.
            listed = {item for item, _ in present if item[3] == LIST_BUGS}
            is_cleared = {key for key in lacking if _question(key) in cleared or key[0] in listed}
            withdrawn = is_cleared if repeated else set()
        time = self._rows[rows[0]][6]
        self.withdrawn |= {self._replace(item, index, time) for item, index in withdrawn}
        outcome[WITHDRAWN] = len(withdrawn)
        fates = {"withdrawn": len(withdrawn), "kept": len(lacking) - len(withdrawn)}
        self.assumptions[version] = (
            f"{kind}: it repeats {repeated} of {len(complete)} earlier answers; of those that it lacks, "
            + ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
        )

    def _take(self, row: int, sheet: str, outcome: Counter[str]) -> Key:
        """Let a row count, unless it repeats the one that counts."""
        *item_of, index, _, received_at, text, _ = self._rows[row]
        item: Item = (item_of[0], item_of[1], item_of[2], item_of[3])
        current = self._current.setdefault(item, {})
        if index in current and self._rows[current[index]][7] == text:
            outcome[UNCHANGED] += 1
        else:
            outdated = [each for each in current if each == index or (index == 0) != (each == 0)]
            for each in outdated:
                self._replace(item, each, received_at)
            outcome[CHANGED if outdated else TAKEN] += 1
            self._counts[item, index] += 1
            self.revisions[row] = self._counts[item, index]
            current[index] = row
        self._given_in[current[index]] = sheet
        self._by_sheet.setdefault(sheet, set()).add((item, index))
        return item, index

    def _replace(self, item: Item, index: int, time: datetime) -> int:
        """Let a row no longer count; return it."""
        row = self._current[item].pop(index)
        self.replaced_at[row] = time
        return row

    def _still_given(self, sheet: str) -> set[Key]:
        """Return the answers of a sheet that count."""
        return {
            (item, index)
            for item, index in self._by_sheet.get(sheet, ())
            if self._given_in.get(self._current.get(item, {}).get(index, -1)) == sheet
        }


def _question(key: Key) -> Question:
    (item_id, rater, _, pass_name), index = key
    return item_id, rater, pass_name, 0 if pass_name == LIST_BUGS else index
