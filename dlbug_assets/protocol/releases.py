"""[[releases]]: files with labels that others published, and what their columns are.

What belongs here: the description of the files. What doesn't: finding and reading them (dlbug_assets/releases).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from dlbug_assets.protocol.addresses import as_list
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.sections import OrText, Section

#: Suffixes of files that can be read, and how.
FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "workbook", ".ods": "workbook", ".json": "json",
    ".jsonl": "json lines", ".ndjson": "json lines",
}  # fmt: skip
_ZIP = ".zip"
#: What a column of a release can be, beside the label of a dimension.
FACTS = ("library", "source", "key", "link", "title", "created_at", "rater")
#: A name in braces, in a template.
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_SHA256 = r"^[0-9a-f]{64}$"
_MOST_FILES = 1000

_OneOrSeveral = BeforeValidator(as_list, json_schema_input_type=str | list[str])
# A pattern or separator may begin or end with a blank.
_Verbatim = StringConstraints(strip_whitespace=False, min_length=1, max_length=1000)


def _compiles(pattern: str, *, with_group: bool = False) -> str:
    from dlbug_assets.protocol.title_patterns import groups_of, problem_of  # noqa: PLC0415 - only here, it loads Polars

    if problem := problem_of(pattern):
        raise ValueError(
            f"not a regular expression that matches in linear time (https://docs.rs/regex/#syntax): {problem}"
        )
    if with_group and not groups_of(pattern):
        raise ValueError(f"{shown(pattern)} has no group in brackets, such as '^(\\d+)$': the group is the value")
    return pattern


def _is_a_file_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"{shown(name)}: use a name within the folder or zip, without .. and \\")
    return name


Pattern = Annotated[str, _Verbatim, AfterValidator(_compiles)]
Extraction = Annotated[str, _Verbatim, AfterValidator(partial(_compiles, with_group=True))]
FileName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_is_a_file_name)]
Checksum = Annotated[str, Field(pattern=_SHA256)]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class Column(OrText, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """What a column of the labels is made of: a ``column`` of the file, a ``value``, or the name of the ``file``.

    Of several columns, the first that is filled counts. For JSON, a column is a path in the row; the path of the rows
    followed by ``~`` gives their keys. Of a text, ``extract`` keeps the groups, ``strip`` removes what matches, and
    ``map`` replaces it; each is optional, and they apply in this order. ``separator`` is between several categories,
    instead of the dimension's. ``from`` names the release that has the column; its rows are found by their key, with
    ``ignore_case`` in any case. ``template`` is for a link: ``{Name}`` in it stands for a column of the file, and
    ``{key}`` for the key.
    """

    other_types = ("string", "array")

    column: Annotated[tuple[Name, ...], _OneOrSeveral] = Field(default=(), max_length=20)
    value: Name | None = None
    file: Literal[True] | None = None
    template: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    from_: Name | None = Field(default=None, alias="from")
    ignore_case: bool = False
    extract: Extraction | None = None
    strip: Pattern | None = None
    map: dict[str, Name] = Field(default={}, max_length=1000)
    separator: Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=5)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _may_be_only_names(cls, content: Any) -> Any:
        return {"column": content} if isinstance(content, str | list) else content

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = [name for name in ("column", "value", "file", "template") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "give one of column, value, file and template" + (f", not {', '.join(given)}" * bool(given))
            )
        if self.from_ and not self.column:
            raise ValueError("from names the release that has the column: give column, too")
        if self.ignore_case and not self.from_:
            raise ValueError("ignore_case is for the keys of another release: give from, too")
        return self

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in braces of the template."""
        return tuple(dict.fromkeys(PLACEHOLDER.findall(self.template or "")))

    @field_validator("template")
    @classmethod
    def _has_placeholders(cls, template: str | None) -> str | None:
        if template is not None and not PLACEHOLDER.search(template):
            raise ValueError(f"{shown(template)} names no column: write {{Name}} for a column")
        return template


