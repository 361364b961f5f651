"""The replication package: what others need to check a study or to build on it, without personal data.

IDs and links replace texts: the package has no titles, bodies, messages, patches, comments or hashes of accounts.
Raters are numbered, and paths on this machine are shortened. Its content comes from the published database only; the
same database results in the same bytes.
"""

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
import polars as pl
import tomli_w
import yaml

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.csv_cells import ESCAPED_START
from dlbug_assets.layout import MODELS
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.addresses import repository_name
from dlbug_assets.protocol.study import STUDY_FILE, Study, shipped_studies
from dlbug_assets.publishing.contents import author_names
from dlbug_assets.publishing.packages.checklist import checklist
from dlbug_assets.publishing.packages.citations import citation, zenodo
from dlbug_assets.publishing.report import TEMPLATES, render_figures, report_files
from dlbug_assets.publishing.report_queries import run_queries
from dlbug_assets.warehouse.macros import macro_files
from dlbug_assets.warehouse.table_specs import TableSpec

#: Tables that quote what people wrote.
LEFT_OUT_TABLES = ("labeling.rejected_labels", "labeling.receipts", "stackoverflow.irregularities")
#: Columns with texts, which are their authors' property and may name people, and with hashes of accounts.
LEFT_OUT_COLUMNS = ("title", "body_html", "message", "patch_excerpt", "place", "comment", "owner_hash", "author_hash")
_COLLECTED = ("stackoverflow", "github", "labeling")
# Columns that name raters, alone or within a file name or a reason.
_RATER_COLUMNS = ("rater", "raters", "rater_1", "rater_2", "adjudicated_by", "file", "provenance", "undefined_reason")

#: The file with the SHA-256 of every other one, as `sha256sum` checks it.
MANIFEST = "manifest-sha256.txt"
#: The folder of the study.
FOLDER = "study"
# The earliest time that a zip file can store. With a fixed time, the same files result in the same archive.
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


def left_out_files(study: Study) -> dict[str, Path]:
    """Return the files that a study reads and its package lacks, by the names below the package where it reads them."""
    files = {}
    for release in study.releases:
        for file in release.file_names:
            path = release.path_of(file)
            if path and release.path:
                files[PurePosixPath(FOLDER, path.relative_to(Path(release.path).parent).as_posix()).as_posix()] = path
    if dump := _dump_name(study):
        files[dump] = Path(study.sources.dump_path or "")
    return files


def _dump_name(study: Study) -> str | None:
    dump = study.sources.dump_path if study.sources.posts == "dump" else None
    return f"{FOLDER}/{Path(dump).name}" if dump else None


