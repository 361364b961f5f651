"""Reconstructions that are kept, so that a search is repeated only if its inputs or the code have changed."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlbug_assets.analysis.reconstruction.printed_tables import PrintedTable
from dlbug_assets.analysis.reconstruction.reconstruction import Found, Reconstruction, reconstruct
from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.code_identity import code_digest


def kept_reconstruction(
    table: PrintedTable, folder: Path, search: Callable[[PrintedTable], Reconstruction] = reconstruct
) -> Reconstruction:
    """Return what ``search`` finds out about a table, from ``folder`` if the table and the code are those of then.

    The folder has one file per table, and can be deleted at any time.
    """
    inputs = json.dumps([code_digest(), asdict(table)], default=_digest).encode()
    path = folder / hashlib.sha256(f"{table.reference}\0{table.dimension}".encode()).hexdigest()[:16]
    with suppress(OSError):
        seal, _, reply = path.read_bytes().partition(b"\n")
        if seal == _seal(inputs, reply):
            return _decoded(reply)
    found = search(table)
    reply = json.dumps(asdict(found)).encode()
    with suppress(OSError):  # a full disk
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _seal(inputs, reply) + b"\n" + reply)
    return found


def _digest(array: NDArray[np.generic]) -> list[object]:
    return [array.shape, hashlib.sha256(array.tobytes()).hexdigest()]


def _seal(inputs: bytes, reply: bytes) -> bytes:
    return hashlib.sha256(inputs + b"\0" + reply).hexdigest().encode()


def _decoded(reply: bytes) -> Reconstruction:
    # JSON has text as keys.
    content = json.loads(reply)
    values, explanations = (
        {int(position): value for position, value in content[name].items()} for name in ("values", "explanations")
    )
    return Reconstruction([Found(**one) for one in content["found"]], values, explanations)
