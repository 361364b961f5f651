"""The study protocol: a folder, or one TOML file, becomes one validated, frozen object.

It contains what a researcher decides before looking at data: libraries, dimensions, selection, sources, raters. Beside
study.toml, a folder may have taxonomy.csv, mappings.csv, claims.toml and published/.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import STUDIES, Home
from dlbug_assets.protocol.addresses import is_address
from dlbug_assets.protocol.dimensions import Dimension, check_dimensions
from dlbug_assets.protocol.files.problems import explanation
from dlbug_assets.protocol.files.text import read_text_file
from dlbug_assets.protocol.files.toml import read_toml_file
from dlbug_assets.protocol.names import closest, require_columns, require_more_than_case, shown
from dlbug_assets.protocol.published import PublishedNumbers
from dlbug_assets.protocol.releases import Release, check_releases, source_names
from dlbug_assets.protocol.sections import (
    Identity,
    Labeling,
    Library,
    Schedule,
    Section,
    Selection,
    Sources,
    TaxonomyOptions,
)

STUDY_FILE = "study.toml"
STACK_OVERFLOW, GITHUB = "Stack Overflow", "GitHub"
#: The source of a release that names none.
RELEASE = "Release"
#: The shipped study whose dimensions, taxonomy and mappings a study without [[dimensions]] has.
_DEFAULT = "islam2019"
#: A name that a study may have, so that no other text becomes part of a path.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class StudyFiles(Section, frozen=True):
    """The files of a study; None where it has none. ``digest`` is the sha256 of all except its TOML file, ``study``."""

    study: Path | None = None
    taxonomy: Path | None = None
    mappings: Path | None = None
    claims: Path | None = None
    published: Path | None = None
    digest: str = ""


class Study(Section, frozen=True):
    """One study, as its folder describes it. Read it with :func:`load_study`."""

    study: Identity
    selection: Selection = Selection()
    libraries: tuple[Library, ...] = Field(min_length=1, max_length=1000)
    dimensions: tuple[Dimension, ...] = Field(min_length=1, max_length=100)
    sources: Sources
    labeling: Labeling = Labeling()
    taxonomy: TaxonomyOptions = TaxonomyOptions()
    schedule: Schedule = Schedule()
    releases: tuple[Release, ...] = Field(default=(), max_length=100)
    published: tuple[PublishedNumbers, ...] = Field(default=(), max_length=500)
    _files: StudyFiles = PrivateAttr(default=StudyFiles())

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [library.name for library in self.libraries]
        if len(set(names)) != len(names):
            raise ValueError("libraries: two of them have the same name")
        require_more_than_case(names)
        object.__setattr__(self, "dimensions", check_dimensions(self.dimensions))
        for position, library in enumerate(self.libraries):
            if self.sources.posts in ("api", "dump", "sample") and not library.tags:
                raise ValueError(f"libraries.{position}.tags: missing; posts of {library.name} are found by them")
            if self.sources.commits in ("api", "clone", "sample") and not library.repositories:
                raise ValueError(
                    f"libraries.{position}.repositories: missing; commits of {library.name} are found in them"
                )
        if self.sources.labels != "release":
            if "labeling" not in self.model_fields_set:
                raise ValueError(
                    "labeling: missing; add the table [labeling] with two raters or more, raters = ['..', '..'], and "
                    "an adjudicator = '..', or take labels that exist already (sources.labels = 'release')"
                )
            if len(self.labeling.raters) < 2:  # noqa: PLR2004
                raise ValueError("labeling.raters: agreement needs two raters or more")
            if not self.labeling.adjudicator:
                raise ValueError("labeling.adjudicator: missing; the adjudicator decides where raters differ")
        if (self.sources.labels == "release") != bool(self.releases):
            raise ValueError("releases: describe the files of a release where labels = 'release', and only there")
        check_releases(self.releases, self.asked, self._stated_sources)
        require_columns(self.source_names)
        return self

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.study.name

    @property
    def files(self) -> StudyFiles:
        """Its files, some of which may be those of the study that it follows."""
        return self._files

    def with_files(self, files: StudyFiles) -> Self:
        """Return the same study with other files."""
        study = self.model_copy()
        study._files = files  # pyright: ignore[reportAttributeAccessIssue] - not a field
        return study

    @property
    def library_names(self) -> tuple[str, ...]:
        """The names of the libraries, in the order of the file."""
        return tuple(library.name for library in self.libraries)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources of its items, in order."""
        return self._stated_sources or (RELEASE,)

    @property
    def _stated_sources(self) -> tuple[str, ...]:
        collected = [STACK_OVERFLOW] * bool(self.sources.posts) + [GITHUB] * bool(self.sources.commits)
        return tuple(dict.fromkeys([*collected, *self.sources.names, *source_names(self.releases)]))

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """The names of all dimensions, in the order of the file."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def asked(self) -> tuple[Dimension, ...]:
        """The dimensions that raters and releases label; the others are derived from them."""
        return tuple(dimension for dimension in self.dimensions if dimension.is_asked)

    @property
    def asked_names(self) -> tuple[str, ...]:
        """The names of the dimensions that raters and releases label."""
        return tuple(dimension.name for dimension in self.asked)

    @property
    def required_names(self) -> tuple[str, ...]:
        """The names of the dimensions in which every bug has a label."""
        return tuple(dimension.name for dimension in self.dimensions if dimension.required)

    @property
    def is_synthetic(self) -> bool:
        """Whether any of its rows are synthetic."""
        return "sample" in (self.sources.posts, self.sources.commits, self.sources.labels)

    @property
    def follows_a_source(self) -> bool:
        """Whether posts or commits come from a live source, which is refreshed on a schedule."""
        return self.sources.posts == "api" or self.sources.commits in ("api", "clone")

    @property
    def is_recomputable(self) -> bool:
        """Whether its tables follow from its files and releases: nothing is collected, no rater submits sheets."""
        collected = {"api", "clone", "dump"} & {self.sources.posts, self.sources.commits}
        return not collected and self.sources.labels != "files"

    @property
    def hash(self) -> str:
        """The sha256 of the validated protocol and its files.

        It depends neither on how study.toml spells it, nor on where the folder is.
        """
        protocol: dict[str, Any] = self.model_dump(mode="json") | {"files": self.files.digest}
        folder = self.files.study.parent if self.files.study else None
        for table, key in ((protocol["sources"], "dump_path"), (protocol["taxonomy"], "extra"),
                           *((release, "path") for release in protocol["releases"])):  # fmt: skip
            path = table[key]
            if folder and path and not is_address(path):
                table[key] = os.path.relpath(path, os.path.realpath(folder))
        return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()

    def __hash__(self) -> int:
        """Return a hash for caches: other sections may contain mappings, which have none."""
        return hash((self.study, self.selection, self.libraries, self.sources, self.files))


def posts_per_library(study: Study, dimension: Dimension) -> int | None:
    """Return the number of posts of each library that are asked about a dimension; None if all items are."""
    if dimension.asked_of == "all":
        return None
    general = study.labeling.antipattern_posts_per_library
    return dimension.asked_of.posts_per_library if general is None else general


def sample_rank(study: Study, dimension: Dimension, item_id: str) -> str:
    """Return what the posts that may be asked about a dimension are ordered by: a hash with the study's seed."""
    return hashlib.sha256(f"{study.study.seed}|{dimension.name}|{item_id}".encode()).hexdigest()


