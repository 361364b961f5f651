"""The dimensions of a study: the questions that each bug's labels answer."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dlbug_assets.protocol.names import closest, without_devices
from dlbug_assets.protocol.sections import MOST, Section, Whole

_RESERVED = """
accepted_answer adjudicated_at adjudicated_by all answer as_written batch both bug_id bug_index bugs categories
category checkpoint cluster comment commit_sha content created_at decided_by dimension entry file frozen_at is_bug
item_id items key label label_counts labelled_at labels library line link mapped none pass place position post_id
problem provenance rater raters received_at replaced_at repository revision round row share sheet source state
superseded swapped title total withdrawn year year_high year_low year_source year_undefined_reason
"""
_KEYWORDS = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create default
deferrable desc describe distinct do else end except false fetch for foreign from group having in initially intersect
into lambda lateral leading limit not null offset on only or order pivot pivot_longer pivot_wider placing primary
qualify references returning select show some summarize symmetric table then to trailing true union unique unpivot using
variadic when where window with
"""
#: The answer that no category of an optional dimension applies.
NONE = "none"
#: Columns of tables, sheets and releases beside the dimensions, and words that stand for all or no categories.
RESERVED = frozenset(_RESERVED.split())
#: Words that DuckDB accepts as the name of a column only in quotation marks.
KEYWORDS = frozenset(_KEYWORDS.split())


class Sample(Section, frozen=True):
    """A seeded sample of posts of each library: only these are asked about a dimension."""

    posts_per_library: Whole = Field(ge=0, le=MOST)


class Dimension(Section, frozen=True):
    """[[dimensions]]: a question about each bug, answered by one category or, if ``multiple``, by several.

    ``required``: every bug has a label. ``separator``: between several categories in one cell. ``rolls_up``: the
    dimension whose categories' parents it counts; it is derived, never asked. ``before``: the parent is the part of
    the category's name before this text, instead of the parent in taxonomy.csv. ``open``: categories found in labels
    are taken as they are (open coding).
    """

    name: str
    title: str = Field(default="", max_length=100)
    question: str | None = Field(default=None, max_length=300)
    required: bool = False
    multiple: bool = False
    separator: str = Field(default=";", min_length=1, max_length=5)
    asked_of: Literal["all"] | Sample = "all"
    rolls_up: str | None = None
    before: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    open: bool = False

    @field_validator("name")
    @classmethod
    def _is_a_column(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise ValueError("use a small letter, then up to 39 small letters, digits or _ (it names columns)")
        if name in RESERVED or name.endswith("_as_written"):
            raise ValueError(f"{name!r} is the name of another column: use another one")
        if name in KEYWORDS:
            raise ValueError(f"{name!r} is a keyword of SQL, but it names columns: use another one")
        return without_devices(name)

    @model_validator(mode="before")
    @classmethod
    def _has_a_title(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("name"), str) and not content.get("title"):
            return content | {"title": content["name"].replace("_", " ").capitalize()}
        return content

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rolls_up and (self.required or self.multiple or self.asked_of != "all"):
            raise ValueError("a dimension that rolls_up another one is derived: leave out required, multiple, asked_of")
        if self.before and not self.rolls_up:
            raise ValueError("before is for a dimension that rolls_up another one")
        if self.required and self.asked_of != "all":
            raise ValueError("a required dimension is asked of every bug: leave out asked_of, or required")
        return self

    @property
    def is_asked(self) -> bool:
        """Whether raters and releases label it; otherwise it is derived from another dimension."""
        return self.rolls_up is None

    @property
    def joiner(self) -> str:
        """What is written between several categories: the separator and a blank."""
        return f"{self.separator} "

    def split(self, cell: str) -> list[str]:
        """Return the categories of a cell without white space around them: one, or several if it has ``multiple``."""
        parts = cell.split(self.separator) if self.multiple else [cell]
        return [part for part in (" ".join(part.split()) for part in parts) if part]


def check_dimensions(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """Return the dimensions, where a roll-up of several categories has several, too.

    Raises ValueError for a name that occurs twice, and for a roll-up of a dimension that does not exist or is itself
    derived.
    """
    _require_distinct(dimension.name for dimension in dimensions)
    _require_distinct(dimension.title.casefold() for dimension in dimensions)
    asked = {dimension.name: dimension for dimension in dimensions if dimension.is_asked}
    if not asked:
        raise ValueError("dimensions: none of them is asked")
    checked: list[Dimension] = []
    for dimension in dimensions:
        if dimension.rolls_up is None:
            checked.append(dimension)
        elif dimension.rolls_up in asked:
            checked.append(dimension.model_copy(update={"multiple": asked[dimension.rolls_up].multiple}))
        else:
            raise ValueError(
                f"dimensions: {dimension.name} rolls up {dimension.rolls_up!r}, which is not one of "
                f"{', '.join(asked)}{closest(dimension.rolls_up, asked)}"
            )
    return tuple(checked)


def _require_distinct(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise ValueError(f"dimensions: two of them have the name {name!r}")
        known.add(name)
