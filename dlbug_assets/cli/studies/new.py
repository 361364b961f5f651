"""`dlbug new`: write the folder of a study."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import tomli_w

from dlbug_assets.atomic_files import write_folder
from dlbug_assets.cli.studies.schemas import SCHEMAS, schema
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.sections import Identity
from dlbug_assets.protocol.study import STUDY_FILE, Study, load_study, shipped_studies
from dlbug_assets.protocol.taxonomy import load_taxonomy

_TEMPLATE = Path(__file__).parent / "template"
_TEMPLATE_NAME = "my_study"
#: The folder of the JSON Schemas in a study's folder, and the comment by which editors find one.
_SCHEMA_FOLDER = ".schema"
_SCHEMA_COMMENT = f"#:schema ./{_SCHEMA_FOLDER}/{{name}}.schema.json\n"
#: A table of a TOML file, with the comments above it.
_TABLE = re.compile(r"(?m)^(?:(?:#.*)?\n)*\[")
#: Keys of [study], and tables, that are about another study's results.
_OF_RESULTS = re.compile(r"(?m)^(follows|cites|licence|keywords|authors) = .*\n")
_TABLES_OF_RESULTS = ("study.cites", "study.authors", "published")


def check_name(folder: Path) -> str:
    """Return the name of a new study, that of its folder; raise :class:`DlbugError` if it may not have this name."""
    name = folder.name
    try:
        Identity.model_validate({"name": name, "title": name or "-", "seed": 0})
    except ValueError:
        raise DlbugError(
            f"{shown(name)} cannot be the name of a study: use a small letter, then up to 39 small letters, digits or "
            "_, and not the name of a schema such as labeling"
        ) from None
    if name in shipped_studies():
        raise DlbugError(f"{name!r} is the name of a study that ships: use another name, or run it as it is")
    if folder.exists() or folder.is_symlink():
        raise DlbugError(f"{folder} exists already: use another name, or delete it")
    return name


def create(folder: Path) -> Study:
    """Write a study with every key and three dimensions of its own, which runs offline; return it."""
    name = check_name(folder)
    files = {path.name: path.read_text(encoding="utf-8") for path in _TEMPLATE.iterdir()}
    files[STUDY_FILE] = files[STUDY_FILE].replace(_TEMPLATE_NAME, name)
    return write(folder, files)


def create_like(folder: Path, like: str) -> tuple[Study, str]:
    """Write a study with dimensions, taxonomy, selection, libraries, sources and raters of one that ships.

    Returns it, and what of the other study was left out: its results, and what it cites.
    """
    name, shipped = check_name(folder), shipped_studies()
    if like not in shipped:
        raise DlbugError(f"--like {shown(like)}: it is not one of {', '.join(shipped)}{closest(like, shipped)}")
    study = load_study(like)
    text = shipped[like].read_text(encoding="utf-8")
    text = _OF_RESULTS.sub("", "\n".join(_tables(text[text.index("[study]") :])))
    text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    text = re.sub(r'(?m)^title = ".*"$', f'title = "{name.replace("_", " ").capitalize()}"', text, count=1)
    if "[[dimensions]]" not in text:
        dimensions = [each.model_dump(mode="json", exclude_defaults=True) for each in study.dimensions]
        text += "\n" + tomli_w.dumps({"dimensions": dimensions})
    files = {STUDY_FILE: f"# Made from {like}. All keys: `dlbug new`, without --like.\n\n{text}"}
    for path in (study.files.taxonomy, study.files.mappings):
        if path is not None:
            files[path.name] = path.read_text(encoding="utf-8")
    results = {"claims": study.files.claims, "printed numbers": study.published, "citations": study.study.cites}
    left_out = ", ".join(what for what, found in results.items() if found)
    if left_out:
        followed = study.study.follows or like
        left_out += f' of {followed}. To take them over, add follows = "{followed}" to [study].'
    return write(folder, files), left_out


def _tables(text: str) -> Iterator[str]:
    """Yield the tables of a TOML file, each with the comments above it, except those of another study's results."""
    starts = [found.start() for found in _TABLE.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        header = text[text.index("[", start) : end].strip("[")
        if not header.startswith(_TABLES_OF_RESULTS):
            yield text[start:end].strip("\n") + "\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Study:
    """Write the files of a study, with the JSON Schemas by which editors check them; return the study.

    Raises :class:`DlbugError` if the folder cannot be written.
    """
    contents = {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}
    for name in SCHEMAS:
        contents[f"{_SCHEMA_FOLDER}/{name}.schema.json"] = schema(name).encode()
        if described := contents.get(f"{name}.toml"):
            contents[f"{name}.toml"] = _SCHEMA_COMMENT.format(name=name).encode() + described
    write_folder(folder, contents)
    study = load_study(folder)
    load_taxonomy(study)
    return study
