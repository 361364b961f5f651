"""Frozen rounds of the queue: raters' items and texts stay the same even if the corpora change.

A round is a Parquet file in labels/queue/ that is written once and never changed. It contains rows of labeling.items
with the text that raters read.
"""

import io
from datetime import datetime
from pathlib import Path

import polars as pl

from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import check_folder
from dlbug_assets.warehouse.rows import table_schema

#: The rows of a round's file: labeling.items with the texts that raters read: ``content``, and the ``accepted_answer``
#: of a post.
ROUND = table_schema("labeling.items", content=pl.String, accepted_answer=pl.String)
#: What rounds that were frozen by former versions lack.
_ADDED = ("raters", "accepted_answer")


def round_files(folder: Path) -> list[Path]:
    """Return the files of all rounds, in order.

    Raises :class:`DlbugError` if the folder cannot be opened.
    """
    check_folder(folder, "restore it from a backup: it contains the frozen items that raters label")
    return sorted(folder.glob("round-*.parquet"))


def frozen(folder: Path) -> pl.DataFrame:
    """Return the rows of all rounds in ``folder``, with the columns of ROUND.

    Raises :class:`DlbugError` for a damaged file.
    """
    rounds = [pl.DataFrame(schema=ROUND)]
    for path in round_files(folder):
        try:
            rows = pl.read_parquet(path)
            lacking = {name: pl.lit(None, ROUND[name]) for name in _ADDED if name not in rows.columns}
            rows = rows.with_columns(**lacking).select(ROUND.names()).cast(ROUND)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DlbugError(
                f"{path} is damaged: {str(error).splitlines()[0]}. Restore it from a backup: raters label these items."
            ) from None
        rounds.append(rows)
    return pl.concat(rounds)


def freeze(folder: Path, items: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Write the open round of ``items`` (columns of ROUND), if it has any rows, and return the rows of all rounds.

    ``now`` is UTC, without time zone.
    """
    open_round = items.filter(pl.col("frozen_at").is_null())
    if open_round.height:
        rows = open_round.with_columns(frozen_at=pl.lit(now)).select(ROUND.names()).cast(ROUND)
        content = io.BytesIO()
        rows.write_parquet(content)
        write_if_changed(folder / f"round-{rows['round'][0]:03}.parquet", content.getvalue())
    return frozen(folder)


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file atomically unless it has this content already.

    Raises :class:`DlbugError` if it cannot be written.
    """
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise DlbugError(f"cannot write {path}: {error.strerror}. Free some disk space or make it writable.") from None
