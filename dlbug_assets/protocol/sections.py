"""The sections of a study file: one frozen, validated model per table of the TOML file."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from cronsim import CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dlbug_assets.layout import SCHEMAS
from dlbug_assets.protocol.addresses import (
    as_list,
    is_address,
    is_text,
    is_too_long_for_files,
    repository_name,
    without_account,
)
from dlbug_assets.protocol.cron import next_due
from dlbug_assets.protocol.files.expectations import as_toml
from dlbug_assets.protocol.names import (
    person_name,
    require_more_than_case,
    shown,
    without_control_characters,
    without_devices,
)

_STACK_OVERFLOW = "stackoverflow.com"
# In DuckDB `labeling.items` could mean a table of the *database* labeling: a study's file becomes such a database.
_RESERVED_NAMES = {*SCHEMAS, "main", "temp", "system", "information_schema", "pg_catalog"}

#: The largest number of anything, and of a seed: what a BIGINT of DuckDB holds.
MOST = 1_000_000
_LARGEST_SEED = 2**63 - 1

# Strict, or else `true` would be a number.
Whole = Annotated[int, Field(strict=True)]
Percent = Annotated[Whole, Field(ge=1, le=100)]
Size = Annotated[Whole, Field(ge=1, le=MOST)]


def _is_day(value: Any) -> Any:
    if isinstance(value, int | float):  # pydantic would take it for a Unix time
        raise ValueError(f"use a date such as 2020-01-31, not {as_toml(value)}")  # noqa: TRY004 - pydantic expects it
    return value


Person = Annotated[str, AfterValidator(person_name)]
Day = Annotated[date, BeforeValidator(_is_day)]


class Section(BaseModel, extra="forbid", frozen=True, str_strip_whitespace=True, str_max_length=2000):
    """A table of the TOML file."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_without_control_characters(cls, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                without_control_characters(text)
        return value


