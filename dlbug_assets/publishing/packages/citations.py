"""How a replication package is cited, and the metadata of an archive: they name only what the study cites."""

import re
from collections.abc import Sequence
from typing import Any

from dlbug_assets.protocol.sections import Citation
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.contents import author_names

# An identifier of SPDX, such as CC-BY-4.0.
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def citation(study: Study, title: str, authors: Sequence[str]) -> dict[str, Any]:
    """Return the citation of a package in the Citation File Format 1.2.0.

    ``authors`` as `Family, Given` replace those of the study.
    """
    identity = study.study
    cited: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this package, please cite it"
        + (", and the works that it is based on." if identity.cites else "."),
        "type": "dataset",
        "title": title,
        "version": study.hash[:12],
        "authors": [_person(name) for name in authors] or _people(study),
    }
    if identity.keywords:
        cited["keywords"] = list(identity.keywords)
    if identity.licence and _SPDX.fullmatch(identity.licence):
        cited["license"] = identity.licence
    if identity.cites:
        cited["references"] = [_reference(work) for work in identity.cites]
    return cited


def zenodo(study: Study, title: str, authors: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a deposit at Zenodo; ``authors`` as `Family, Given` replace those of the study."""
    identity = study.study
    creators = [{"name": name} for name in authors or author_names(study)]
    if not authors:
        for creator, author in zip(creators, identity.authors, strict=False):
            if author.orcid:
                creator["orcid"] = author.orcid
    deposit: dict[str, Any] = {
        "title": title,
        "upload_type": "dataset",
        "description": f"<p>Tables, protocol and report of the study {study.name}, computed by dlbug.</p>",
        "creators": creators,
        "access_right": "open",
        # Without one, Zenodo would choose a licence.
        "license": identity.licence.lower() if identity.licence else "notspecified",
        "version": study.hash[:12],
    }
    if identity.keywords:
        deposit["keywords"] = list(identity.keywords)
    works = [work for work in identity.cites if work.doi]
    if works:
        deposit["related_identifiers"] = [
            {"identifier": work.doi, "relation": "isDerivedFrom", "scheme": "doi"} for work in works
        ]
    return deposit


def _person(name: str) -> dict[str, str]:
    """Return `Family, Given` as a person, and a name without a comma as an entity."""
    family, _, given = (part.strip() for part in name.partition(","))
    return {"family-names": family, "given-names": given} if family and given else {"name": name}


def _people(study: Study) -> list[dict[str, str]]:
    """Return the authors as persons, or one entity that stands for them."""
    people = []
    for author in study.study.authors:
        person = {"family-names": author.family}
        if author.given:
            person["given-names"] = author.given
        if author.orcid:
            person["orcid"] = f"https://orcid.org/{author.orcid}"
        people.append(person)
    return people or [{"name": name} for name in author_names(study)]


def _reference(work: Citation) -> dict[str, Any]:
    """Return a work as a reference; of `Authors: Title`, the part before the colon names the authors."""
    authors, _, title = work.text.partition(": ")
    reference: dict[str, Any] = {
        "type": "generic",
        "title": title or work.text,
        "authors": [{"name": authors if title else "anonymous"}],
    }
    return reference | ({"doi": work.doi} if work.doi else {})
