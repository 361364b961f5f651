"""Facts of a study, its sources and the code that computed it, as a published database states them."""

import platform
from datetime import datetime

import polars as pl

from dlbug_assets.code_identity import code_commit, code_digest, code_version, installed_packages
from dlbug_assets.protocol.study import Study

SYNTHETIC_NOTICE = "SYNTHETIC: made up by the sample source; nothing here is a fact about real bugs"


def notice(study: Study) -> str:
    """Return the line that marks whether a study's data are synthetic or real."""
    return SYNTHETIC_NOTICE if study.is_synthetic else "Computed from real data"


def study_info(refreshes: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return publishing.study_info: key, value.

    ``refreshes`` is publishing.corpus_refreshes. Times are UTC. The source and last refresh of posts or commits are
    missing where the study has none. Includes version, digest and commit of the code (the
    commit only in a checkout) and the versions of the installed packages.
    """
    refreshed: dict[str, datetime | None] = dict(refreshes.select("corpus", "last_refresh").iter_rows())
    info = {
        "study": study.name,
        "title": study.study.title,
        "study_hash": study.hash,
        "seed": str(study.study.seed),
        "is_synthetic": str(study.is_synthetic).lower(),
        "notice": notice(study),
        "group": study.study.group,
        **({"posts_source": study.sources.posts} if study.sources.posts else {}),
        **({"commits_source": study.sources.commits} if study.sources.commits else {}),
        "labels_source": study.sources.labels,
        **code_and_versions(),
        **{
            f"last_refresh_{corpus}": "never" if moment is None else moment.isoformat(timespec="seconds")
            for corpus, moment in refreshed.items()
            if {"posts": study.sources.posts, "commits": study.sources.commits}[corpus]
        },
    }
    return pl.DataFrame({"key": list(info), "value": list(info.values())})


def code_and_versions() -> dict[str, str]:
    """Return what of publishing.study_info is about the installation: the code, Python and the installed packages."""
    commit = code_commit()
    return {
        "dlbug_version": code_version(),
        **({} if commit is None else {"code_commit": commit}),
        "code_digest": code_digest(),
        "python_version": platform.python_version(),
        **{f"{package}_version": installed for package, installed in installed_packages().items()},
    }
