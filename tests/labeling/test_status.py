"""How far each person is, and what is to be done next."""

from datetime import timedelta

import pytest

from dlbug_assets.labeling import rounds
from dlbug_assets.labeling.sheets.export import export, last_export
from dlbug_assets.labeling.status import next_steps, progress
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.filled_sheets import Loop, items_of, labelling_study

RATED = {"bug_type": "API Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "none", "antipattern": "none"}


class Status:
    """A loop of labelling whose rounds are frozen in its folder, with its tables as a database returns them."""

    def __init__(self, folder, study, items, *, frozen=True):
        self.loop = Loop(study, load_taxonomy(study), items, folder, "csv")
        if frozen:
            open_items = self.loop.read_items.with_columns(frozen_at=None).cast(rounds.ROUND)
            rounds.freeze(folder / "queue", open_items, self.loop.clock.now().replace(tzinfo=None))

    def query(self, sql):
        table = sql.removeprefix("from labeling.")
        return getattr(self.loop, {"rater_labels": "labels", "rejected_labels": "rejected"}.get(table, str(table)))

    def progress(self):
        return progress(self.loop.questions, self.loop.study).rows()

    def next_steps(self):
        return next_steps(self.loop.study, self.query, self.loop.folder)

    def export(self):
        """Write the sheets that are due into the outbox."""
        self.loop.clock.advance(minutes=1)
        paths = export(self.loop.study, self.loop.taxonomy, self.loop.folder, self.loop.clock, self.query,
                       file_format="csv")  # fmt: skip
        return [path.name for path in paths]

    def submit(self, name, answers):
        self.loop.clock.advance(minutes=1)
        self.loop.submit(self.loop.due()[name], answers)
        self.loop.read()


@pytest.fixture
def status(tmp_path):
    study = labelling_study(checkpoints=(50, 100))
    return Status(tmp_path, study, items_of(4, study))


def test_before_the_first_export_the_queue_is_to_be_frozen(tmp_path):
    study = labelling_study(checkpoints=(50, 100))
    status = Status(tmp_path, study, items_of(4, study), frozen=False)
    assert status.progress() == [
        ("ann", "units", "items", 4, 0, 4, 0, 0),
        ("bob", "units", "items", 4, 0, 4, 0, 0),
    ]
    assert status.next_steps() == ["dlbug labels export --study tiny: freeze 4 items and write the first sheets"]


def test_sheets_are_due_until_they_are_exported_and_then_name_their_file(status):
    assert status.next_steps() == [
        "dlbug labels export --study tiny: write the 2 sheets with what is left",
        "ann: list the bugs of 2 items of batch 50",
        "bob: list the bugs of 2 items of batch 50",
    ]
    assert status.export() == ["50-ann.csv", "50-bob.csv"]
    assert status.next_steps() == [
        "ann: list the bugs of 2 items of batch 50, in 50-ann.csv",
        "bob: list the bugs of 2 items of batch 50, in 50-bob.csv",
    ]


def test_after_a_submission_the_sheets_in_the_outbox_are_outdated_until_the_next_export(status):
    status.export()
    exported_at = last_export(status.loop.folder)
    status.submit("50-ann", lambda row: {"is_bug": True} if row["item_id"] == "SO-Keras-0" else None)
    assert status.next_steps() == [
        "dlbug labels export --study tiny: write the 2 sheets with what is left",
        "ann: list the bugs of 1 item of batch 50, in 50-ann.csv",
        "bob: list the bugs of 2 items of batch 50, in 50-bob.csv",
    ]
    # The sheet of bob is the same as before, and his file is not written again.
    assert status.export() == ["50-ann.csv", "50-bob.csv"]
    assert exported_at is not None
    assert last_export(status.loop.folder) == exported_at + timedelta(minutes=2)
    assert status.next_steps()[0] == "ann: list the bugs of 1 item of batch 50, in 50-ann.csv"


def test_blank_cells_of_rated_bugs_are_named_with_the_choice_none(status):
    for rater in ("ann", "bob"):
        status.submit(f"50-{rater}", lambda _: {"is_bug": True})
    status.submit("50-bob-dimensions", lambda _: RATED | {"stage": None})
    status.submit("50-ann-dimensions", lambda row: RATED if row["item_id"] == "SO-Keras-0" else None)
    assert status.progress() == [
        ("ann", "units", "items", 4, 2, 2, 0, 0),
        ("ann", "dimensions", "bugs", 2, 1, 1, 0, 0),
        ("bob", "units", "items", 4, 2, 2, 0, 0),
        ("bob", "dimensions", "bugs", 2, 0, 2, 0, 0),
    ]
    status.export()
    assert status.next_steps() == [
        "ann: list the bugs of 2 items of batch 100, in 100-ann.csv",
        "ann: rate 1 bug of batch 50, in 50-ann-dimensions.csv",
        "bob: list the bugs of 2 items of batch 100, in 100-bob.csv",
        "bob: 2 bugs lack an answer in stage, in 50-bob-dimensions.csv: choose none if no category applies",
    ]


def test_the_adjudicator_aligns_lists_and_decides_labels(status):
    status.submit("50-ann", lambda _: {"is_bug": True})
    status.submit("50-bob", lambda row: {"is_bug": row["item_id"] == "SO-Keras-0"})
    status.submit("50-ann-dimensions", lambda _: RATED)
    status.submit("50-bob-dimensions", lambda _: RATED | {"effect": "Bad Performance", "stage": "Training"})
    assert status.progress()[-2:] == [
        ("eve", "units", "items", 1, 0, 1, 0, 0),
        ("eve", "dimensions", "labels", 2, 0, 2, 0, 0),
    ]
    assert [step for step in status.next_steps() if step.startswith("eve")] == [
        "eve: align the lists of bugs of 1 item",
        "eve: decide 2 labels of 1 bug",
    ]


def test_refused_and_withdrawn_answers_are_counted_and_refused_rows_come_first(status):
    status.export()
    status.submit("50-ann", lambda row: {"is_bug": "perhaps" if row["item_id"] == "SO-Keras-0" else True})
    status.submit("50-bob", lambda _: {"is_bug": True})
    status.loop.clock.advance(minutes=1)
    status.loop.drop("notes.csv", b"hello")
    status.loop.read()
    assert status.progress()[:1] == [("ann", "units", "items", 4, 1, 2, 0, 1)]
    assert status.next_steps()[:3] == [
        "submit notes.csv again: it was refused as a whole",
        "ann: fix 1 refused row of 50-ann.csv",
        "dlbug labels export --study tiny: write the 4 sheets with what is left",
    ]


def test_nothing_is_to_be_done_once_all_questions_are_answered(tmp_path):
    study = labelling_study(checkpoints=(100,))
    status = Status(tmp_path, study, items_of(1, study))
    for rater in ("ann", "bob"):
        status.submit(f"100-{rater}", lambda _: {"is_bug": False})
    assert status.progress() == [("ann", "units", "items", 1, 1, 0, 0, 0), ("bob", "units", "items", 1, 1, 0, 0, 0)]
    assert status.next_steps() == ["All questions are answered."]