@dataclass(frozen=True)
class Package:
    """A replication package of ``study``.

    ``query`` returns the rows of a query on the published database, and ``home`` is the folder that DLBUG_HOME names.
    """

    study: Study
    specs: Mapping[str, TableSpec]
    query: Callable[[str], pl.DataFrame]
    home: Path
    authors: Sequence[str] = ()

    def files(self) -> dict[str, bytes]:
        """Return the files by their path in the package.

        Raises :class:`DlbugError` if the database was computed with another protocol than the study has now, or does
        not state which code computed it.
        """
        info = dict(self.query("from publishing.study_info").iter_rows())
        if info["study_hash"] != self.study.hash:
            raise DlbugError(
                f"the published database was computed with protocol {info['study_hash'][:12]}, the study now has "
                f"{self.study.hash[:12]}: run `dlbug run --study {self.study.name}` first"
            )
        if "code_digest" not in info:
            raise DlbugError(
                f"the published database does not state which code computed it: run `dlbug run --study "
                f"{self.study.name}` first"
            )
        tables = {name: self.table(name) for name in self.table_names}
        files = {table_path(name): csv_text(frame) for name, frame in tables.items()}
        rows = {name: self._pseudonymize(frame) for name, frame in run_queries(self.query, self.study).items()}
        rendered = render_figures(rows, self.study)
        report = report_files(rows, rendered, self.study)
        files |= {f"report/{name}": content for name, content in report.items()}
        models = sorted(path for path in MODELS.glob("*/*.sql") if f"{path.parent.name}.{path.stem}" in self.specs)
        files |= {f"sql/{path.relative_to(MODELS)}": path.read_bytes() for path in (*models, *macro_files())}
        files |= {f"{FOLDER}/{name}": content for name, content in self.study_files().items()}
        files["requirements.txt"] = _requirements(info).encode()
        files["datapackage.json"] = _json(self._data_package(tables, files))
        files["CITATION.cff"] = yaml.safe_dump(
            citation(self.study, self._title, self.authors), sort_keys=False, allow_unicode=True
        ).encode()
        files[".zenodo.json"] = _json(zenodo(self.study, self._title, self.authors))
        files["README.md"] = self._readme(info, tables).encode()
        files["CHECKLIST.md"] = self._checklist(rows).encode()
        files[MANIFEST] = "".join(f"{_sha256(files[name])}  {name}\n" for name in sorted(files)).encode()
        return dict(sorted(files.items()))

    @cached_property
    def missing_files(self) -> dict[str, str | None]:
        """The files that the study reads and the package lacks, with their SHA-256, which a dump does not have.

        The names are those below the package: there, the packaged study finds them.
        """
        files = left_out_files(self.study)
        dump = _dump_name(self.study)
        return {
            name: _sha256(path.read_bytes()) if name != dump and path.is_file() else None
            for name, path in files.items()
        }

    @property
    def _pseudonyms(self) -> dict[str, str]:
        """The name of each rater and adjudicator in the package."""
        labeling = self.study.labeling
        numbered = {rater: f"rater_{number}" for number, rater in enumerate(labeling.raters, start=1)}
        return numbered | ({labeling.adjudicator: "adjudicator"} if labeling.adjudicator else {})

    @cached_property
    def _local_repositories(self) -> dict[str, str]:
        """The address in the package of each repository on this machine: its shortest end that no other one has."""
        listed = [
            entry
            for library in self.study.libraries
            if not isinstance(library.repositories, str)
            for entry in library.repositories
            if repository_name(entry).startswith("/")
        ]
        ends = _shortest_ends({repository_name(entry) for entry in listed})
        return {
            entry: f"./{ends[repository_name(entry)]}{'.git' if entry.endswith('.git') else ''}" for entry in listed
        }

    @cached_property
    def _shown_paths(self) -> dict[str, str]:
        """What the package has in place of each path on this machine; longer paths come first."""
        shown = {}
        for entry, short in self._local_repositories.items():
            shown |= {repository_name(entry): short.removesuffix(".git"), entry: short}
        if self.study.sources.dump_path:
            shown[str(self.study.sources.dump_path)] = Path(self.study.sources.dump_path).name
        shown |= {release.path: Path(release.path).name for release in self.study.releases if release.path}
        shown |= {str(folder): "$DLBUG_HOME" for folder in (self.home, self.home.resolve())}
        return {path: shown[path] for path in sorted(shown, key=len, reverse=True)}

    def _shorten_paths(self, texts: pl.Series) -> pl.Series:
        """Replace paths on this machine, but not the same names in the middle of an address or of another path."""
        shown = self._shown_paths
        pattern = re.compile(rf"(?<![\w./:-])({'|'.join(map(re.escape, shown))})(?![\w-])")
        found = texts.filter(texts.str.contains_any(list(shown))).unique()
        return texts.replace(found, [pattern.sub(lambda match: shown[match[1]], text) for text in found])

    @property
    def _title(self) -> str:
        return f"{self.study.study.title}: replication package"

    @property
    def table_names(self) -> list[str]:
        """The names of the tables in the package, in alphabetical order."""
        return [name for name in sorted(self.specs) if name not in LEFT_OUT_TABLES]

    def table(self, name: str) -> pl.DataFrame:
        """Return the rows of a table as the package has them."""
        spec = self.specs[name]
        kept = [name for name in spec.column_names if spec.schema not in _COLLECTED or name not in LEFT_OUT_COLUMNS]
        columns = ", ".join(f'"{name}"' for name in kept)
        return self._pseudonymize(self.query(f"select {columns} from {spec.table} order by all"))

    def _pseudonymize(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Redact e-mail addresses and shorten paths in all texts, and replace names of raters by their pseudonyms."""
        texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        frame = frame.with_columns(redact_emails(pl.col(name)) for name in texts)
        frame = frame.with_columns(self._shorten_paths(frame[name]) for name in texts)
        pseudonyms = self._pseudonyms
        if not pseudonyms:
            return frame
        names = "|".join(map(re.escape, sorted(pseudonyms, key=len, reverse=True)))
        pattern = re.compile(rf"\b({names})(?![A-Za-z0-9_])")

        def pseudonymized(text: str) -> str:
            return pattern.sub(lambda match: pseudonyms[match[1]], text)

        def in_column(name: str) -> pl.Expr:
            if frame.schema[name] == pl.List(pl.String):
                return pl.col(name).list.eval(pl.element().replace(pseudonyms))
            return pl.col(name).map_elements(pseudonymized, return_dtype=pl.String, skip_nulls=True)

        return frame.with_columns(in_column(name) for name in frame.columns if name in _RATER_COLUMNS)

    def study_files(self) -> dict[str, bytes]:
        """Return the study's folder: raters are numbered, and paths are relative to it.

        It runs once :attr:`missing_files` are in place. Files of a study that it follows are not copied: it still
        follows it. A study that ships and has raters gets another name, because with other raters it is another study.
        """
        protocol = self.study.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"files"})
        pseudonyms = self._pseudonyms
        if pseudonyms:
            protocol["labeling"]["raters"] = [pseudonyms[rater] for rater in self.study.labeling.raters]
            if self.study.name in shipped_studies():
                protocol["study"]["name"] = f"{self.study.name}_package"
        if self.study.labeling.adjudicator:
            protocol["labeling"]["adjudicator"] = pseudonyms[self.study.labeling.adjudicator]
        if self.study.sources.dump_path:
            protocol["sources"]["dump_path"] = Path(self.study.sources.dump_path).name
        for library in protocol["libraries"]:
            if not isinstance(library.get("repositories", ""), str):
                library["repositories"] = [self._local_repositories.get(entry, entry)
                                           for entry in library["repositories"]]  # fmt: skip
        for release in protocol.get("releases", ()):
            if "path" in release:
                release["path"] = Path(release["path"]).name
        for dimension in protocol["dimensions"]:
            if "rolls_up" in dimension:
                dimension.pop("multiple", None)
        files = {}
        extra = self.study.taxonomy.extra
        if extra:
            protocol["taxonomy"]["extra"] = "taxonomy_extra.csv"
            files["taxonomy_extra.csv"] = extra.read_bytes()
        own = self._own_files()
        if not any(name.startswith("published/") for name in own):
            protocol.pop("published", None)
        return files | own | {STUDY_FILE: tomli_w.dumps(protocol).encode()}

    def _own_files(self) -> dict[str, bytes]:
        """Return the files beside the study file by name, without those of a study that it follows."""
        followed = shipped_studies().get(self.study.study.follows or "")
        paths = (getattr(self.study.files, name) for name in ("taxonomy", "mappings", "claims", "published"))
        own = [path for path in paths if path and not (followed and path.parent == followed.parent)]
        files = {path.name: path.read_bytes() for path in own if path.is_file()}
        for folder in (path for path in own if path.is_dir()):
            files |= {f"{folder.name}/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return files

    def _data_package(self, tables: Mapping[str, pl.DataFrame], files: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the descriptor of a Frictionless Data Package (specs.frictionlessdata.io, version 1)."""
        descriptor: dict[str, Any] = {
            "name": f"dlbug-{self.study.name.replace('_', '-')}",
            "title": self._title,
            "description": f"Every table of the study {self.study.name}, without texts. Cells that a spreadsheet could "
            "run as a formula begin with an apostrophe; see README.md.",
            "profile": "tabular-data-package",
            "version": self.study.hash[:12],
            "contributors": [
                {"title": name, "role": "author"} for name in self.authors or author_names(self.study)
            ],
        }  # fmt: skip
        identity = self.study.study
        if identity.keywords:
            descriptor["keywords"] = list(identity.keywords)
        if identity.cites:
            descriptor["sources"] = [
                {"title": work.text} | ({"path": f"https://doi.org/{work.doi}"} if work.doi else {})
                for work in identity.cites
            ]  # fmt: skip
        if identity.licence:
            descriptor["licenses"] = [{"name": identity.licence}]
        resources = [self._resource(self.specs[name], frame, files[table_path(name)])
                     for name, frame in tables.items()]  # fmt: skip
        return descriptor | {"resources": resources}

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
            "path": table_path(spec.table),
            "profile": "tabular-data-resource",
            "description": spec.description,
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "bytes": len(content),
            "hash": f"sha256:{_sha256(content)}",
            "schema": schema,
        }

    def _checklist(self, rows: Mapping[str, pl.DataFrame]) -> str:
        return _markdown("checklist.md.j2").render(
            title=self._title, study=self.study.name, items=checklist(self.study, rows, self.missing_files)
        )

    def _readme(self, info: Mapping[str, str], tables: Mapping[str, pl.DataFrame]) -> str:
        return _markdown("package.md.j2").render(
            title=self._title,
            info=info,
            study=self.study,
            folder=FOLDER,
            missing_files=self.missing_files,
            is_recomputable=self.study.is_recomputable,
            tables=[
                {"name": name, "rows": frame.height, "description": self.specs[name].description}
                for name, frame in tables.items()
            ],
            left_out_tables=LEFT_OUT_TABLES,
            left_out_columns=LEFT_OUT_COLUMNS,
        )