def shipped_studies() -> dict[str, Path]:
    """Return name -> study.toml of the studies that ship with the package, in alphabetical order."""
    return {path.parent.name: path for path in sorted(STUDIES.glob(f"*/{STUDY_FILE}"))}


def load_study(name_or_path: str | Path, environ: Mapping[str, str] | None = None) -> Study:
    """Read and validate a study.

    ``name_or_path`` is the name of a shipped study, a folder with a study.toml, the path of a TOML file, or, with
    ``environ``, the name of a study that was run in DLBUG_HOME; the first of these that exists. Paths inside the file
    are relative to it. Raises :class:`DlbugError` that names the file and the key.
    """
    shipped = shipped_studies()
    path = shipped.get(str(name_or_path)) or _path(name_or_path)
    home = None
    if environ is not None and not os.path.lexists(path) and _NAME.fullmatch(str(name_or_path)):
        home = Home.of(str(name_or_path), environ)
        path = _recorded_path(home) or path
    try:
        content = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        known = [*shipped, *(other.study for other in (home.others() if home else ()))]
        raise DlbugError(
            f"unknown study {shown(str(name_or_path))}: it is neither a folder with a {STUDY_FILE}, nor a TOML file, "
            f"nor one of {', '.join(known)}{closest(str(name_or_path), known)}. `dlbug new NAME` creates a study."
        ) from None
    try:
        files = _inherit(content, path, shipped)
        study = Study.model_validate(content).with_files(files)
    except ValidationError as error:
        raise DlbugError(f"{path}: {explanation(error, content, Study)}") from None
    if path in shipped.values() and path.parent.name != study.name:
        raise DlbugError(f"{path}: study.name is {study.name!r}; a shipped study is named as its folder")
    if study.name in shipped and path != shipped[study.name] and study.hash != load_study(study.name).hash:
        raise DlbugError(
            f"{path}: study.name: {study.name!r} is the name of a study that ships, but this is another study: use "
            "another name"
        )
    if home and study.name != home.study:
        raise DlbugError(
            f"{path}: study.name is {study.name!r}, but the study {home.study!r} was run from this file: change the "
            "name back, or name the folder or file where the study is now"
        )
    return study


