"""Sheets as people fill them in: written in one of the formats, submitted through the inbox, read back."""

import dataclasses
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from dlbug_assets.labeling import adjudication, units
from dlbug_assets.labeling.bug_labels import bug_labels, wide
from dlbug_assets.labeling.imported.history import read_imported
from dlbug_assets.labeling.items import ITEMS, add_years
from dlbug_assets.labeling.questions import questions
from dlbug_assets.labeling.rounds import ROUND
from dlbug_assets.labeling.sheets import inbox, submissions
from dlbug_assets.labeling.sheets.assignments import due_sheets
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.labeling.sheets.writing import label_studio
from dlbug_assets.labeling.sheets.writing.csv_format import to_csv
from dlbug_assets.labeling.sheets.writing.xlsx_format import to_xlsx
from dlbug_assets.protocol.study import Study, StudyFiles, load_study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.frames import register_frame
from dlbug_assets.warehouse.rows import table_schema
from dlbug_assets.warehouse.table_specs import load_specs
from support.clocks import ManualClock

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

#: Every item has a date.
NO_BRACKETS = pl.DataFrame(schema=table_schema("reference.post_id_years"))


def labelling_study(raters=("ann", "bob"), checkpoints=(5, 10, 100), taxonomy=None, raters_per_item=None, **changes):
    """Return a study of posts and commits, labelled in the dimensions of islam2019 unless ``changes`` has others.

    ``taxonomy`` is the path of the categories of others.
    """
    followed = load_study("islam2019")
    content = {
        "study": {"name": "tiny", "title": "Tiny", "seed": 7},
        "libraries": [{"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"}],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {
            "raters": raters,
            "adjudicator": "eve",
            "checkpoints": checkpoints,
            "raters_per_item": raters_per_item,
        },
        "dimensions": followed.dimensions,
    }
    files = StudyFiles(
        taxonomy=taxonomy or followed.files.taxonomy, mappings=None if taxonomy else followed.files.mappings
    )
    return Study.model_validate(content | changes).with_files(files)


@dataclass
class Loop:
    """The labelling of some items in a folder, with the tables computed from all submissions."""

    study: Study
    taxonomy: Taxonomy
    items: pl.DataFrame
    folder: Path
    file_format: str = "xlsx"

    def __post_init__(self):
        self.clock = ManualClock(WHEN)
        self.compute()

    @property
    def inbox(self):
        return self.folder / "inbox"

    @property
    def read_items(self):
        return self.items.with_columns(
            content=pl.format("Text of {}", "item_id"), accepted_answer=pl.format("Answer to {}", "item_id")
        ).select(ROUND.names())

    def due(self, again=()):
        return {
            sheet.name: sheet
            for sheet in due_sheets(self.study, self.read_items, self.labels, self.units, self.questions, again=again)
        }

    def submit(self, sheet, answers, name=None):
        """Fill in a sheet and put it into the inbox; return its path.

        ``answers`` maps a row to the values to write into it, or to a list of such values for several bugs; None
        leaves it blank.
        """
        rows = []
        for row in sheet.rows:
            given = answers(row)
            for number, filled in enumerate(given if isinstance(given, list) else [given]):
                index = {} if number == 0 or sheet.pass_name != LIST_BUGS else {"bug_index": number + 1}
                rows.append(row | index | (filled or {}))
        filled = dataclasses.replace(sheet, rows=tuple(rows))
        ending, content = {
            "xlsx": lambda: ("xlsx", to_xlsx(filled, self.taxonomy, [])),
            "csv": lambda: ("csv", to_csv(filled)),
            "label-studio": lambda: ("json", exported(filled, self.taxonomy)),
        }[self.file_format if not sheet.rater_columns else "csv"]()
        return self.drop(f"{name or sheet.name}.{ending}", content)

    def drop(self, name, content):
        """Put a settled file into the inbox; return its path."""
        self.inbox.mkdir(parents=True, exist_ok=True)
        path = self.inbox / name
        path.write_bytes(content)
        settled = WHEN.timestamp() - 100
        os.utime(path, (settled, settled))
        return path

    def read(self):
        """Receive the files of the inbox, compute the tables and check them."""
        self.compute()
        self._check()

    def receive(self):
        """Receive the files of the inbox."""
        settled, self.growing = inbox.settled_files(self.inbox, self.clock)
        self.new = inbox.receive(settled, self.folder / "received", self.clock)

    def compute(self):
        """Receive the files of the inbox and compute the tables."""
        self.receive()
        self.imported = read_imported(self.folder / "final", self.items, self.study, self.taxonomy)
        final = self.imported.labels
        submitted = submissions.read(self.folder / "received", self.items, self.study, self.taxonomy, self.imported)
        self.labels, self.rejected, self.receipts = submitted.labels, submitted.rejected, submitted.receipts
        self.units = units.frozen_units(self.labels, self.items, final, self.study)
        self.questions = questions(self.labels, self.units, self.items, self.rejected, final, study=self.study)
        self.disagreements = adjudication.disagreements(self.labels, self.questions, self.study, final)
        self.decided = adjudication.decide(
            self.labels, self.questions, self.units, self.items, self.study, imported=final
        )
        self.bug_labels = bug_labels(self.decided, self.study, self.taxonomy)

    def _check(self):
        """Assert that the tables pass their checks: no submission may stop a run."""
        # It loads Dagster, which would be in the way of tests that read files with little memory.
        from dlbug_assets.asset_factories.seeds import study_tables  # noqa: PLC0415

        computed = {
            "items": self.items,
            "rater_labels": self.labels,
            "units": self.units,
            "rejected_labels": self.rejected,
            "receipts": self.receipts,
            "imported_labels": self.imported.labels,
            "questions": self.questions,
            "disagreements": self.disagreements,
            "labels": wide(add_years(self.decided, self.items, NO_BRACKETS), self.bug_labels, self.study),
            "bug_labels": self.bug_labels,
        }
        specs = load_specs(study=self.study)
        with duckdb.connect() as warehouse:
            warehouse.execute("create schema reference; create schema labeling")
            tables = study_tables(self.study, self.taxonomy)
            for table, rows in (tables | {f"labeling.{name}": rows for name, rows in computed.items()}).items():
                register_frame(warehouse, "rows", rows)
                warehouse.execute(f"create table {table} as from rows")
            for name, rows in computed.items():
                spec = specs[f"labeling.{name}"]
                assert set(rows.columns) == {column.name for column in spec.columns}
                for check in spec.checks:
                    if check.blocking:
                        assert warehouse.execute(check.violations).fetchall() == [], f"{name}: {check.name}"

    def current(self):
        """Return the labels that are not superseded: item, rater, pass, bug, answers."""
        asked = self.study.asked_names
        names = ("item_id", "rater", "batch", "pass", "bug_index", "is_bug", *asked, "place", "comment")
        return self.labels.filter(~pl.col("superseded")).select(names).sort(names).rows()


