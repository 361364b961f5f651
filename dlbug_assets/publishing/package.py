"""The replication package: what others need to check a study or to build on it, without what belongs to people.

Ids and links stand for texts: titles, bodies, messages, patches and remarks stay at home, as do the hashes of
accounts. Raters are numbered. What is in it comes from the published database alone; the same database gives the same
bytes.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import tomli_w
import yaml

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MODELS
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.report import contents as report_contents
from dlbug_assets.publishing.report import pictures
from dlbug_assets.publishing.report_queries import ask_all
from dlbug_assets.warehouse.table_specs import TableSpec

#: They quote what people wrote.
LEFT_OUT_TABLES = ("labeling.rejected_labels", "stackoverflow.irregularities")
#: Texts, which their authors have the rights in and may name people in, and what stands for accounts.
LEFT_OUT_COLUMNS = ("title", "body_html", "message", "patch_excerpt", "place", "comment", "owner_hash", "author_hash")
_COLLECTED = ("stackoverflow", "github", "labeling")
#: Where raters are named, alone or within a file's name or a reason.
_NAMING = ("rater", "rater_1", "rater_2", "adjudicated_by", "file", "provenance", "undefined_reason")

PAPER = "10.1145/3338906.3338955"
_MANIFEST = "manifest-sha256.txt"
_CITED_LICENCE = "CC-BY-4.0"
#: The earliest moment that a zip can hold: the same files are the same archive.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

_TYPES = {
    "VARCHAR": "string",
    "VARCHAR[]": "array",
    "BIGINT": "integer",
    "INTEGER": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "datetime",
}


@dataclass(frozen=True)
class Package:
    """What goes into a package: ``ask`` answers a query on the published database of ``study``."""

    study: Study
    specs: Mapping[str, TableSpec]
    ask: Callable[[str], pl.DataFrame]
    authors: Sequence[str] = ()

    def files(self) -> dict[str, bytes]:
        """The files by their path in the package.

        Raises :class:`DlbugError` where the database is of another protocol than the study is now.
        """
        info = dict(self.ask("from publishing.study_info").iter_rows())
        if info["study_hash"] != self.study.hash:
            raise DlbugError(
                f"the published database is of the protocol {info['study_hash'][:12]}, the study is now "
                f"{self.study.hash[:12]}: run `dlbug run --study {self.study.name}` first"
            )
        if "code_digest" not in info:
            raise DlbugError(
                f"the published database does not state which code computed it: run `dlbug run --study "
                f"{self.study.name}` first"
            )
        tables = {name: self._table(spec) for name, spec in sorted(self.specs.items()) if name not in LEFT_OUT_TABLES}
        made = {f"tables/{name}.csv": _csv(frame) for name, frame in tables.items()}
        rows = {name: self._impersonal(frame) for name, frame in ask_all(self.ask).items()}
        made |= {f"report/{name}": content for name, content in report_contents(rows, pictures(rows)).items()}
        made |= {f"sql/{path.relative_to(MODELS)}": path.read_bytes() for path in sorted(MODELS.glob("*/*.sql"))}
        made |= self._study_files()
        made["requirements.txt"] = _requirements(info).encode()
        made["datapackage.json"] = _json(self._data_package(tables, made))
        made["CITATION.cff"] = yaml.safe_dump(self._citation(), sort_keys=False, allow_unicode=True).encode()
        made[".zenodo.json"] = _json(self._zenodo())
        made["README.md"] = self._readme(info, tables).encode()
        made[_MANIFEST] = "".join(f"{_sha256(made[name])}  {name}\n" for name in sorted(made)).encode()
        return dict(sorted(made.items()))

    @property
    def _is_released(self) -> bool:
        """Whether the labels are those that the paper's authors released, which have terms of their own."""
        return self.study.sources.labels == "artifact"

    @property
    def _people(self) -> dict[str, str]:
        """Rater or adjudicator -> what the package calls them."""
        labeling = self.study.labeling
        numbered = {rater: f"rater_{number}" for number, rater in enumerate(labeling.raters, start=1)}
        return numbered | ({labeling.adjudicator: "adjudicator"} if labeling.adjudicator else {})

    @property
    def _title(self) -> str:
        return f"{self.study.study.title}: replication package"

    @property
    def _creators(self) -> list[str]:
        return list(self.authors) or [f"The researchers of the study {self.study.name}"]

    def _table(self, spec: TableSpec) -> pl.DataFrame:
        kept = [name for name in spec.column_names if spec.schema not in _COLLECTED or name not in LEFT_OUT_COLUMNS]
        columns = ", ".join(f'"{name}"' for name in kept)
        return self._impersonal(self.ask(f"select {columns} from {spec.table} order by all"))

    def _impersonal(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without addresses in any text, and with numbers for raters."""
        texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        frame = frame.with_columns(redact_emails(pl.col(name)) for name in texts)
        people = self._people
        if not people:
            return frame
        names = re.compile(
            r"\b(" + "|".join(map(re.escape, sorted(people, key=len, reverse=True))) + r")(?![A-Za-z0-9_])"
        )
        return frame.with_columns(
            pl.col(name).map_elements(
                lambda text: names.sub(lambda found: people[found[1]], text), return_dtype=pl.String, skip_nulls=True
            )
            for name in texts
            if name in _NAMING
        )

    def _study_files(self) -> dict[str, bytes]:
        """The protocol as TOML that runs, with raters numbered and paths that lead into the package."""
        protocol = self.study.model_dump(mode="json", exclude_none=True)
        people = self._people
        protocol["labeling"]["raters"] = [people[rater] for rater in self.study.labeling.raters]
        if self.study.labeling.adjudicator:
            protocol["labeling"]["adjudicator"] = people[self.study.labeling.adjudicator]
        if self.study.sources.dump_path:
            protocol["sources"]["dump_path"] = Path(self.study.sources.dump_path).name
        made = {}
        extra = self.study.taxonomy.extra
        if extra:
            protocol["taxonomy"]["extra"] = "taxonomy_extra.csv"
            made["taxonomy_extra.csv"] = extra.read_bytes()
        made["study.toml"] = tomli_w.dumps(protocol).encode()
        return made

    def _data_package(self, tables: Mapping[str, pl.DataFrame], made: Mapping[str, bytes]) -> dict[str, Any]:
        """A Frictionless Data Package (specs.frictionlessdata.io, version 1)."""
        described = {
            "name": f"dlbug-{self.study.name.replace('_', '-')}",
            "title": self._title,
            "description": f"Every table of the study {self.study.name} but texts; see README.md.",
            "profile": "tabular-data-package",
            "version": self.study.hash[:12],
            "contributors": [{"title": name, "role": "author"} for name in self._creators],
            "sources": [{"title": "A Comprehensive Study on Deep Learning Bug Characteristics",
                         "path": f"https://doi.org/{PAPER}"}],
        }  # fmt: skip
        if not self._is_released:
            described["licenses"] = [
                {"name": _CITED_LICENCE, "path": "https://creativecommons.org/licenses/by/4.0/"}
            ]  # fmt: skip
        resources = [self._resource(self.specs[name], frame, made[f"tables/{name}.csv"])
                     for name, frame in tables.items()]  # fmt: skip
        return described | {"resources": resources}

    @staticmethod
    def _resource(spec: TableSpec, frame: pl.DataFrame, content: bytes) -> dict[str, Any]:
        kept = [column for column in spec.columns if column.name in frame.columns]
        key = [name for name in spec.grain if name in frame.columns]
        schema: dict[str, Any] = {
            "fields": [
                {"name": column.name, "type": _TYPES[column.data_type], "description": column.description}
                | ({"constraints": {"required": True}} if column.name in key else {})
                for column in kept
            ],
            "missingValues": [""],
        }
        if key == list(spec.grain):
            schema["primaryKey"] = key
        return {
            "name": spec.table,
            "path": f"tables/{spec.table}.csv",
            "profile": "tabular-data-resource",
            "description": spec.description,
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "bytes": len(content),
            "hash": f"sha256:{_sha256(content)}",
            "schema": schema,
        }

    def _citation(self) -> dict[str, Any]:
        """Citation File Format 1.2.0."""
        cited = {
            "cff-version": "1.2.0",
            "message": "If you use this package, please cite it, and the study whose protocol it follows.",
            "type": "dataset",
            "title": self._title,
            "version": self.study.hash[:12],
            "authors": [{"name": name} for name in self._creators],
            "references": [
                {
                    "type": "conference-paper",
                    "title": "A Comprehensive Study on Deep Learning Bug Characteristics",
                    "authors": [
                        {"family-names": "Islam", "given-names": "Md Johirul"},
                        {"family-names": "Nguyen", "given-names": "Giang"},
                        {"family-names": "Pan", "given-names": "Rangeet"},
                        {"family-names": "Rajan", "given-names": "Hridesh"},
                    ],
                    "year": 2019,
                    "doi": PAPER,
                    "collection-title": "ESEC/FSE 2019",
                }
            ],
        }
        return cited if self._is_released else cited | {"license": _CITED_LICENCE}

    def _zenodo(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "upload_type": "dataset",
            "description": f"<p>Tables, protocol and report of the study {self.study.name}, made by dlbug.</p>",
            "creators": [{"name": name} for name in self._creators],
            "access_right": "open",
            "license": "other-at" if self._is_released else _CITED_LICENCE.lower(),
            "keywords": ["deep learning", "bugs", "empirical software engineering", "replication"],
            "related_identifiers": [{"identifier": PAPER, "relation": "isDerivedFrom", "scheme": "doi"}],
            "version": self.study.hash[:12],
        }

    def _readme(self, info: Mapping[str, str], tables: Mapping[str, pl.DataFrame]) -> str:
        environment = jinja2.Environment(
            autoescape=jinja2.select_autoescape(),  # not for Markdown
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        return environment.get_template("package.md.j2").render(
            title=self._title,
            info=info,
            study=self.study,
            is_released=self._is_released,
            licence=_CITED_LICENCE,
            tables=[
                {"name": name, "rows": frame.height, "description": self.specs[name].description}
                for name, frame in tables.items()
            ],
            left_out_tables=LEFT_OUT_TABLES,
            left_out_columns=LEFT_OUT_COLUMNS,
            paper=PAPER,
        )


def archive(name: str, files: Mapping[str, bytes]) -> bytes:
    """The files as one zip, in a folder of this name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for path, content in files.items():
            entry = zipfile.ZipInfo(f"{name}/{path}", _ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, content)
    return packed.getvalue()


def _requirements(info: Mapping[str, str]) -> str:
    """Return the packages that computed a database in pip's format, from the rows of its publishing.study_info."""
    not_packages = ("dlbug_version", "python_version")
    packages = [key for key in info if key.endswith("_version") and key not in not_packages]
    head = f"# What computed the tables, beside dlbug {info['dlbug_version']}, with Python {info['python_version']}.\n"
    return head + "".join(f"{key.removesuffix('_version')}=={info[key]}\n" for key in packages)


def _csv(frame: pl.DataFrame) -> bytes:
    lists = [name for name, dtype in frame.schema.items() if dtype == pl.List]
    moments = [name for name, dtype in frame.schema.items() if dtype == pl.Datetime]
    written = frame.with_columns(
        *(
            pl.col(name).map_elements(lambda values: json.dumps(values.to_list()), return_dtype=pl.String)
            for name in lists
        ),
        *(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%SZ") for name in moments),
    )
    return written.write_csv().encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
