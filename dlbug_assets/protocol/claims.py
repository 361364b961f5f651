"""The claims of a study: what its paper, or its authors, state about the bugs, as claims.toml describes them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.files.problems import explanation, numbered
from dlbug_assets.protocol.files.toml import read_toml_file
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.sections import MOST, Section, Whole
from dlbug_assets.protocol.study import Study, shipped_studies
from dlbug_assets.protocol.taxonomy import LIBRARY, SOURCE, Taxonomy

#: In ``than``: every library that the claim does not name.
OTHERS = "others"

_MOST_PROBLEMS = 10
_MOST_NAMES = 60

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Name, ...], Field(min_length=1, max_length=500)]
_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Share = Annotated[float, Field(ge=0, le=100, strict=True)]
_Correlation = Annotated[float, Field(ge=-1, le=1, strict=True)]
_Years = Annotated[tuple[Annotated[Whole, Field(ge=1900, le=9999)], ...], Field(min_length=1, max_length=200)]
#: Printed numbers by name, where ``printed`` only refers to them.
_Values = Annotated[dict[_Name, float], Field(min_length=1, max_length=500)]
_Over = Literal["pooled", "mean", "each", "most"]


class Within(Section, frozen=True):
    """Other categories whose bugs a claim is limited to, such as those of the model related bug types."""

    dimension: _Name
    categories: _Names


class Than(Section, frozen=True):
    """The shares that others have to exceed. What is left out is as in the claim; "others" are all other libraries."""

    category: _Name | None = None
    libraries: Literal["others"] | _Names | None = None
    source: _Name | None = None
    over: _Over | None = None

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.category is None and self.libraries is None and self.source is None:
            raise ValueError("needs a category, libraries or a source that differs from the claim's")
        return self


class _Claim(Section, frozen=True):
    """What all claims have.

    ``finding``: its number; the claim with ``role`` "headline" decides the finding, "supporting" ones have verdicts of
    their own. ``text``: the claim, ``metric``: what is measured for it. ``printed``: the numbers as the paper prints
    them, absent for one's own hypotheses; ``sense``: what the paper's words ask of a number.
    """

    finding: Annotated[Whole, Field(ge=1, le=MOST)]
    role: Literal["headline", "supporting"] = "headline"
    text: _Text
    metric: _Text | None = None
    section: _Name | None = None
    printed: _Text | None = None
    sense: Literal["equal", "more than", "at least", "about"] = "equal"

    @model_validator(mode="after")
    def _prints_numbers(self) -> Self:
        if self.printed is None and self.sense != "equal":
            raise ValueError("printed: missing; sense is about what the paper prints")
        if self.sense != "equal" and not numbers(str(self.printed)):
            raise ValueError(f"printed: {shown(self.printed)} has no number, which sense = {self.sense!r} needs")
        return self


class _OfDimension(_Claim, frozen=True):
    """A claim about the bugs with a label in a dimension, of all libraries and sources unless it names some."""

    dimension: _Name
    libraries: _Names | None = None
    source: _Name | None = None


class _OfCategory(_OfDimension, frozen=True):
    """A claim about the share of a category, or of several categories together.

    ``within`` limits it to bugs of other categories, ``years`` to those of some years (UTC). ``over``: one share for
    all libraries (or categories of ``within``), their mean, the share in each of them, or in more than half of them.
    ``shows``: what is set beside ``printed``, shares or the smallest and largest one; ``shown``: libraries, or
    categories of either dimension, whose shares these are if they are not those of the claim.
    """

    category: _Name | None = None
    categories: _Names | None = None
    within: Within | None = None
    years: _Years | None = None
    over: _Over = "pooled"
    shows: Literal["shares", "range", "comparison"] = "shares"
    shown: _Names | None = None

    @property
    def together(self) -> tuple[str, ...]:
        """The category or categories whose share it is about."""
        return self.categories or (str(self.category),)

    @model_validator(mode="after")
    def _has_a_category(self) -> Self:
        if (self.category is None) == (self.categories is None):
            raise ValueError("category: missing; name a category, or several that count together as categories")
        if self.shows == "comparison" and not isinstance(self, MoreClaim):
            raise ValueError("shows: 'comparison' is for kind = 'more': use 'shares' or 'range'")
        if self.within is not None and self.years is not None:
            raise ValueError("years: bugs are limited either to years or to those within other categories")
        return self

    @field_validator("years")
    @classmethod
    def _are_in_order(cls, years: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _increasing(years)


class ShareClaim(_OfCategory, frozen=True):
    """A share (in percent) is above, at least, below or between bounds, or close to a value."""

    kind: Literal["share"]
    above: _Share | None = None
    at_least: _Share | None = None
    below: _Share | None = None
    between: tuple[_Share, _Share] | None = None
    close_to: _Share | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        bounds = (self.above, self.at_least, self.below, self.between, self.close_to)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("a share needs one of above, at_least, below, between and close_to")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError(f"between: {self.between[0]} is above {self.between[1]}: exchange them")
        return self


class LeadsClaim(_OfCategory, frozen=True):
    """A category has a larger share than every other."""

    kind: Literal["leads"]


class RankClaim(_OfCategory, frozen=True):
    """A category has rank ``at_most``, or ``exactly`` (not shared with another one)."""

    kind: Literal["rank"]
    at_most: Annotated[Whole, Field(ge=1, le=500)] | None = None
    exactly: Annotated[Whole, Field(ge=1, le=500)] | None = None

    @model_validator(mode="after")
    def _has_a_rank(self) -> Self:
        if (self.at_most is None) == (self.exactly is None):
            raise ValueError("a rank needs either at_most or exactly")
        return self


class MoreClaim(_OfCategory, frozen=True):
    """A share exceeds another: each of the claim's those that ``than`` describes."""

    kind: Literal["more"]
    than: Than