class Header(Section, frozen=True):
    """The first cells of the sheet to read, from its cell A1 on."""

    header: tuple[Name, ...] = Field(min_length=1, max_length=1000)


class Release(Section, frozen=True):
    """One or more files with the same columns, each with a row per bug (and rater).

    The files come from ``url``, one file or an address that ends with / and ``files`` below it, with the ``sha256``
    that they may have; or from ``path``, a file or a folder relative to the study. ``variable`` is an environment
    variable that names the file instead. Of a zip, the ``members`` are read, which are relative to its ``folder``.
    Of a workbook, the ``sheet`` is read; without one, the only one with the columns. Of JSON, ``rows`` is the JSONPath
    of the rows. ``where`` is a SQL condition on the file's columns, which are texts. ``encoding`` and ``separator`` are
    detected if not given. A release with a ``name`` has no bugs of its own: others take columns from it by ``key``.
    Rows that cannot be read stop the run, or are set aside with ``on_unknown = "reject"``.
    """

    name: Name | None = None
    url: str | None = None
    path: str | None = Field(default=None, min_length=1)
    sha256: Annotated[tuple[Checksum, ...], _OneOrSeveral] = Field(default=(), max_length=_MOST_FILES)
    variable: Annotated[str, Field(pattern=r"^DLBUG_[A-Z_]{1,40}$")] | None = None
    file: FileName | None = None
    files: tuple[FileName, ...] = Field(default=(), max_length=_MOST_FILES)
    folder: FileName | None = None
    member: FileName | None = None
    members: tuple[FileName, ...] = Field(default=(), max_length=_MOST_FILES)
    sheet: Name | Header | None = None
    rows: Name | None = None
    where: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    encoding: str | None = None
    separator: Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=1)] | None = None
    columns: dict[str, Column] = Field(min_length=1, max_length=200)
    on_unknown: Literal["stop", "reject"] = "stop"

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names of the files: relative to a folder, if there are several."""
        if self.file or self.files:
            return (self.file,) if self.file else self.files
        location = unquote(urlsplit(self.url).path) if self.url else self.path or ""
        return (PurePosixPath(location).name,)

    @property
    def member_names(self) -> tuple[str, ...]:
        """The members of the zip that are read, without its folder; empty if the file is not a zip."""
        return (self.member,) if self.member else self.members

    def path_of(self, file: str) -> Path | None:
        """Return the path of a file beside the study, None if the release has an address."""
        if self.url:
            return None
        return Path(self.path or "") / file if self.file or self.files else Path(self.path or "")

    def address_of(self, file: str) -> str | None:
        """Return the address of a file, None if the release has none."""
        return f"{self.url}{file}" if self.url and self.url.endswith("/") else self.url

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.netloc or "@" in parts.netloc:
            raise ValueError(f"{shown(url)} is not an address such as 'https://host/bugs.csv', without an account")
        return url

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            "".encode(encoding or "utf-8")
        except LookupError:
            raise ValueError(f"{shown(encoding)} is not an encoding of text such as 'utf-8' or 'cp1252'") from None
        return encoding

    @field_validator("rows")
    @classmethod
    def _is_a_path(cls, rows: str | None) -> str | None:
        if rows is not None:
            import jsonpath  # noqa: PLC0415 - few studies have JSON

            try:
                jsonpath.compile(rows)
            except jsonpath.JSONPathError as error:
                reason = str(error).splitlines()[0]
                raise ValueError(f"{shown(rows)} is not a JSONPath such as '$.bugs[*]': {reason}") from None
        return rows

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        for one, several in (("file", "files"), ("member", "members"), ("url", "path")):
            if getattr(self, one) and getattr(self, several):
                raise ValueError(f"give {one} or {several}, not both")
        if not (self.url or self.path or self.file or self.files):
            raise ValueError("give url, or path or file relative to the study")
        if self.url and not self.sha256:
            raise ValueError("sha256: missing; what is downloaded is checked by it")
        if self.url and self.url.endswith("/") != bool(self.files) and not self.file:
            raise ValueError("url: end it with / if files are below it, and only then")
        for name in self.file_names:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix == _ZIP and not self.member_names:
                raise ValueError(f"member: missing; {shown(name)} is a zip, so name what to read")
            if suffix != _ZIP and (self.member_names or self.folder):
                raise ValueError(f"members and folder are for a zip, but the file is {shown(name)}")
        return self

    @model_validator(mode="after")
    def _is_of_known_formats(self) -> Self:
        read = self.member_names or self.file_names
        for name in read:
            if PurePosixPath(name).suffix.lower() not in FORMATS:
                raise ValueError(
                    f"{shown(name)} has none of the suffixes {', '.join(FORMATS)}, {_ZIP}: name it by file or member"
                )
        formats = {FORMATS[PurePosixPath(name).suffix.lower()] for name in read}
        for key, format_name in (("sheet", "workbook"), ("rows", "json"), ("separator", "csv"), ("encoding", "csv")):
            if getattr(self, key) is not None and formats != {format_name}:
                raise ValueError(f"{key} is for files of the kind {format_name}, but these are {', '.join(formats)}")
        if self.rows is None and "json" in formats:
            raise ValueError("rows: missing; give the JSONPath of the rows, such as '$[*]' for a list")
        return self


def source_names(releases: Iterable[Release]) -> tuple[str, ...]:
    """Return the names of the sources that releases state as constants or in maps, each once, in order."""
    stated: list[str] = []
    for release in releases:
        if (source := release.columns.get("source")) is not None:
            stated += [source.value] if source.value else source.map.values()
    return tuple(dict.fromkeys(stated))


def check_releases(releases: Sequence[Release], asked: Sequence[Dimension], sources: Sequence[str]) -> None:
    """Raise ValueError for releases that do not fit each other or the study.

    ``asked`` are the study's asked dimensions, ``sources`` the names of its sources that are known before its data.
    """
    joined: dict[str, Release] = {}
    for position, release in enumerate(releases):
        if release.name is not None and joined.setdefault(release.name, release) is not release:
            raise ValueError(f"releases.{position}.name: another release has the name {release.name!r}")
    if releases and len(joined) == len(releases):
        raise ValueError("releases: each has a name, by which others join it, but there are no others")
    for position, release in enumerate(releases):
        for key, problem in _problems(release, joined, asked, sources):
            raise ValueError(f"releases.{position}.columns.{key}: {problem}")


def _problems(
    release: Release, joined: dict[str, Release], asked: Sequence[Dimension], sources: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield each column that does not fit, and why."""
    dimensions = {dimension.name: dimension for dimension in asked}
    known = ("key",) if release.name else (*FACTS, *dimensions)
    for name, column in release.columns.items():
        if name not in known:
            yield name, f"unknown{closest(name, known)}; it can be {', '.join(known)}"
        if column.template and name != "link":
            yield name, "template is for link"
        if column.separator and not (name in dimensions and dimensions[name].multiple):
            yield name, "separator is for a dimension with several categories: set multiple = true for it"
        if column.from_ and (column.from_ not in joined or release.name):
            yield name, f"from: {column.from_!r} is not the name of a release to join{closest(column.from_, joined)}"
    yield from _missing(release, asked, sources)


def _missing(release: Release, asked: Sequence[Dimension], sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the columns that a release lacks, and what they are for."""
    columns = release.columns
    if release.name:
        if "key" not in columns:
            yield "key", "missing; others find the rows of this release by it"
        return
    if not {"key", "link"} & set(columns):
        yield "link", "missing; give link, key or both: they tell the items apart"
    if "library" not in columns:
        yield "library", "missing; give a column, or a constant such as {value = 'Keras'}"
    for dimension in asked:
        if dimension.required and dimension.name not in columns:
            yield dimension.name, f"missing; {dimension.name} is required of every bug"
    if "source" not in columns and len(sources) > 1:
        yield "source", f"missing; give a column, or a constant, to tell {', '.join(sources)} apart"
    if "source" in columns and not sources:
        yield "source", "give a map from what the file calls each source to its name, or list them in sources.names"