class OrText(Section, frozen=True):
    """A table that may be given as a text, or something else of ``other_types`` of JSON, which its validator reads."""

    other_types: ClassVar[tuple[str, ...]] = ("string",)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the JSON Schema, for editors."""
        return {"anyOf": [*({"type": name} for name in cls.other_types), handler(schema)]}


class Citation(Section, frozen=True):
    """A work that the study reproduces, replicates or follows: ``text`` as the report shows it."""

    text: str = Field(min_length=1, max_length=500)
    doi: str | None = Field(default=None, pattern=r"^10\.\d{4,9}/\S{1,200}$", examples=["10.1000/182"])


class Author(Section, frozen=True):
    """An author of the study, as its package names them."""

    family: str = Field(min_length=1, max_length=100)
    given: str | None = Field(default=None, max_length=100)
    orcid: str | None = Field(default=None, pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$", examples=["0000-0002-1825-0097"])

    @field_validator("orcid")
    @classmethod
    def _has_its_check_digit(cls, orcid: str | None) -> str | None:
        """Check the last digit, by ISO 7064 MOD 11-2 (support.orcid.org, Structure of the ORCID Identifier)."""
        if orcid is None:
            return None
        total = 0
        for digit in orcid.replace("-", "")[:-1]:
            total = (total + int(digit)) * 2
        check = (12 - total % 11) % 11
        if orcid[-1] != ("X" if check == 10 else str(check)):  # noqa: PLR2004
            raise ValueError(f"{orcid} is not an ORCID: its last digit does not fit the others. Copy it again.")
        return orcid


class Identity(Section, frozen=True):
    """[study]: name and title of the study, the seed of its random samples, and what report and package state of it.

    ``group`` is what the study calls its [[libraries]]. ``follows`` names a shipped study whose dimensions, taxonomy,
    mappings, claims, printed numbers and citations it takes over where it has none of its own.
    """

    name: str
    title: str = Field(min_length=1, max_length=300)
    seed: Whole = Field(ge=0, le=_LARGEST_SEED)
    group: str = Field(default="Library", min_length=1, max_length=40)
    follows: str | None = None
    cites: tuple[Citation, ...] = Field(default=(), max_length=20)
    licence: str | None = Field(default=None, min_length=1, max_length=100)
    keywords: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(default=(), max_length=30)
    authors: tuple[Author, ...] = Field(default=(), max_length=100)

    @field_validator("name")
    @classmethod
    def _is_an_identifier(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise ValueError(
                "use a small letter, then up to 39 small letters, digits or _ (it names files and a database)"
            )
        if name in _RESERVED_NAMES:
            raise ValueError(f"{name!r} is the name of a schema; a study needs another name")
        return without_devices(name)


class Selection(Section, frozen=True):
    """[selection]: which posts and commits are candidates. Dates are UTC days, both inclusive."""

    created_from: Day | None = None
    created_until: Day | None = None
    min_score: Whole = Field(default=6, ge=-MOST, le=MOST)
    require_code: bool = True
    fix_pattern: str = Field(
        default=r"(?i)(^|[\W\d_])(bug|hot)?fix(es|ed|ing)?([\W\d_]|$)", min_length=1, max_length=1000
    )
    commits_per_library: Size = 100

    @field_validator("fix_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        from dlbug_assets.protocol.title_patterns import problem_of  # noqa: PLC0415 - only here, it loads Polars

        if problem := problem_of(pattern):
            raise ValueError(
                f"not a regular expression that matches in linear time (https://docs.rs/regex/#syntax): {problem}"
            )
        return pattern

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.created_from and self.created_until and self.created_from > self.created_until:
            raise ValueError("created_from is after created_until: there can be no post in between")
        return self


class Library(Section, frozen=True):
    """[[libraries]]: one library under study and how to find it in both sources.

    ``tags`` are those of the Q&A site in the site's spelling: lower case, words joined by hyphens. ``repositories`` are
    qualifiers of GitHub's search, or a list of repositories (owner/name, addresses, paths). Both are empty where the
    study collects no posts or no commits. A synthetic corpus has nothing about it before its ``first_year``.
    """

    name: str = Field(min_length=1, max_length=40)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(default=(), max_length=100)
    repositories: str | tuple[str, ...] = ()
    max_repositories: Size = 1000
    first_year: Whole | None = Field(default=None, ge=1970, le=9999)

    @field_validator("tags", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _are_listed(cls, tags: Any) -> Any:
        return as_list(tags)

    @field_validator("tags")
    @classmethod
    def _are_spelled_as_the_site_does(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        for tag in tags:
            if re.search(r"[;,<>|]", tag):
                raise ValueError(f"{tag!r} is not a tag: list each tag by itself")
        # The site has no tag with capitals, blanks or underscores, and resolves these spellings itself.
        return tuple(dict.fromkeys(re.sub(r"[\s_]+", "-", tag.lower()) for tag in tags))

    @field_validator("repositories", mode="before")
    @classmethod
    def _are_a_search_or_a_list(cls, repositories: Any) -> Any:
        listed = as_list(repositories)
        if not isinstance(listed, list | tuple) or not listed or not all(map(is_text, listed)):
            raise ValueError("use a search such as 'topic:keras', or a list of repositories such as ['owner/name']")
        if isinstance(repositories, str) and re.search(r"(^|\s)-?created:", repositories):
            raise ValueError("leave created: out of the search; dlbug splits it into windows of creation time")
        return repositories

    @field_validator("repositories")
    @classmethod
    def _hold_no_secret(cls, repositories: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for entry in as_list(repositories):
            if re.match(r"(https?://[^/]*|\w+://[^/]*:[^/]*)@", entry, re.IGNORECASE):
                raise ValueError(
                    f"the address of {without_account(entry)!r} contains an account, password or token, but a study is "
                    "published: use ssh://git@host/owner/name.git, or a public address"
                )
        return repositories

    @field_validator("repositories")
    @classmethod
    def _are_different_addresses(cls, repositories: str | tuple[str, ...]) -> str | tuple[str, ...]:
        known: dict[str, str] = {}
        for entry in () if isinstance(repositories, str) else repositories:
            if re.match(r"[^/:]+:(?!//|:)", entry):
                raise ValueError(
                    f"{without_account(entry)!r} is not an address: write ssh://git@host/owner/name.git instead of "
                    "git@host:owner/name.git"
                )
            if is_too_long_for_files(entry):
                raise ValueError(f"{shown(without_account(entry))}: a name in an address or path has up to 255 bytes")
            name = repository_name(entry)
            name = name if name.startswith("/") else name.lower()  # paths are case-sensitive, hosts are not
            if name in known:
                raise ValueError(f"{known[name]!r} and {entry!r} are the same repository: list it once")
            known[name] = entry
        return repositories

    @field_validator("name")
    @classmethod
    def _is_a_partition_key(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _+&().-]*", name):
            raise ValueError("use letters, digits, blanks, _, +, -, &, ., ( or ) (it names a partition)")
        if name.lower() in ("all", "total"):
            raise ValueError(f"{name!r} means all libraries together")
        return without_devices(name)


class Sources(Section, frozen=True):
    """[sources]: where posts, commits and labels come from, and what some sources need.

    A study without ``posts`` or ``commits`` has none. "artifact" is another word for "release". ``names`` are those of
    the sources that a release distinguishes, where the study file does not state them otherwise. ``site`` is the host
    that a dump is from, for links. The synthetic corpus has ``sample_size`` times the size of the paper's.
    """

    posts: Literal["sample", "api", "dump", "release"] | None = None
    commits: Literal["sample", "api", "clone", "release"] | None = None
    labels: Literal["sample", "files", "release"]
    dump_path: Path | str | None = None  # str for an address, such as s3a://bucket/Posts.xml
    site: str = _STACK_OVERFLOW
    sample_size: Whole = Field(default=1, ge=1, le=10_000)
    names: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = Field(default=(), max_length=20)

    @field_validator("posts", "commits", "labels", mode="before")
    @classmethod
    def _artifact_is_a_release(cls, source: Any) -> Any:
        return "release" if source == "artifact" else source

    @field_validator("site")
    @classmethod
    def _is_a_host(cls, site: str) -> str:
        if not re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", site):
            raise ValueError(f"{site!r} is not a host name such as 'stackoverflow.com' or 'ai.stackexchange.com'")
        return site

    @field_validator("dump_path", mode="after")
    @classmethod
    def _is_path_or_address(cls, value: Path | str | None) -> Path | str | None:
        return Path(value) if isinstance(value, str) and not is_address(value) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.posts == "dump" and self.dump_path is None:
            raise ValueError("posts = 'dump' needs dump_path, the Posts.xml or archive to read")
        if self.posts != "dump" and self.dump_path is not None:
            raise ValueError(f"dump_path is for posts = 'dump', not {self.posts!r}: leave it out, or set posts")
        if self.posts != "dump" and self.site != _STACK_OVERFLOW:
            raise ValueError(f"site is for posts = 'dump', not {self.posts!r}: leave it out, or set posts")
        if self.sample_size != 1 and "sample" not in (self.posts, self.commits):
            raise ValueError("sample_size is the size of the synthetic corpus: it needs posts or commits = 'sample'")
        if self.labels == "sample" and {self.posts, self.commits} - {"sample", None}:
            raise ValueError(
                "labels = 'sample' are invented for synthetic items: set posts and commits to 'sample' too, or labels "
                "to 'files'"
            )
        if self.labels == "release" and {self.posts, self.commits} - {"release", None}:
            raise ValueError(
                "labels = 'release' come with their own items: set posts and commits to 'release' too, where their "
                "texts and dates are to be looked up, or leave them out"
            )
        if self.labels != "release" and "release" in (self.posts, self.commits):
            raise ValueError("posts and commits of a release need its labels: set labels to 'release', too")
        if self.labels != "release" and not (self.posts or self.commits):
            raise ValueError("there is nothing to label: set posts, commits or both")
        return self


class Labeling(Section, frozen=True):
    """[labeling]: who labels, when agreement is measured (percent of the queue), and the target.

    Every rater labels every item or, with ``raters_per_item``, as many of them, who are drawn by the seed.
    ``antipattern_posts_per_library`` replaces posts_per_library of the dimensions that are asked of a sample of posts.
    """

    raters: tuple[Person, ...] = Field(default=(), max_length=100)
    adjudicator: Person | None = None
    raters_per_item: Whole | None = Field(default=None, ge=2, le=100)
    checkpoints: tuple[Percent, ...] = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    kappa_target: float = Field(default=0.8, gt=0, le=1, strict=True)
    antipattern_posts_per_library: Whole | None = Field(default=None, ge=0, le=MOST)

    @field_validator("raters")
    @classmethod
    def _are_distinct(cls, raters: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(raters)) != len(raters):
            raise ValueError("two raters have the same name")
        require_more_than_case(raters)
        return raters

    @field_validator("checkpoints")
    @classmethod
    def _increase_to_100(cls, checkpoints: tuple[int, ...]) -> tuple[int, ...]:
        if not checkpoints or list(checkpoints) != sorted(set(checkpoints)) or checkpoints[-1] != 100:  # noqa: PLR2004
            raise ValueError("checkpoints must increase and end at 100, as in [5, 10, 20, 100]")
        return checkpoints

    @model_validator(mode="after")
    def _adjudicator_is_not_a_rater(self) -> Self:
        if self.adjudicator in self.raters:
            raise ValueError(
                f"adjudicator {self.adjudicator!r} is also a rater; the adjudicator decides between raters"
            )
        require_more_than_case([*self.raters, *filter(None, [self.adjudicator])])
        if self.raters_per_item is not None and self.raters_per_item > len(self.raters):
            raise ValueError(f"raters_per_item is {self.raters_per_item}, but there are {len(self.raters)} raters")
        return self


class TaxonomyOptions(Section, frozen=True):
    """[taxonomy]: categories beyond those of taxonomy.csv, found while labelling (open coding)."""

    extra: Path | None = None


class Schedule(Section, frozen=True):
    """[schedule]: cron expressions, UTC."""

    refresh: str = "0 3 * * *"
    sweep: str = "0 4 * * 0"

    @field_validator("refresh", "sweep")
    @classmethod
    def _is_valid(cls, cron: str) -> str:
        try:
            next_due(cron, datetime.now(UTC))
        except (CronSimError, StopIteration):
            raise ValueError(f"not a cron expression that is ever due, such as '0 3 * * *': {cron!r}") from None
        return cron
