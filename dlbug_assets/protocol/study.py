"""The study protocol: one TOML file becomes one validated, frozen object.

It contains what a researcher decides before looking at data: libraries, selection, sources, raters, checkpoints.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cronsim import CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SCHEMAS, STUDIES
from dlbug_assets.protocol.addresses import (
    as_list,
    is_address,
    is_text,
    is_too_long_for_files,
    repository_name,
    without_account,
)
from dlbug_assets.protocol.cron import next_due
from dlbug_assets.protocol.names import (
    person_name,
    require_more_than_case,
    shown,
    without_control_characters,
    without_devices,
)
from dlbug_assets.protocol.toml_file import read_toml_file

_STACK_OVERFLOW = "stackoverflow.com"
# In DuckDB `labeling.items` could mean a table of the *database* labeling: a study's file becomes such a database.
_RESERVED_NAMES = {*SCHEMAS, "main", "temp", "system", "information_schema", "pg_catalog"}

#: The largest number of anything, and of a seed: what a BIGINT of DuckDB holds.
_MOST = 1_000_000
_LARGEST_SEED = 2**63 - 1
_MOST_PROBLEMS = 10

# Strict, or else `true` would be a number.
Whole = Annotated[int, Field(strict=True)]
Percent = Annotated[Whole, Field(ge=1, le=100)]
Size = Annotated[Whole, Field(ge=1, le=_MOST)]


def _is_day(value: Any) -> Any:
    if isinstance(value, int | float):  # pydantic would take it for a Unix time
        raise ValueError(f"use a date such as 2020-01-31, not {shown(value)}")  # noqa: TRY004 - pydantic expects it
    return value


Person = Annotated[str, AfterValidator(person_name)]
Day = Annotated[date, BeforeValidator(_is_day)]


class _Section(BaseModel, extra="forbid", frozen=True, str_strip_whitespace=True, str_max_length=2000):
    """A table of the TOML file."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_without_control_characters(cls, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                without_control_characters(text)
        return value


class Identity(_Section, frozen=True):
    """[study]: name and title of the study, and the seed of its random samples."""

    name: str
    title: str = Field(min_length=1, max_length=300)
    seed: Whole = Field(ge=0, le=_LARGEST_SEED)

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


class Selection(_Section, frozen=True):
    """[selection]: which posts and commits are candidates. Dates are UTC days, both inclusive."""

    created_from: Day | None = None
    created_until: Day | None = None
    min_score: Whole = Field(default=6, ge=-_MOST, le=_MOST)
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


class Library(_Section, frozen=True):
    """[[libraries]]: one library under study and how to find it in both sources.

    ``tags`` are those of the Q&A site in the site's spelling: lower case, words joined by hyphens. ``repositories`` are
    qualifiers of GitHub's search, or a list of repositories (owner/name, addresses, paths).
    """

    name: str = Field(min_length=1, max_length=40)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(min_length=1, max_length=100)
    repositories: str | tuple[str, ...]
    max_repositories: Size = 1000

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
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _+-]*", name):
            raise ValueError("use letters, digits, blanks, _, + or - (it names a partition)")
        if name.lower() in ("all", "total"):
            raise ValueError(f"{name!r} means all libraries together")
        return without_devices(name)


class Sources(_Section, frozen=True):
    """[sources]: where posts, commits and labels come from, and what some sources need.

    ``site`` is the host that a dump is from, for links. The synthetic corpus has ``sample_size`` times the size of the
    paper's.
    """

    posts: Literal["sample", "api", "dump", "artifact"]
    commits: Literal["sample", "api", "clone", "artifact"]
    labels: Literal["sample", "files", "artifact"]
    dump_path: Path | str | None = None  # str for an address, such as s3a://bucket/Posts.xml
    site: str = _STACK_OVERFLOW
    sample_size: Whole = Field(default=1, ge=1, le=10_000)

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
        if self.labels != "files" and not (self.posts == self.commits == self.labels):
            raise ValueError(
                f"labels = {self.labels!r} come with their own posts and commits: "
                f"set posts and commits to {self.labels!r} too, or labels to 'files'"
            )
        return self


class Labeling(_Section, frozen=True):
    """[labeling]: who labels, when agreement is measured (percent of the queue), and the target."""

    raters: tuple[Person, ...] = Field(default=(), max_length=100)
    adjudicator: Person | None = None
    checkpoints: tuple[Percent, ...] = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    kappa_target: float = Field(default=0.8, gt=0, le=1, strict=True)
    antipattern_posts_per_library: Whole = Field(default=30, ge=0, le=_MOST)

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
        return self


