"""What a published database says of itself."""

import platform
from datetime import datetime
from importlib.metadata import version

import polars as pl

from dlbug_assets.study import Study

SYNTHETIC_NOTICE = "SYNTHETIC: made up by the sample source; nothing here is a fact about real bugs"
_PACKAGES = ("dlbug", "dagster", "duckdb", "polars", "scipy", "statsmodels", "sqlglot")


def notice(study: Study) -> str:
    """The line that heads everything shown of a study."""
    return SYNTHETIC_NOTICE if study.is_synthetic else "Computed from real data"


def study_info(study: Study, refreshed: dict[str, datetime | None]) -> pl.DataFrame:
    """publishing.study_info: key, value; ``refreshed`` says per corpus when it was last read from its source (UTC)."""
    info = {
        "study": study.name,
        "title": study.study.title,
        "study_hash": study.hash,
        "seed": str(study.study.seed),
        "is_synthetic": str(study.is_synthetic).lower(),
        "notice": notice(study),
        "posts_source": study.sources.posts,
        "commits_source": study.sources.commits,
        "labels_source": study.sources.labels,
        "python_version": platform.python_version(),
        **{f"{package}_version": version(package) for package in _PACKAGES},
        **{
            f"last_refresh_{corpus}": "never" if moment is None else moment.isoformat(timespec="seconds")
            for corpus, moment in refreshed.items()
        },
    }
    return pl.DataFrame({"key": list(info), "value": list(info.values())})
