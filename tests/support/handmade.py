"""A study that is labelled by hand, with its own home."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import polars as pl

from dlbug_assets.labeling.sheets.reading.text_rows import text_rows
from dlbug_assets.layout import Home
from support.commands import command, query

STUDY = """
[study]
name = "handmade"
title = "Labelled by hand"
seed = 5
[selection]
created_until = 2012-12-31
commits_per_library = 4
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"
[sources]
posts = "sample"
commits = "sample"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
checkpoints = [50, 100]
"""
#: What can be computed before there are labels.
QUEUE = "not group:analysis and not group:publishing"


class Handmade:
    """The study in its home."""

    raters = ("ann", "bob")

    def __init__(self, folder: Path, study: str = STUDY, taxonomy: str | None = None) -> None:
        self.root = folder / "home"
        self.path = folder / "study.toml"
        self.path.write_text(study, encoding="utf-8")
        if taxonomy is not None:
            (folder / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")
        self.outbox = self.root / "handmade" / "labels" / "outbox"
        self.inbox = self.root / "handmade" / "labels" / "inbox"

    def dlbug(self, *arguments: str) -> CompletedProcess[str]:
        """Run the dlbug command on the study; it must succeed."""
        done = command(self.root, *arguments, "--study", str(self.path))
        assert done.returncode == 0, done.stderr
        return done

    def query(self, sql: str) -> pl.DataFrame:
        """Return the rows of a query on the published database."""
        return query(Home(self.root, "handmade"), sql)

    def sheets(self) -> list[str]:
        """Return the names of the exported sheets."""
        return sorted(path.name for path in self.outbox.glob("[0-9]*"))


def filled(path: Path, answers: Callable[[int], dict[str, str]]) -> str:
    """Return a CSV sheet filled with the answers to each row, by its number (0..)."""
    _, ((_, head), *rows) = text_rows(path)
    frame = pl.DataFrame([dict(zip(head, row, strict=True)) | answers(n) for n, (_, row) in enumerate(rows)])
    return frame.write_csv()