class TaxonomyOptions(_Section, frozen=True):
    """[taxonomy]: categories beyond the paper's, found while labelling (open coding)."""

    extra: Path | None = None


class Schedule(_Section, frozen=True):
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


class Study(_Section, frozen=True):
    """One study, as its TOML file describes it. Read it with :func:`load_study`."""

    study: Identity
    selection: Selection = Selection()
    libraries: tuple[Library, ...] = Field(min_length=1, max_length=1000)
    sources: Sources
    labeling: Labeling = Labeling()
    taxonomy: TaxonomyOptions = TaxonomyOptions()
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [library.name for library in self.libraries]
        if len(set(names)) != len(names):
            raise ValueError("libraries: two of them have the same name")
        require_more_than_case(names)
        if self.sources.labels != "artifact":
            if len(self.labeling.raters) < 2:  # noqa: PLR2004
                raise ValueError("labeling.raters: agreement needs two raters or more")
            if not self.labeling.adjudicator:
                raise ValueError("labeling.adjudicator: missing; the adjudicator decides where raters differ")
        return self

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.study.name

    @property
    def library_names(self) -> tuple[str, ...]:
        """The names of the libraries, in the order of the file."""
        return tuple(library.name for library in self.libraries)

    @property
    def is_synthetic(self) -> bool:
        """Whether any of its rows are synthetic."""
        return "sample" in (self.sources.posts, self.sources.commits, self.sources.labels)

    @property
    def follows_a_source(self) -> bool:
        """Whether posts or commits come from a live source, which is refreshed on a schedule."""
        return self.sources.posts == "api" or self.sources.commits in ("api", "clone")

    @property
    def hash(self) -> str:
        """The sha256 of the validated protocol, which does not depend on how the file spells it."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def shipped_studies() -> dict[str, Path]:
    """Return name -> TOML file of the studies that ship with the package, in alphabetical order."""
    return {path.stem: path for path in sorted(STUDIES.glob("*.toml"))}


def load_study(name_or_path: str | Path) -> Study:
    """Read and validate a study.

    ``name_or_path`` is the name of a shipped study or the path of a TOML file; paths inside the file are
    relative to it. Raises :class:`DlbugError` that names the file and the key.
    """
    shipped = shipped_studies()
    path = shipped.get(str(name_or_path), Path(name_or_path))
    try:
        content = read_toml_file(path, "a study is a TOML file, or the name of one that `dlbug studies` lists")
    except (FileNotFoundError, NotADirectoryError):
        raise DlbugError(
            f"unknown study {shown(str(name_or_path))}: it is neither a file nor one of {', '.join(shipped)}. "
            "`dlbug studies` lists those that ship."
        ) from None
    try:
        study = Study.model_validate(_with_absolute_paths(content, path.parent))
    except ValidationError as error:
        problems = list(_explanations(error))
        more = [f"{len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise DlbugError(f"{path}: {'; '.join(problems[:_MOST_PROBLEMS] + more)}") from None
    if path in shipped.values() and path.stem != study.name:
        raise DlbugError(f"{path}: study.name is {study.name!r}; a shipped study is named as its file")
    return study


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    def absolute(path: str) -> str:
        # The model reports control characters; a null character would be an error here, as a loop of links in pathlib.
        return path if "\0" in path else os.path.realpath(folder / path)

    # Values of another shape are left as they are: the model reports them.
    for section, key in (("sources", "dump_path"), ("taxonomy", "extra")):
        table = content.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and not is_address(table[key]):
            table[key] = absolute(table[key])
    libraries = content.get("libraries")
    for library in libraries if isinstance(libraries, list) else ():
        listed = library.get("repositories") if isinstance(library, dict) else None
        if isinstance(listed, list):
            library["repositories"] = [
                absolute(address) if isinstance(address, str) and address.startswith(".") else address
                for address in listed
            ]
    return content


def _explanations(error: ValidationError) -> Iterator[str]:
    """Yield the problems of a study; a list that lacks only its invalid entries is not too short."""
    problems = error.errors(include_url=False)
    tables = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
    for problem in problems:
        if problem["type"] != "too_short" or problem["loc"] not in tables:
            yield _explain(problem)


def _explain(problem: Any) -> str:
    """Format one problem as `key: message`, with the key as in TOML."""
    key = ".".join(str(part)[:80] for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    elif problem["type"] == "missing":
        message = "missing"
    elif problem["type"] != "value_error" and not isinstance(problem["input"], dict | list | tuple):
        message = f"{message}, not {shown(problem['input'])}"
    return f"{key}: {message}" if key else message