class AlikeClaim(_OfDimension, frozen=True):
    """Two distributions are equivalent: no category (but those of ``except``) differs by ``margin`` points or more.

    Without ``source``, the sources are compared, with ``over`` the shares of all libraries pooled or the mean of the
    libraries' shares. With it, the libraries are compared; with ``unlike``, whether they are closer to each other
    (Jensen-Shannon) than to those. ``category``: whose shares are shown. ``shows``: the largest difference; or P values
    of the t-test on one share per library (with four decimals from whole percents, or in percent from exact shares).
    """

    kind: Literal["alike", "differ"]
    categories: _Names | None = None
    category: _Name | None = None
    other_than: _Names = Field(default=(), alias="except", min_length=0)
    unlike: _Names | None = None
    printed_values: _Values | None = None
    margin: Annotated[float, Field(gt=0, le=100)] = 10.0
    over: Literal["pooled", "mean"] = "pooled"
    shows: Literal["difference", "p_values", "p_percent"] = "difference"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.unlike is not None and (self.source is None or not self.libraries or len(self.libraries) < 2):  # noqa: PLR2004
            raise ValueError("unlike: needs a source and the libraries (two or more) that are alike")
        if self.unlike is not None and (self.category is None or self.kind == "differ"):
            raise ValueError("unlike: needs kind = 'alike' and the category whose shares are shown")
        if self.source is not None and self.shows != "difference":
            raise ValueError(f"shows: {self.shows!r} are of two sources: leave source out")
        return self


class CorrelatedClaim(_OfDimension, frozen=True):
    """The distributions of every two libraries correlate by ``at_least`` (Pearson).

    Libraries of ``except`` correlate with each of the others by less than ``below``.
    """

    kind: Literal["correlated"]
    at_least: _Correlation
    other_than: _Names = Field(default=(), alias="except", min_length=0)
    below: _Correlation | None = None
    printed_values: _Values | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.other_than) != (self.below is not None):
            raise ValueError("except and below belong together: libraries that correlate by less than that")
        return self


class TrendClaim(_OfDimension, frozen=True):
    """A share rises, falls or stays the same in each library, from the first to the last of ``years`` (UTC)."""

    kind: Literal["trend"]
    category: _Name
    direction: Literal["rising", "falling", "steady"]
    years: _Years = Field(min_length=2)
    shows: Literal["shares", "first and last", "last", "pooled"] = "first and last"
    shown: _Names | None = None

    @field_validator("years")
    @classmethod
    def _are_in_order(cls, years: tuple[int, ...]) -> tuple[int, ...] | None:
        return _increasing(years)


class QueryClaim(_Claim, frozen=True):
    """A SQL query decides: it reads the study's tables and returns one row ``computed``, ``holds``, ``bugs``."""

    kind: Literal["query"]
    query: Annotated[str, Field(min_length=1, max_length=20_000)]


CategoryClaim = ShareClaim | LeadsClaim | RankClaim | MoreClaim
CountedClaim = CategoryClaim | AlikeClaim | CorrelatedClaim | TrendClaim
Claim = CountedClaim | QueryClaim