def _markdown(template: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=jinja2.select_autoescape(),  # which leaves Markdown as it is
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template)


def archive(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the files as one zip archive, in a folder of this name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for path, data in files.items():
            entry = zipfile.ZipInfo(f"{name}/{path}", _ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, data)
    return content.getvalue()


def _requirements(info: Mapping[str, str]) -> str:
    """Return the packages that computed a database in pip's format, from its publishing.study_info."""
    not_packages = ("dlbug_version", "python_version")
    packages = [key for key in info if key.endswith("_version") and key not in not_packages]
    head = f"# Computed by dlbug {info['dlbug_version']} on Python {info['python_version']} with these packages.\n"
    return head + "".join(f"{key.removesuffix('_version')}=={info[key]}\n" for key in packages)


def _shortest_ends(paths: Iterable[str]) -> dict[str, str]:
    """Return the shortest end of each path, in whole names, that no other path has; the whole path if there is none."""
    names = {path: PurePosixPath(path).parts[1:] for path in paths}
    endings = {path: [parts[-count:] for count in range(1, len(parts) + 1)] for path, parts in names.items()}
    found = Counter(end for ends in endings.values() for end in ends)
    return {path: "/".join(next((end for end in ends if found[end] == 1), names[path]))
            for path, ends in endings.items()}  # fmt: skip


def table_path(name: str) -> str:
    """Return the path of a table in the package."""
    return f"tables/{name}.csv"


def csv_text(frame: pl.DataFrame) -> bytes:
    """Return a table as CSV; no spreadsheet runs a text in it as a formula, and numbers are as they are."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    lists = [name for name, dtype in frame.schema.items() if dtype == pl.List]
    times = [name for name, dtype in frame.schema.items() if dtype == pl.Datetime]
    written = frame.with_columns(
        *(
            pl.when(pl.col(name).str.contains(ESCAPED_START)).then("'" + pl.col(name)).otherwise(name).alias(name)
            for name in texts
        ),
        *(
            pl.col(name).map_elements(lambda values: json.dumps(values.to_list()), return_dtype=pl.String)
            for name in lists
        ),
        *(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%SZ") for name in times),
    )
    return written.write_csv().encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
