"""Where tables come from: what makes each of them, what it reads, and all that is upstream, up to the raw tables."""

import inspect
import pydoc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dlbug_assets.asset_factories.sql_models import column_origins, load_models
from dlbug_assets.definitions import build_defs
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.table_specs import load_specs


@dataclass(frozen=True)
class Origin:
    """How a table is made.

    ``made_by`` is a file of SQL, whose text is ``code``, or a Python function, whose docstring it is; ``reads`` are the
    tables (``schema.table``) or other assets that it reads, ``columns`` those (``schema.table.column``) that each
    column is computed from, known for SQL only.
    """

    made_by: str
    code: str
    reads: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


class Lineage:
    """The origins of a study's tables, from the asset graph; ``environ`` is as for :func:`build_defs`."""

    def __init__(self, study: Study, environ: Mapping[str, str]) -> None:
        specs = load_specs(study=study)
        models = {model.table: model for model in load_models(specs)}
        self.origins: dict[str, Origin] = {}
        for asset in build_defs(study, environ).resolve_all_asset_specs():
            table = ".".join(asset.key.path)
            reads = tuple(sorted(".".join(dep.asset_key.path) for dep in asset.deps))
            made_by = str(asset.metadata.get("made_by", ""))
            columns: dict[str, tuple[str, ...]] = {}
            if model := models.get(table):
                code = model.sql
                for column, leaves in column_origins(model, specs).items():
                    columns[column] = tuple(f"{source}.{name}" for source, name in leaves)
            else:
                code = inspect.getdoc(pydoc.locate(made_by)) or ""
            self.origins[table] = Origin(made_by, code, reads, columns)

    def upstream(self, table: str) -> Iterator[str]:
        """Yield everything that a table is computed from, nearest first."""
        found = [table]
        for each in found:
            origin = self.origins.get(each)
            found += [name for name in (origin.reads if origin else ()) if name not in found]
        yield from found[1:]

    def downstream(self, table: str) -> list[str]:
        """Return what reads a table, in alphabetical order."""
        return sorted(name for name, origin in self.origins.items() if table in origin.reads)
