"""Columns of questions and answers, and the pseudonyms of their owners."""

import polars as pl

from dlbug_assets.privacy import pseudonymize, redact_emails
from dlbug_assets.warehouse.rows import table_schema

RAW_POSTS = table_schema("stackoverflow.raw_posts")
RAW_ANSWERS = table_schema("stackoverflow.raw_answers")
IRREGULARITIES = table_schema("stackoverflow.irregularities", without=("library",))

#: Columns of raw_posts that are the same in every library of a question.
CONTENT = tuple(table_schema("stackoverflow.raw_posts", without=("library", "in_scope", "deleted_at")))

#: Questions and answers as a source returns them: accounts by ID, e-mail addresses still in the texts.
QUESTIONS = table_schema(
    "stackoverflow.raw_posts", without=("library", "owner_hash", "in_scope", "deleted_at"), owner_id=pl.String
)
ANSWERS = table_schema("stackoverflow.raw_answers", without=("owner_hash",), owner_id=pl.String)
#: Questions that a source did not return although they were requested by ID.
ABSENCES = table_schema("stackoverflow.raw_posts", only=("post_id", "retrieved_at"))


def pseudonymize_owners(rows: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Replace owner_id by owner_hash, and e-mail addresses in titles and bodies by `<e-mail>`.

    ``rows`` are questions or answers with the column owner_id; ``key`` is the study's secret key.
    """
    texts = [name for name in ("title", "body_html") if name in rows.columns]
    return rows.with_columns(
        pseudonymize(key, rows["owner_id"]).alias("owner_hash"), *(redact_emails(pl.col(name)) for name in texts)
    ).drop("owner_id")
