"""Locate the authors' release: named by DLBUG_ARTIFACT, downloaded earlier, or downloaded now."""

import hashlib
import http.client
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from dlbug_assets.errors import DlbugError

ADDRESS = "https://lab-design.github.io/papers/ESEC-FSE-19/dataset.zip"
SHA256 = "0e5ef04fe9a00af9d3b1ce4ac6b315a373507dce213700e9ad91f9ceffe07012"
SIZE = 194_840
_FILE_NAME = "islam2019-dataset.zip"
_TIMEOUT_SECONDS = 30


def locate(environ: Mapping[str, str], folder: Path, address: str = ADDRESS) -> Path:
    """Return the path of the release, verified by size and sha256.

    This is DLBUG_ARTIFACT if it is set, else an earlier download in ``folder``, else a new download from ``address``.
    Raises :class:`DlbugError` for a missing, unreadable, truncated or altered file, and without a network.
    """
    named = environ.get("DLBUG_ARTIFACT")
    if named:
        path = Path(named)
        if not path.is_file():
            raise DlbugError(f"DLBUG_ARTIFACT names {path}, which is not a file. {_by_hand(address)}")
        _verify_file(path, address)
        return path
    path = folder / _FILE_NAME
    if path.is_file():
        _verify_file(path, address)
        return path
    content = _download(address)
    _verify(content, f"the download from {address}", _by_hand(address))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A folder per process: several may download at the same time, and any of their files will do.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
            download = Path(unfinished) / _FILE_NAME
            download.write_bytes(content)
            download.replace(path)
    except OSError as error:
        raise DlbugError(f"cannot write {path}: {error.strerror}. Free some disk space and run again.") from None
    return path


def _by_hand(address: str) -> str:
    return f"Download it from {address} and set DLBUG_ARTIFACT to its path."


def _download(address: str) -> bytes:
    if not address.startswith(("https://", "http://")):
        raise DlbugError(
            f"{address} is not a web address: the authors' release can only be downloaded by https or http"
        )
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310 - checked above
            # One byte more than expected is enough to detect another file.
            return reply.read(SIZE + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an invalid URL
        reason = getattr(error, "reason", error)
        raise DlbugError(
            f"cannot download the authors' release from {address}: {reason}. "
            "Check the network, or get the file by other means and set DLBUG_ARTIFACT to its path."
        ) from None


def _verify_file(path: Path, address: str) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(SIZE + 1)
        size = path.stat().st_size
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}. {_by_hand(address)}") from None
    _verify(content, str(path), f"Delete it. {_by_hand(address)}", size)


def _verify(content: bytes, name: str, fix: str, size: int | None = None) -> None:
    """Raise :class:`DlbugError` unless ``content`` is the release.

    If it is longer than the release, it may be only the beginning of a file with ``size`` bytes.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        if len(content) > SIZE:
            state = f"altered: {size or f'more than {SIZE}'} bytes"
        else:
            state = f"{'truncated' if len(content) < SIZE else 'altered'}: {len(content)} bytes with sha256 {found}"
        raise DlbugError(
            f"{name} is not the authors' release but {state}, instead of {SIZE} bytes with sha256 {SHA256}. {fix}"
        )
