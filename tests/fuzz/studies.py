"""Inputs that a researcher writes: studies, their own categories, and addresses of repositories."""

import os
import random
import re
from pathlib import Path

import tomli_w

from dlbug_assets.cli.env_file import VARIABLES, load_env_file
from dlbug_assets.github.clones.git import Clone
from dlbug_assets.github.commits import FixCommitFilter
from dlbug_assets.github.followed import listed_repository
from dlbug_assets.layout import PROJECT
from dlbug_assets.protocol.study import load_study, shipped_studies
from dlbug_assets.protocol.taxonomy import load_taxonomy
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, mutate_cells, mutate_text, nasty
from fuzz.tables import csv_bytes, csv_table

#: Values: texts in quotes, and what else stands behind "= ".
_VALUE = re.compile(r"""'[^'\n]*'|"[^"\n]*"|(?<== )[^\s"'\[][^\n#"']*?(?= *(?:#|$))""", re.M)


_OTHER_TYPES = ("true", "[]", "{}", "[[]]", "['a', 1]", "2020-01-01", "1979-05-27T07:32:00Z")
#: A study without libraries.
_STUDY = """
study = {name = "a", title = "a", seed = 1}
sources = {posts = "api", commits = "clone", labels = "files"}
labeling = {raters = ["a", "b"], adjudicator = "c"}
"""


class Studies(Kind):
    """Study files; what is accepted can be written into a package and read again."""

    name = "studies"

    def examples(self) -> list[bytes]:
        paths = [*shipped_studies().values(), PROJECT / "docs" / "study.toml"]
        # Only a shipped study itself may have its name.
        return [re.sub(rb'(?m)^name = "\w+"', b'name = "fuzzed"', path.read_bytes(), count=1) for path in paths]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.3:
            return mutate_bytes(choose, content)
        text = content.decode()
        for _ in range(choose.randint(1, 3)):
            value = choose.choice(list(_VALUE.finditer(text)))
            if value.group().startswith(("'", '"')):
                changed = "'" + mutate_text(choose, value.group()[1:-1]) + "'"
            else:
                changed = choose.choice(
                    (nasty(choose), "true", "[]", "{}", "[[]]", "['a', 1]", "2020-01-01", "1979-05-27T07:32:00Z")
                )
            text = text[: value.start()] + changed + text[value.end() :]
        return text.encode("utf-8", "surrogatepass")

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / "study.toml"
        path.write_bytes(content)
        study = load_study(path)
        FixCommitFilter(study.libraries[0], study.selection).rows([])
        packed = folder / "packed.toml"
        packed.write_text(
            tomli_w.dumps(study.model_dump(mode="json", exclude_none=True, exclude_defaults=True)), encoding="utf-8"
        )
        assert load_study(packed).model_dump() == study.model_dump()


class Categories(Kind):
    """CSV files with a study's own categories."""

    name = "categories"

    def examples(self) -> list[bytes]:
        rows = [["dimension", "code", "name", "aliases", "definition", "example"]]
        for number, dimension in enumerate(load_study("sample").asked_names):
            aliases = f"first {number} | second {number}"
            rows.append([dimension, f"C{number}", f"Category {number}", aliases, "It is, so to speak, one.", ""])
        return [csv_bytes(rows), csv_bytes([row[:3] for row in rows])]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.3:
            return mutate_bytes(choose, content)
        return csv_bytes(mutate_cells(choose, csv_table(content)))

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / "extra.csv"
        path.write_bytes(content)
        study = load_study("sample")
        study = study.model_copy(update={"taxonomy": study.taxonomy.model_copy(update={"extra": path})})
        taxonomy = load_taxonomy(study)
        for category in taxonomy.categories:
            assert taxonomy.fold(category.dimension, category.name) == category.name


class Addresses(Kind):
    """Addresses of repositories; those of this machine are asked for their head."""

    name = "addresses"

    def examples(self) -> list[bytes]:
        return [
            b"owner/name", b"https://gitlab.com/owner/name.git", b"ssh://git@host.example/owner/name.git", b"./a",
            b"/srv/git/a.git", b"file:///srv/git/a.git", b"https://github.com/owner/name",
        ]  # fmt: skip

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        text = content.decode()
        for _ in range(choose.randint(1, 2)):
            text = mutate_text(choose, text)
        return text.encode("utf-8", "surrogatepass")

    def read(self, content: bytes, folder: Path) -> None:
        libraries = [{"name": "Keras", "tags": ["keras"], "repositories": [content.decode("utf-8", "replace")]}]
        path = folder / "study.toml"
        path.write_text(_STUDY + tomli_w.dumps({"libraries": libraries}), encoding="utf-8")
        for entry in load_study(path).libraries[0].repositories:
            repository = listed_repository(entry, "file:///srv/github")
            if "://" not in repository.address or repository.address.startswith("file://"):
                Clone(folder / "clone.git", repository.address).remote_state()


class Variables(Kind):
    """Files .env."""

    name = "env"

    def examples(self) -> list[bytes]:
        return ["".join(f"{name}=value{number}\n" for number, name in enumerate(VARIABLES)).encode()]

    def read(self, content: bytes, folder: Path) -> None:
        before = Path.cwd()
        os.chdir(folder)
        try:
            Path(".env").write_bytes(content)
            environ: dict[str, str] = {}
            load_env_file(environ)
        finally:
            os.chdir(before)
        assert set(environ) <= set(VARIABLES)
        for name, value in environ.items():
            os.environ[f"FUZZ_{name}"] = value
