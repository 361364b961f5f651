"""A study that people label by hand, in a home of its own."""

import polars as pl

from dlbug_assets.labeling.sheets.csv_format import from_csv
from dlbug_assets.layout import Home
from support.commands import Ran, command

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
#: Nobody has labelled anything yet that could be counted.
QUEUE = "not group:analysis and not group:publishing"


class Handmade:
    """The study in a home."""

    raters = ("ann", "bob")

    def __init__(self, folder):
        self.root = folder / "home"
        self.path = folder / "handmade.toml"
        self.path.write_text(STUDY, encoding="utf-8")
        self.outbox = self.root / "handmade" / "labels" / "outbox"
        self.inbox = self.root / "handmade" / "labels" / "inbox"

    def dlbug(self, *arguments):
        done = command(self.root, *arguments, "--study", str(self.path))
        assert done.returncode == 0, done.stderr
        return done

    def query(self, sql):
        return Ran(Home(self.root, "handmade"), None).query(sql)

    def sheets(self):
        return sorted(path.name for path in self.outbox.glob("[0-9]*"))


def filled(path, answers):
    """The text of a CSV sheet whose rows are answered by a function of the item's number in the sheet."""
    (_, head), *rows = from_csv(path.read_bytes())
    frame = pl.DataFrame([dict(zip(head, row, strict=True)) | answers(n) for n, (_, row) in enumerate(rows)])
    return frame.write_csv()
