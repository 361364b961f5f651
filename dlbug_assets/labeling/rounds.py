"""Frozen rounds of the queue: what raters were given to read stays as it was, whatever the corpora do.

A round is a Parquet file in labels/queue/, written once and never changed: the rows of labeling.items, with the text
that was there to read.
"""

import io
from datetime import datetime
from pathlib import Path

import polars as pl

from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.items import ITEMS
from dlbug_assets.layout import check_folder

#: A round's file: labeling.items and what raters read of each item.
ROUND = pl.Schema({**ITEMS, "content": pl.String})


def round_files(folder: Path) -> list[Path]:
    """Return the files of all rounds, in their order. Raises :class:`DlbugError` where the folder cannot be opened."""
    check_folder(folder, "restore it from a backup: it holds what raters were given")
    return sorted(folder.glob("round-*.parquet"))


def frozen(folder: Path) -> pl.DataFrame:
    """The rows of all rounds in ``folder``, as the columns ROUND. Raises :class:`DlbugError` for a damaged file."""
    read = [pl.DataFrame(schema=ROUND)]
    for path in round_files(folder):
        try:
            rows = pl.read_parquet(path).select(ROUND.names()).cast(dict(ROUND))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DlbugError(
                f"{path} is damaged: {str(error).splitlines()[0]}. Restore it from a backup: raters read it."
            ) from None
        read.append(rows)
    return pl.concat(read)


def freeze(folder: Path, items: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Write the open round of ``items`` (columns ROUND) down for good; returns all rounds. ``now`` is UTC, without
    zone."""
    following = items.filter(pl.col("frozen_at").is_null())
    if following.height:
        rows = following.with_columns(frozen_at=pl.lit(now)).select(ROUND.names()).cast(dict(ROUND))
        content = io.BytesIO()
        rows.write_parquet(content)
        keep(folder / f"round-{rows['round'][0]:03}.parquet", content.getvalue())
    return frozen(folder)


def keep(path: Path, content: bytes) -> None:
    """Write all of a file or none of it, unless it has this content already. Raises :class:`DlbugError`."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise DlbugError(f"cannot write {path}: {error.strerror}. Free some disk space or make it writable.") from None
