"""A checklist for reviewers and authors: what a study meets of artifact badges and empirical standards.

The badges are those of ACM (Artifact Review and Badging, version 1.1, 2020), the standards the essential attributes of
ACM SIGSOFT's Empirical Standards (Ralph et al. 2020, arXiv 2010.03525), both in words of our own. States are computed
where the study shows them; what only people can judge is left to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from dlbug_assets.protocol.study import Study

State = Literal["met", "not met", "for the authors", "for the reviewers", "not applicable"]

_BADGES = "ACM artifact badges"
_GENERAL = "SIGSOFT: general standard"
_MINING = "SIGSOFT: repository mining"
_REPLICATION = "SIGSOFT: replication"


@dataclass(frozen=True)
class Item:
    """An item of a standard with its state, and what shows the state or what is left to do."""

    standard: str
    item: str
    state: State
    evidence: str


def checklist(study: Study, rows: Mapping[str, pl.DataFrame], missing_files: Mapping[str, str | None]) -> list[Item]:
    """Return the items of every standard that applies to a study.

    ``rows`` are those of :func:`report_queries.queries` by name, ``missing_files`` the files that the study reads and
    its package lacks.
    """
    return [
        *_badges(study, rows, missing_files),
        *_general(study, rows),
        *(_mining(study, rows) if study.sources.posts or study.sources.commits else []),
        *(_replication(study, rows) if study.published else []),
    ]


def _badges(study: Study, rows: Mapping[str, pl.DataFrame], missing_files: Mapping[str, str | None]) -> list[Item]:
    missing = ", ".join(f"`{name}`" for name in missing_files)
    licence = study.study.licence
    is_released = study.sources.labels == "release"
    is_reproduction, is_replication = bool(study.published) and is_released, bool(study.published) and not is_released
    verdicts = f"numbers of the findings: {_counts(rows, 'number') or 'the study states no claims'}"
    return [
        Item(_BADGES, "Available: archived for good, with an identifier", "for the authors",
             "archive this package, for example on Zenodo: `.zenodo.json` and `CITATION.cff` are prepared"),
        Item(_BADGES, "Functional: documented", "met",
             "`README.md`; `datapackage.json` describes every table and column"),
        Item(_BADGES, "Functional: consistent with the results", "met",
             "every number of the report is in a row of a query, which is beside it"),
        Item(_BADGES, "Functional: complete", "not met" if missing else "met",
             f"the study reads files that the package lacks: {missing}" if missing
             else "all files that the study reads are in `study/`"),
        Item(_BADGES, "Functional: exercisable", "met",
             "`study/` runs with `dlbug run`" + (", once the missing files are in place" if missing else "")),
        Item(_BADGES, "Functional: verified", "met",
             "`manifest-sha256.txt`; every table was checked when it was written"),
        Item(_BADGES, "Reusable: terms of use", "met" if licence else "not met",
             licence or "state `licence` in `[study]` of study.toml"),
        Item(_BADGES, "Reusable: can be repurposed", "met",
             "other studies can follow `study/` with labels of their own"),
        Item(_BADGES, "Results reproduced", "for the reviewers" if is_reproduction else "not applicable",
             verdicts if is_reproduction else "the study does not analyse an original study's labels"),
        Item(_BADGES, "Results replicated", "for the reviewers" if is_replication else "not applicable",
             verdicts if is_replication else "the study does not label anew what an original study did"),
    ]  # fmt: skip


def _general(study: Study, rows: Mapping[str, pl.DataFrame]) -> list[Item]:
    support = _counts(rows, "claim")
    has_tests = "source_tests" in rows and rows["source_tests"].height > 0
    return [
        Item(_GENERAL, "States research questions", "met", f"{len(study.dimensions)} in the report, one per dimension"),
        Item(_GENERAL, "Motivates the study, discusses implications and ethics", "for the authors", "in the paper"),
        Item(_GENERAL, "Describes how data were collected", "met",
             "`study/study.toml`; "
             + ("the release that the labels are from" if study.sources.labels == "release"
                else "collections, queue and sheets in `tables/`")),
        Item(_GENERAL, "Describes how data were analysed", "met", "`sql/`, and the queries in the report"),
        Item(_GENERAL, "States and checks assumptions of tests", "met" if has_tests else "not applicable",
             "conclusion validity in the report; clusters are the units, design effects are in the tables"
             if has_tests else "sources are not compared"),
        Item(_GENERAL, "Discloses limitations", "for the authors",
             "complete the threats to validity in the report by those that only you know"),
        Item(_GENERAL, "Draws conclusions that evidence supports", "met" if support else "for the authors",
             f"claims of the findings: {support}" if support else "the study states no claims; `claims.toml` would"),
    ]  # fmt: skip


def _mining(study: Study, rows: Mapping[str, pl.DataFrame]) -> list[Item]:
    unread = int(rows["completeness"]["unread"].sum() or 0)
    raters = len(study.labeling.raters)
    is_released = study.sources.labels == "release"
    kappas = rows["kappas"].drop_nulls("kappa")
    return [
        Item(_MINING, "Justifies the data sources, and validates the selection criteria", "for the authors",
             "in the paper"),
        Item(_MINING, "Describes the selection of repositories and posts", "met", "`study/study.toml`"),
        Item(_MINING, "Describes the acquisition", "not met" if unread else "met",
             f"{unread} of what the study follows could not be read: `tables/publishing.completeness.csv`"
             if unread else "`tables/publishing.completeness.csv`: nothing is unread"),
        Item(_MINING, "Explains the sampling", "met" if study.sources.commits else "not applicable",
             f"up to {study.selection.commits_per_library} commits each, at random with seed {study.study.seed}"
             if study.sources.commits else "nothing is sampled"),
        Item(_MINING, "Describes the data", "met", f"{_bugs(rows)} bugs: `tables/analysis.dataset_sizes.csv`"),
        Item(_MINING, "Several annotators, and their number", "met" if raters > 1 else "not met",
             f"{raters} raters" if raters else "the release does not name raters" if is_released
             else "state raters in `[labeling]`"),
        Item(_MINING, "Describes the annotators", "for the authors", "in the paper"),
        Item(_MINING, "Assesses the agreement of annotators", "met" if kappas.height else "not met",
             "`tables/labeling.kappa_checkpoints.csv`" if kappas.height else "no two raters' labels of the same bugs"),
        Item(_MINING, "Discusses external validity", "met", "threats to validity in the report"),
    ]  # fmt: skip


def _replication(study: Study, rows: Mapping[str, pl.DataFrame]) -> list[Item]:
    is_released = study.sources.labels == "release"
    counts = rows["diff_totals"].row(0, named=True)
    verdicts = _counts(rows, "number")
    return [
        Item(_REPLICATION, "Names its type", "met",
             "a reproduction: the original labels, analysed anew" if is_released else "a replication: new labels"),
        Item(_REPLICATION, "Motivates it, and states the original authors' involvement", "for the authors",
             "in the paper"),
        Item(_REPLICATION, "Describes the original study", "met" if study.study.cites else "not met",
             "; ".join(work.text for work in study.study.cites) or "cite it in `[[study.cites]]` of study.toml"),
        Item(_REPLICATION, "Compares the results with the original ones", "met",
             f"{counts['cells']} printed numbers: {counts['same']} as printed, {counts['differ']} differ, "
             "the others are measured from drawings or not computed"),
        Item(_REPLICATION, "Tells consistent from inconsistent results", "met" if verdicts else "for the authors",
             f"numbers of the findings: {verdicts}" if verdicts else "the study states no claims; `claims.toml` would"),
    ]  # fmt: skip


def _counts(rows: Mapping[str, pl.DataFrame], about: str) -> str:
    """Return the verdicts on the findings with their counts; empty if there are none."""
    if "verdict_counts" not in rows:
        return ""
    counted = rows["verdict_counts"].filter(about=about).select("findings", "verdict").rows()
    return ", ".join(f"{number} {verdict}" for number, verdict in counted)


def _bugs(rows: Mapping[str, pl.DataFrame]) -> int:
    sizes = rows["sizes"]
    pooled = sizes.filter(library="All", source="both")
    return int((pooled if pooled.height else sizes)["bugs"].sum() or 0)