_KINDS = ("share", "leads", "rank", "more", "alike", "differ", "correlated", "trend", "query")


def _kind(claim: Any) -> Any:
    return claim.get("kind") if isinstance(claim, dict) else None


# A field that sections look through for control characters cannot be pydantic's own discriminator.
_AnyClaim = Annotated[
    Annotated[ShareClaim, Tag("share")]
    | Annotated[LeadsClaim, Tag("leads")]
    | Annotated[RankClaim, Tag("rank")]
    | Annotated[MoreClaim, Tag("more")]
    | Annotated[AlikeClaim, Tag("alike")]
    | Annotated[AlikeClaim, Tag("differ")]
    | Annotated[CorrelatedClaim, Tag("correlated")]
    | Annotated[TrendClaim, Tag("trend")]
    | Annotated[QueryClaim, Tag("query")],
    Discriminator(_kind),
]


class Claims(Section, frozen=True):
    """The content of claims.toml."""

    claims: tuple[_AnyClaim, ...] = Field(default=(), max_length=1000)


def study_claims(study: Study, taxonomy: Taxonomy) -> tuple[Claim, ...]:
    """Return the claims of a study: its own, or those of the study that it follows; none if neither has any.

    Claims of the followed study may speak of libraries that this one does not have. Raises :class:`DlbugError` as
    :func:`load_claims` does.
    """
    path = study.files.claims
    if path is None:
        return ()
    open_names = {each.name for each in study.dimensions if each.open}
    open_names |= {each.name for each in study.dimensions if each.rolls_up in open_names}
    followed = study.study.follows
    return load_claims(
        path,
        dimensions=study.dimension_names,
        categories={name: taxonomy.names(name) for name in study.dimension_names if name not in open_names},
        libraries=study.library_names,
        sources=study.source_names,
        followed=followed is not None and path.parent == shipped_studies()[followed].parent,
    )


