"""Small handwritten studies, queues and submitted rows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dlbug_assets.labeling.items import ITEMS
from dlbug_assets.labeling.sheets.history import record
from dlbug_assets.labeling.sheets.validation import submitted_schema, validate
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy, load_taxonomy
from support.filled_sheets import labelling_study


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    return labelling_study


@pytest.fixture(scope="session")
def study(make_study: Callable[..., Study]) -> Study:
    return make_study()


@pytest.fixture(scope="session")
def taxonomy(study: Study) -> Taxonomy:
    return load_taxonomy(study)


@pytest.fixture(scope="session")
def make_items() -> Callable[..., pl.DataFrame]:
    """Return items from name -> checkpoint: commits if the name contains GH, of round 2 if it begins with r2-."""

    def make(checkpoints: dict[str, int]) -> pl.DataFrame:
        rows = [
            {
                "item_id": name,
                "source": "GitHub" if "GH" in name else "Stack Overflow",
                "library": "Keras",
                "title": "Title",
                "link": f"https://example.org/{name}",
                "round": int(name[1]) if name.startswith("r") else 1,
                "position": position,
                "checkpoint": checkpoint,
                "created_at": datetime(2017, 3, 1),
                "year": 2017,
                "repository": "keras-team/keras" if "GH" in name else None,
                "commit_sha": "abc" if "GH" in name else None,
                "post_id": None if "GH" in name else position,
            }
            for position, (name, checkpoint) in enumerate(checkpoints.items(), start=1)
        ]
        return pl.DataFrame(rows, schema=ITEMS)

    return make


@pytest.fixture(scope="session")
def rater_row(study: Study) -> Callable[..., dict[str, Any]]:
    """Return one submitted row. The pass is dimensions if a category is given, otherwise units."""

    def row(item: str, rater: str, batch: int = 100, bug_index: int = 1, **rest: Any) -> dict[str, Any]:
        rated = any(name in rest for name in study.asked_names)
        content = dict.fromkeys(submitted_schema(study).names()) | {
            "item_id": item,
            "rater": rater,
            "batch": batch,
            "pass": "dimensions" if rated else "units",
            "bug_index": bug_index,
            "is_bug": bug_index > 0,
            "place": None if rated or not bug_index else "line 1",
            "received_at": datetime(2026, 5, 1, 12),
            "file": f"{batch}-{rater}.csv",
            "line": 2,
        }
        if rated:
            content |= {"bug_type": "API Bug", "root_cause": "API Misuse", "effect": "Crash"}
            content |= {"stage": "none", "antipattern": "none"}
        return content | rest

    return row


@pytest.fixture(scope="session")
def as_rows(study: Study) -> Callable[..., pl.DataFrame]:
    def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema=submitted_schema(study))

    return frame


@pytest.fixture(scope="session")
def validated(taxonomy: Taxonomy, as_rows: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """Return labeling.rater_labels of rows that must all be valid.

    Each file is a version of a sheet of its own; they arrive one minute after the other, in the order of their first
    rows.
    """

    def labels(rows: list[dict[str, Any]], items: pl.DataFrame, study: Study) -> pl.DataFrame:
        files = list(dict.fromkeys(row["file"] for row in rows))
        arrived = [
            row | {"received_at": row["received_at"] + timedelta(minutes=files.index(row["file"]))}
            for row in sorted(rows, key=lambda row: files.index(row["file"]))
        ]
        valid, rejected = validate(as_rows(arrived), items, study, taxonomy)
        assert rejected.is_empty(), rejected["reason"].to_list()
        return record(valid, study, dict(zip(files, files, strict=True)), {}).labels

    return labels