def _path(name: str | Path) -> Path:
    """Return the TOML file that a path means: that of a folder is its study.toml."""
    # Path.is_dir raises errors of permissions, which are reported when the file is read.
    return Path(name) / STUDY_FILE if os.path.isdir(name) else Path(name)  # noqa: PTH112


def _recorded_path(home: Home) -> Path | None:
    """Return the TOML file that the last run in a home has read, None if there was none."""
    try:
        path = Path(os.fsdecode(home.study_path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DlbugError(f"cannot read {home.study_path}: {error.strerror}. Name the study's folder instead.") from None
    if not os.path.lexists(path):
        raise DlbugError(
            f"the study {home.study!r} was run from {path}, which does not exist any more: put it back, or name the "
            "folder or file where the study is now"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    content = read_toml_file(path, "a study is a folder, a TOML file, or the name of one that `dlbug studies` lists")
    return _with_absolute_paths(content, path.parent)


def _inherit(content: dict[str, Any], path: Path, shipped: dict[str, Path]) -> StudyFiles:
    """Add what a study takes over from the shipped study that it follows, and return its files.

    A study that neither has dimensions nor follows another study has those of :data:`_DEFAULT`, but neither its claims
    nor its printed numbers.
    """
    identity = content.get("study")
    followed = identity.get("follows") if isinstance(identity, dict) else None
    if followed is not None and followed not in shipped:
        raise DlbugError(
            f"{path}: study.follows: {shown(followed)} is not one of {', '.join(shipped)}"
            f"{closest(str(followed), shipped)}"
        )
    files = _own_files(path)
    base = shipped.get(followed or _DEFAULT)
    if base is not None and base != path and (followed or "dimensions" not in content):
        inherited = _read(base)
        taken_over = _own_files(base)
        if "taxonomy" in files:
            taken_over.pop("mappings", None)
        if not followed:
            taken_over.pop("claims", None)
        # What the files in published/ are, [[published]] states: a study has both of its own, or neither.
        if not followed or "published" in content or "published" in files:
            taken_over.pop("published", None)
        else:
            content["published"] = inherited.get("published", [])
        files = taken_over | files
        if followed and isinstance(identity, dict):
            identity.setdefault("cites", inherited["study"].get("cites", []))
        content.setdefault("dimensions", inherited["dimensions"])
    if "claims" in files and not _states_claims(files["claims"]):
        del files["claims"]
    return StudyFiles(study=path.absolute(), digest=_digest(files), **files)


def _states_claims(path: Path) -> bool:
    """Return whether a claims.toml has more than comments, as that which `dlbug new --from` writes."""
    try:
        text = read_text_file(path, "claims.toml lists the claims of a study")
    except DlbugError:  # is raised again when the claims are read
        return True
    return any(line and not line.startswith("#") for line in map(str.strip, text.splitlines()))


def _own_files(path: Path) -> dict[str, Path]:
    """Return the files beside a study.toml; a TOML file of another name has none."""
    if path.name != STUDY_FILE:
        return {}
    names = {"taxonomy": "taxonomy.csv", "mappings": "mappings.csv", "claims": "claims.toml", "published": "published"}
    return {key: path.parent / name for key, name in names.items() if (path.parent / name).exists()}


def _digest(files: dict[str, Path]) -> str:
    """Return the sha256 of the files' names and contents."""
    digest = hashlib.sha256()
    for key, path in sorted(files.items()):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{key}/{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    def absolute(path: str) -> str:
        # The model reports control characters; a null character would be an error here, as a loop of links in pathlib.
        return path if "\0" in path else os.path.realpath(folder / path)

    # Values of another shape are left as they are: the model reports them.
    for section, key in (("sources", "dump_path"), ("taxonomy", "extra")):
        table = content.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and not is_address(table[key]):
            table[key] = absolute(table[key])
    releases = content.get("releases")
    for release in releases if isinstance(releases, list) else ():
        if isinstance(release, dict) and "url" not in release and {"path", "file", "files"} & set(release):
            path = release.get("path", ".")
            release["path"] = absolute(path) if isinstance(path, str) else path
    libraries = content.get("libraries")
    for library in libraries if isinstance(libraries, list) else ():
        listed = library.get("repositories") if isinstance(library, dict) else None
        if isinstance(listed, list):
            library["repositories"] = [
                absolute(address) if isinstance(address, str) and address.startswith(".") else address
                for address in listed
            ]
    return content
