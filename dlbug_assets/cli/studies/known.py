"""The studies that can be named: those that ship, and those that were run in the home."""

import os
from collections.abc import Iterator, Mapping

from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study, load_study, shipped_studies

#: Files of releases that are listed by name.
_MOST_FILES = 5


def record_path(study: Study, home: Home) -> None:
    """Record in its home where a study is, by which `--study NAME` finds it; one that ships is found without.

    Raises :class:`DlbugError` if the home cannot be written.
    """
    path = study.files.study
    if path is None or study.name in shipped_studies():
        return
    content = os.fsencode(path)
    try:
        if not home.study_path.is_file() or home.study_path.read_bytes() != content:
            home.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(home.study_path, content, 0o600)
    except OSError as error:
        raise DlbugError(
            f"cannot write {home.study_path}: {error.strerror}. Make the folder writable, or set DLBUG_HOME to another "
            "one."
        ) from None


def descriptions(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what each study is and needs: those that ship, then those with a home."""
    shipped = shipped_studies()
    homes = Home.of("", environ).others()
    for name in [*shipped, *(home.study for home in homes if home.study not in shipped)]:
        try:
            yield _description(load_study(name, environ), ships=name in shipped)
        except DlbugError as error:
            yield f"{name}: {error}"


def _description(study: Study, *, ships: bool) -> str:
    lines = [
        f"{study.name}: {study.study.title}",
        f"{study.study.group}: {', '.join(study.library_names)}",
        f"Dimensions: {', '.join(dimension.title for dimension in study.dimensions)}",
        f"Sources: {', '.join(study.source_names)} ({_origins(study)})",
        f"Needs: {'; '.join(needs(study)) or 'nothing'}",
    ]
    if not ships:
        lines.append(f"Folder: {study.files.study and study.files.study.parent}")
    return "\n    ".join(lines)


def _origins(study: Study) -> str:
    origins = (("posts", study.sources.posts), ("commits", study.sources.commits), ("labels", study.sources.labels))
    return ", ".join(f"{what}: {origin}" for what, origin in origins if origin)


def needs(study: Study) -> Iterator[str]:
    """Yield what a study needs beside its folder: a network, tokens, files and raters."""
    sources = study.sources
    if "api" in (sources.posts, sources.commits):
        yield "a network"
    if sources.posts == "api":
        yield "STACKEXCHANGE_KEY (without it, 300 requests a day)"
    if sources.commits == "api":
        yield "GITHUB_TOKEN (without it, 60 requests an hour)"
    if sources.posts == "dump":
        yield f"the dump {sources.dump_path}"
    if sources.commits == "clone":
        yield "git, and a network for repositories elsewhere"
    yield from _files(study)
    if sources.labels == "files":
        yield f"labels by {', '.join(study.labeling.raters)}"


def _files(study: Study) -> Iterator[str]:
    """Yield the files of the study's releases that are fetched, by where they may be found, then those beside it."""
    fetched: dict[str, list[str]] = {}
    for release in study.releases:
        for file in release.file_names:
            if path := release.path_of(file):
                yield str(path)
                continue
            places = f"downloaded, or found in the folder DLBUG_RELEASES as {study.name}/.."
            if release.variable:
                places += f", or as {release.variable}"
            names = fetched.setdefault(places, [])
            names += [file] if file not in names else []
    for places, names in fetched.items():
        shown = names if len(names) <= _MOST_FILES else [*names[:_MOST_FILES], f"{len(names) - _MOST_FILES} more files"]
        yield f"{', '.join(shown)} ({places})"
