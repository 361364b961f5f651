"""A study with raters: from the export of sheets to agreed bugs, by the dlbug command; and the sensor of its inbox."""

import os
import re

import dagster as dg
import polars as pl
import pytest

from dlbug_assets.definitions import build_defs
from dlbug_assets.labeling.sheets.inbox import SETTLES_SECONDS
from dlbug_assets.labeling.sheets.reading.text_rows import text_rows
from dlbug_assets.protocol.study import load_study
from support.commands import command
from support.handmade import QUEUE, Handmade, filled

DIMENSIONS: tuple[str, ...] = ("bug_type", "root_cause", "effect")
LOGIC: tuple[str, ...] = ("Structural Logic Bug", "Structure Inefficiency", "Crash")
DATA: tuple[str, ...] = ("Data Bug", "Unaligned Tensor", "Bad Performance")


@pytest.fixture
def handmade(tmp_path):
    return Handmade(tmp_path)


def test_sheets_are_exported_submitted_and_adjudicated_to_agreed_bugs(handmade, tmp_path):
    handmade.dlbug("run", "--select", QUEUE)
    items = handmade.query("from labeling.items")
    assert items["frozen_at"].null_count() == items.height > 4
    handmade.dlbug("labels", "export", "--format", "csv")
    assert handmade.sheets() == ["50-ann.csv", "50-bob.csv"]
    _, texts = text_rows(handmade.outbox / "50-ann.csv")
    assert "<p>" not in str(list(texts))
    # Each question has its accepted answer beside it.
    answered = handmade.query(
        "select count(*) from labeling.items join stackoverflow.raw_posts using (library, post_id) "
        "join stackoverflow.raw_answers on answer_id = accepted_answer_id"
    ).item()
    frozen = pl.read_parquet(handmade.outbox.parent / "queue" / "round-001.parquet")
    assert frozen["accepted_answer"].count() == answered > 0

    # Both raters list the same single bug in every item, and submit with the command.
    for rater in ("ann", "bob"):
        path = tmp_path / f"50-{rater}.csv"
        path.write_text(filled(handmade.outbox / path.name, lambda _: {"is_bug": "true"}), encoding="utf-8")
    done = handmade.dlbug("labels", "import", str(tmp_path / "50-ann.csv"), str(tmp_path / "50-bob.csv"))
    assert "Cohen's kappa so far" in done.stdout
    frozen = handmade.query("from labeling.items where frozen_at is not null")
    assert frozen.drop("frozen_at").equals(items.drop("frozen_at"))
    assert handmade.query("select distinct frozen_by from labeling.units").item() == "agreement"

    # A sheet that a rater is filling in within the outbox is not overwritten.
    edited = handmade.outbox / "50-ann.csv"
    edited.write_text("mine")
    handmade.dlbug("labels", "export", "--format", "csv")
    assert edited.read_text() == "mine"
    assert {"50-ann-dimensions.csv", "50-bob-dimensions.csv", "100-ann.csv"} <= set(handmade.sheets())

    for rater, first in (("ann", LOGIC), ("bob", DATA)):
        path = tmp_path / f"50-{rater}-dimensions.csv"

        def answers(number, first=first):
            values = first if number == 0 else LOGIC
            return dict(zip(DIMENSIONS, values, strict=True)) | {"stage": "none", "antipattern": "none"}

        path.write_text(filled(handmade.outbox / path.name, answers), encoding="utf-8")
    # One rater submits the next sheet as well; its first row is invalid and is rejected.
    path = tmp_path / "100-ann.csv"
    path.write_text(
        filled(handmade.outbox / path.name, lambda n: {"is_bug": "maybe" if n == 0 else "false"}), encoding="utf-8"
    )
    sheets = ("50-ann-dimensions.csv", "50-bob-dimensions.csv", path.name)
    paths = [str(tmp_path / sheet) for sheet in sheets]
    done = command(handmade.root, "labels", "import", *paths, "--study", str(handmade.path))
    assert_a_row_was_refused(handmade, done)
    undecided = handmade.query("select count(*) from labeling.disagreements where adjudicated_label is null").item()
    assert undecided == 3
    handmade.dlbug("labels", "export", "--format", "csv")
    path = tmp_path / "50-eve-dimensions.csv"
    ruling = dict(zip(DIMENSIONS, DATA, strict=True))
    path.write_text(filled(handmade.outbox / path.name, lambda _: ruling), encoding="utf-8")
    done = handmade.dlbug("labels", "import", str(path))
    assert re.search(r"dimensions  \[#{20}\] +3 of +3 labels", done.stdout)
    decided = handmade.query("select decided_by, count(*) from labeling.labels group by 1 order by 1").rows()
    assert decided[0] == ("adjudication", 1)
    assert decided[1][1] == handmade.query("select count(*) from labeling.units").item() - 1


def assert_a_row_was_refused(handmade, done):
    assert done.returncode == 1
    assert done.stderr.endswith(
        "error: 1 row or file was refused: fix what the receipts above name, and import again. "
        "Everything else counts.\n"
    )
    assert handmade.query("select file, line from labeling.rejected_labels").rows() == [("100-ann.csv", 2)]
    assert handmade.dlbug("labels", "status").stdout in done.stdout
    # The receipts are printed before the run, and are those of the table.
    kept = handmade.query("select rows, taken, refused from labeling.receipts where file = '100-ann.csv'")
    ((rows, taken, refused),) = kept.rows()
    assert (taken, refused) == (rows - 1, 1)
    lines = done.stdout.splitlines()
    receipt = lines.index(f"100-ann.csv: ann, units; {rows} rows: {taken} taken, 1 refused")
    assert receipt < lines.index("")
    refusal = lines[receipt + 1]
    assert refusal.startswith("  line 2, ")
    assert refusal.endswith(": is_bug: 'maybe' is neither true nor false")


def test_the_sensor_requests_one_run_per_change_of_the_inbox(handmade):
    definitions = build_defs(load_study(handmade.path), {"DLBUG_HOME": str(handmade.root)})
    sensor = definitions.resolve_sensor_def("labels_inbox")

    def tick(cursor):
        with dg.DagsterInstance.ephemeral() as instance:
            return sensor.evaluate_tick(
                dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
            )

    assert tick(None).skip_message == "nothing new in the inbox"
    handmade.inbox.mkdir(parents=True)
    path = handmade.inbox / "50-ann.csv"
    path.write_text("item_id")
    assert tick(None).skip_message == "still being written: 50-ann.csv"
    settled = path.stat().st_mtime - SETTLES_SECONDS - 1
    os.utime(path, (settled, settled))
    request = tick(None)
    assert len(request.run_requests or []) == 1
    assert tick(request.cursor).skip_message == "nothing new in the inbox"
