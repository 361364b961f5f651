"""Studies whose dimensions, categories, libraries and sources a test chooses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dlbug_assets.protocol.study import Study, load_study

SO, GH = "Stack Overflow", "GitHub"


def small_study(
    folder: Path,
    libraries: Sequence[str] = ("Keras",),
    sources: Sequence[str] = (SO, GH),
    dimensions: Mapping[str, str] | None = None,
    taxonomy: str | None = None,
) -> Study:
    """Write a study of released labels into a folder, and read it.

    ``dimensions`` are names and further keys of [[dimensions]] in TOML; without them the study has those of islam2019.
    ``taxonomy`` is the content of its taxonomy.csv.
    """
    folder.mkdir(exist_ok=True)
    asked = load_study("islam2019").asked_names
    described = ""
    if dimensions is not None:
        asked = tuple(name for name, keys in dimensions.items() if "rolls_up" not in keys)
        described = "".join(f'[[dimensions]]\nname = "{name}"\n{keys}\n' for name, keys in dimensions.items())
    text = f"""
[study]
name = "small"
title = "A small study"
seed = 3
{"" if described else 'follows = "islam2019"'}
{described}
{"".join(f'[[libraries]]{chr(10)}name = "{library}"{chr(10)}' for library in libraries)}
[sources]
labels = "release"
names = {list(sources)}
[[releases]]
path = "bugs.csv"
[releases.columns]
link = "link"
library = "library"
source = "source"
{"".join(f'{name} = "{name}"{chr(10)}' for name in asked)}
"""
    (folder / "study.toml").write_text(text, encoding="utf-8")
    if taxonomy is not None:
        (folder / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")
    return load_study(folder)