def items_of(count, study, commits=0):
    """Return a frozen queue of posts and commits."""
    rows = []
    for number in range(count + commits):
        is_post = number < count
        rows.append(
            {
                "item_id": f"SO-Keras-{number}" if is_post else f"GH-Keras-{number:040}",
                "source": "Stack Overflow" if is_post else "GitHub",
                "library": "Keras",
                "title": f"=cmd|' /C calc'!A{number}" if number == 0 else f'Title, "quoted" {number}',
                "link": f"https://example.org/{number}?a=b&c=d",
                "round": 1,
                "position": number + 1 if is_post else number - count + 1,
                "checkpoint": next(
                    percent for percent in study.labeling.checkpoints if 100 * (number % count + 1) <= percent * count
                ),
                "post_id": number if is_post else None,
                "commit_sha": None if is_post else f"{number:040}",
                "frozen_at": datetime(2026, 1, 1),
            }
        )
    return pl.DataFrame(rows, schema=ITEMS)


def exported(sheet, taxonomy):
    """Return Label Studio's export of a project whose tasks were answered as in the sheet's rows."""
    tasks = {}
    for row, task in zip(sheet.rows, json.loads(label_studio.tasks(sheet, taxonomy)), strict=True):
        key = row["item_id"], row["bug_index"] if sheet.pass_name != LIST_BUGS else 0
        tasks.setdefault(key, {"data": task["data"], "rows": []})["rows"].append(row)
    exported_tasks = [_task(number, task, sheet.dimensions) for number, task in enumerate(tasks.values(), 1)]
    return json.dumps(exported_tasks).encode()


def _task(number, task, dimensions):
    results = []

    def add(name, kind, values):
        key = "text" if kind == "textarea" else "choices"
        results.append({"id": f"r{number}{name}", "from_name": name, "to_name": "content", "type": kind,
                        "origin": "manual", "value": {key: values}})  # fmt: skip

    first = task["rows"][0]
    if first["pass"] == LIST_BUGS and first["is_bug"] is not None:
        add("is_bug", "choices", [str(first["is_bug"]).lower()])
        places = [row["place"] for row in task["rows"] if row["place"]]
        if places:
            add("place", "textarea", places)
    for dimension in dimensions:
        if first[dimension.name] and first["pass"] != LIST_BUGS:
            add(dimension.name, "textarea" if dimension.open else "choices", dimension.split(first[dimension.name]))
    if first["comment"]:
        add("comment", "textarea", [first["comment"]])
    annotation = {"id": number, "completed_by": 1, "result": results, "was_cancelled": False, "lead_time": 3.5,
                  "created_at": "2026-02-01T10:00:00.000000Z", "updated_at": "2026-02-01T10:00:05.000000Z"}  # fmt: skip
    return {"id": number, "data": task["data"], "annotations": [annotation] if results else [], "predictions": []}