def load_claims(
    path: Path,
    *,
    dimensions: Collection[str],
    categories: Mapping[str, Collection[str]],
    libraries: Collection[str],
    sources: Collection[str],
    followed: bool = False,
) -> tuple[Claim, ...]:
    """Return the claims of a claims.toml, in its order.

    ``categories`` are names by dimension; in a dimension that it lacks, any category may be claimed (open coding).
    ``followed``: the claims are those of a study that this one follows, so that they may speak of what it does not
    have. Raises :class:`DlbugError` that names file and keys, for claims that are not valid and for unknown names.
    """
    try:
        content = read_toml_file(path, "claims.toml lists the claims of a study")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}") from None
    problems = list(_unknown_kinds(content.get("claims", [])))
    if not problems:
        try:
            claims = Claims.model_validate(content).claims
        except ValidationError as error:
            raise DlbugError(f"{path}: {explanation(error, content, Claims)}") from None
        problems = [] if followed else [*_unknown_names(claims, dimensions, categories, libraries, sources)]
        problems += _without_headline(claims)
        if not problems:
            return claims
    more = [f"{len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
    raise DlbugError(f"{path}: {'; '.join(problems[:_MOST_PROBLEMS] + more)}")


def claim_rows(claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """Return the rows of reference.claims; ``definition`` is the claim as JSON, without what it leaves to defaults."""
    return [
        {
            "position": position,
            "finding": claim.finding,
            "role": claim.role,
            "claim": claim.text,
            "metric": claim.metric,
            "section": claim.section,
            "printed": claim.printed,
            "kind": claim.kind,
            "definition": claim.model_dump_json(by_alias=True, exclude_defaults=True),
        }
        for position, claim in enumerate(claims, start=1)
    ]


def parsed_claims(definitions: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims of ``definition`` of reference.claims."""
    return Claims.model_validate_json(f'{{"claims": [{",".join(definitions)}]}}').claims


def numbers(printed: str) -> list[float]:
    """Return the numbers of a text such as ``Keras=25; Caffe=37`` or ``40%; 77%``."""
    return [float(text) for text in _number_texts(printed)]


def printed_decimals(printed: str) -> int:
    """Return the largest number of decimals in a text such as ``27.66; 23.8``."""
    return max((len(text.partition(".")[2]) for text in _number_texts(printed)), default=0)


def _number_texts(printed: str) -> list[str]:
    values = (part.rpartition("=")[2].strip("% ") for part in printed.replace("|", ";").split(";"))
    return [value for value in values if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", value)]


def _increasing(years: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if years is not None and list(years) != sorted(set(years)):
        raise ValueError("list the years in order, each once")
    return years


def _unknown_kinds(claims: Any) -> Iterator[str]:
    for place, claim in enumerate(claims if isinstance(claims, list) else []):
        kind, text = (claim.get("kind"), claim.get("text")) if isinstance(claim, dict) else (None, None)
        if kind is None:
            yield f"claims.{numbered(place, text)}.kind: missing; known are {', '.join(_KINDS)}"
        elif kind not in _KINDS:
            suggestion = closest(str(kind), _KINDS)
            key = f"claims.{numbered(place, text)}.kind"
            yield f"{key}: unknown kind {shown(kind)}{suggestion}; known are {', '.join(_KINDS)}"


def _unknown_names(
    claims: tuple[Claim, ...],
    dimensions: Collection[str],
    categories: Mapping[str, Collection[str]],
    libraries: Collection[str],
    sources: Collection[str],
) -> Iterator[str]:
    known: dict[str, Collection[str]] = {dimension: categories.get(dimension, ()) for dimension in dimensions}
    known |= {LIBRARY: libraries, SOURCE: sources}
    for place, claim in enumerate(claims):
        yield from (f"{_key(place, claim)}.{problem}" for problem in _unknown(claim, known))


def _key(place: int, claim: Claim) -> str:
    return f"claims.{numbered(place, claim.text)}"


def _without_headline(claims: tuple[Claim, ...]) -> Iterator[str]:
    headlines = Counter(claim.finding for claim in claims if claim.role == "headline")
    for place, claim in enumerate(claims):
        if claim.finding not in headlines:
            yield f"{_key(place, claim)}.role: finding {claim.finding} has no headline: one of its claims decides it"
            headlines[claim.finding] = 1
        elif headlines[claim.finding] > 1:
            yield (
                f"{_key(place, claim)}.role: finding {claim.finding} has {headlines[claim.finding]} headlines: keep "
                "the one that decides it, and make the others supporting"
            )
            headlines[claim.finding] = 1


def _unknown(claim: Claim, known: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield, for each unknown name of a claim, its key and what is known instead."""
    if isinstance(claim, QueryClaim):
        return
    yield from _problems("dimension", [claim.dimension], known, "dimension")
    own = known.get(claim.dimension, ())
    yield from _problems("libraries", claim.libraries, known[LIBRARY], "library")
    yield from _problems("source", claim.source, known[SOURCE], "source")
    if not isinstance(claim, CorrelatedClaim):
        yield from _problems("category", claim.category, own, "category")
    if isinstance(claim, TrendClaim):
        yield from _problems("shown", claim.shown, known[LIBRARY], "library")
    elif isinstance(claim, CorrelatedClaim):
        yield from _problems("except", claim.other_than, known[LIBRARY], "library")
    elif isinstance(claim, AlikeClaim):
        yield from _problems("categories", claim.categories, own, "category")
        yield from _problems("except", claim.other_than, own, "category")
        yield from _problems("unlike", claim.unlike, known[LIBRARY], "library")
    else:
        yield from _of_category(claim, own, known)


def _of_category(claim: CategoryClaim, own: Collection[str], known: Mapping[str, Collection[str]]) -> Iterator[str]:
    yield from _problems("categories", claim.categories, own, "category")
    within: Collection[str] = ()
    if claim.within is not None:
        within = known.get(claim.within.dimension, ())
        yield from _problems("within.dimension", [claim.within.dimension], known, "dimension")
        yield from _problems("within.categories", claim.within.categories, within, "category")
    if own:  # or any category may be shown
        yield from _problems("shown", claim.shown, [*own, *within, *known[LIBRARY]], "category or library")
    if isinstance(claim, MoreClaim):
        libraries = None if claim.than.libraries == OTHERS else claim.than.libraries
        yield from _problems("than.category", claim.than.category, own, "category")
        yield from _problems("than.libraries", libraries, known[LIBRARY], "library")
        yield from _problems("than.source", claim.than.source, known[SOURCE], "source")


def _problems(key: str, written: str | Collection[str] | None, known: Collection[str], what: str) -> Iterator[str]:
    """Yield the key of each name that is not known; an empty ``known`` stands for any name."""
    for name in [written] if isinstance(written, str) else written or ():
        if known and name not in known:
            yield f"{key}: unknown {what} {shown(name)}{closest(name, known)}; known are {_listed(known)}"


def _listed(names: Collection[str]) -> str:
    first = list(names)[:_MOST_NAMES]
    return ", ".join([*first, f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else first)
