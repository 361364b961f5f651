"""Columns of questions and answers, and the pseudonyms of their owners."""

from typing import Any

import polars as pl

from dlbug_assets.privacy import pseudonymize, redact_emails

_MOMENT = pl.Datetime("us")

#: Columns of questions and answers as a source gives them: accounts by number, addresses still in the texts.
QUESTIONS: dict[str, Any] = {
    "post_id": pl.Int64,
    "title": pl.String,
    "body_html": pl.String,
    "tags": pl.List(pl.String),
    "score": pl.Int64,
    "view_count": pl.Int64,
    "answer_count": pl.Int64,
    "accepted_answer_id": pl.Int64,
    "created_at": _MOMENT,
    "last_activity_at": _MOMENT,
    "owner_id": pl.String,
    "link": pl.String,
    "content_license": pl.String,
    "retrieved_at": _MOMENT,
}
ANSWERS: dict[str, Any] = {
    "answer_id": pl.Int64,
    "post_id": pl.Int64,
    "score": pl.Int64,
    "is_accepted": pl.Boolean,
    "body_html": pl.String,
    "created_at": _MOMENT,
    "last_activity_at": _MOMENT,
    "owner_id": pl.String,
    "content_license": pl.String,
    "retrieved_at": _MOMENT,
}
ABSENCES: dict[str, Any] = {"post_id": pl.Int64, "retrieved_at": _MOMENT}
IRREGULARITIES: dict[str, Any] = {
    "collection": pl.String,
    "number": pl.Int64,
    "file": pl.String,
    "position": pl.Int64,
    "post_id": pl.Int64,
    "field": pl.String,
    "reason": pl.String,
    "content": pl.String,
}

CONTENT = tuple("owner_hash" if name == "owner_id" else name for name in QUESTIONS)

#: stackoverflow.raw_posts and raw_answers as frames.
POSTS = {
    "library": pl.String,
    **{name: pl.String if name == "owner_hash" else QUESTIONS[name] for name in CONTENT},
    "in_scope": pl.Boolean,
    "deleted_at": pl.Datetime("us"),
}
POST_ANSWERS = {("owner_hash" if name == "owner_id" else name): kind for name, kind in ANSWERS.items()}


def pseudonymize_owners(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Rows of a source without persons: owner_id becomes owner_hash, addresses in titles and bodies `<e-mail>`."""
    texts = [name for name in ("title", "body_html") if name in rows.columns]
    return rows.with_columns(
        pseudonymize(key, rows["owner_id"]).alias("owner_hash"), *(redact_emails(pl.col(name)) for name in texts)
    ).drop("owner_id")
