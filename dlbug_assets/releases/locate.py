"""Locate the files of a release: in a folder of the user's, downloaded earlier, or downloaded now."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import HttpClient, MalformedError, RetryPolicy, TransientError
from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.releases import Release

VARIABLE = "DLBUG_RELEASES"
#: Bytes of a file, and what the HTTP client reads of a reply.
LARGEST_FILE = 64 << 20
_POLICY = RetryPolicy(reply=600)
_MOST_REDIRECTS = 5
_OK, _REDIRECTS = 200, (301, 302, 303, 307, 308)


def locate(release: Release, file: str, study: str, environ: Mapping[str, str], downloads: Path) -> Path:
    """Return the path of a file of a release, one of its ``file_names``; what the release gives a sha256 for has it.

    This is the file as :func:`found` finds it, or else a new download in ``downloads``. Raises :class:`DlbugError` for
    a missing, unreadable, too large or altered file, and without a network.
    """
    if path := found(release, file, study, environ, downloads):
        return path
    address, fix = str(release.address_of(file)), _fix(release, file, study)
    path = downloads / file
    content = _download(address, fix)
    _check(content, f"the download from {address}", release, fix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder per process: several may download at the same time, and any of their files will do.
        with tempfile.TemporaryDirectory(dir=downloads, prefix=".unfinished-") as unfinished:
            download = Path(unfinished) / path.name
            download.write_bytes(content)
            download.replace(path)
    except OSError as error:
        raise DlbugError(f"cannot write {path}: {error.strerror}. Free some disk space and run again.") from None
    return path


def found(release: Release, file: str, study: str, environ: Mapping[str, str], downloads: Path) -> Path | None:
    """Return the path of a file of a release that is on this machine, None if it has to be downloaded.

    This is ``<study>/<file>`` in the folder DLBUG_RELEASES if it is there, else what the release's variable names, else
    the file beside the study, or an earlier download in ``downloads``. Raises :class:`DlbugError` for a missing,
    unreadable, too large or altered file.
    """
    fix = _fix(release, file, study)
    if folder := environ.get(VARIABLE):
        if not Path(folder).is_dir():
            raise DlbugError(f"{VARIABLE} names {folder}, which is not a folder. {fix}")
        path = Path(folder) / study / file
        if path.is_file():
            return _verified(path, release, fix)
    if release.variable and (named := environ.get(release.variable)):
        path = Path(named)
        if not path.is_file():
            raise DlbugError(f"{release.variable} names {path}, which is not a file. {fix}")
        return _verified(path, release, fix)
    if path := release.path_of(file):
        if not path.is_file():
            raise DlbugError(f"{path} is not a file, but the study's release is read from it. Put the file there.")
        return _verified(path, release, "Replace it, or correct sha256 in the study.")
    path = downloads / file
    return _verified(path, release, f"Delete it. {fix}") if path.is_file() else None


def _fix(release: Release, file: str, study: str) -> str:
    """Return how to provide a file by hand."""
    address = release.address_of(file)
    by_hand = f"Download it from {address}" if address else "Get the file"
    if release.variable:
        return f"{by_hand}, and set {release.variable} to its path."
    return f"{by_hand}, and set {VARIABLE} to a folder with {study}/{file}."


def _download(address: str, fix: str) -> bytes:
    client = HttpClient(lambda line: line)
    location = address
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            status, headers, body = client.get(location, {}, {"Accept-Encoding": "identity"}, _POLICY)
        except (TransientError, MalformedError) as error:
            raise DlbugError(
                f"cannot download {address}: {error}. Check the network, or get it by hand. {fix}"
            ) from None
        if status == _OK:
            return body
        if status not in _REDIRECTS or not headers.get("Location"):
            raise DlbugError(f"cannot download {address}: the reply is HTTP {status}. {fix}")
        location = urljoin(location, headers["Location"])
        safe = ("https",) if address.startswith("https:") else ("https", "http")
        if urlsplit(location).scheme not in safe:
            raise DlbugError(f"cannot download {address}: it leads to {shown(location)}, which is not https. {fix}")
    raise DlbugError(f"cannot download {address}: it is redirected more than {_MOST_REDIRECTS} times. {fix}")


def _verified(path: Path, release: Release, fix: str) -> Path:
    """Return the path; raise :class:`DlbugError` unless it is a file that the release may consist of."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}. {fix}") from None
    _check(content, str(path), release, fix)
    return path


def _check(content: bytes, name: str, release: Release, fix: str) -> None:
    """Raise :class:`DlbugError` for content that is too large, or does not have a sha256 of the release."""
    if len(content) > LARGEST_FILE:
        raise DlbugError(f"{name} is larger than {LARGEST_FILE >> 20} MiB, so it is not read. {fix}")
    found = hashlib.sha256(content).hexdigest()
    if release.sha256 and found not in release.sha256:
        raise DlbugError(
            f"{name} is truncated or altered: its {len(content)} bytes have sha256 {found}, expected "
            f"{' or '.join(release.sha256)}. {fix}"
        )
