"""Pools of sources and libraries: rows of `both` and `All`. A pool of one member has the results of this member."""

from dlbug_assets.protocol.study import Study


def pools_of_one(study: Study) -> dict[str, tuple[str, str]]:
    """Return, by column (source, library), the pool and its member, where the study has only one."""
    pools = {"source": ("both", study.source_names), "library": ("All", study.library_names)}
    return {column: (pool, names[0]) for column, (pool, names) in pools.items() if len(names) == 1}


def member(study: Study, column: str, name: str) -> str:
    """Return the only source or library of the study for the pool of it, and other names unchanged.

    With it as the purpose of a generator, the rows of a pool repeat those of its member.
    """
    pool, only = pools_of_one(study).get(column, (None, name))
    return only if name == pool else name
