"""What was read of the received versions, kept beside the archive: each import needs the rows of all of them."""

import hashlib
import json
import sys
from contextlib import suppress
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.code_identity import code_digest
from dlbug_assets.labeling.sheets.inbox import Version

#: The packages that read files.
_PACKAGES = ("chardet", "fastexcel")


class KeptReplies:
    """The replies of the reader for versions, in a folder that can be deleted at any time.

    A reply is used only if the version's file, the code, its packages and the ``arguments`` of the reader are the same
    as when it was kept, and the reply is undamaged.
    """

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self._folder = folder
        packages = [sys.version, *map(package_version, _PACKAGES)]
        self._reader = json.dumps([code_digest(), packages, arguments], sort_keys=True)

    def find(self, version: Version) -> bytes | None:
        """Return the reply for a version, None if there is none that can be used."""
        with suppress(OSError):
            seal, _, reply = (self._folder / version.folder.name).read_bytes().partition(b"\n")
            return reply if seal == self._seal(version, reply) else None
        return None

    def keep(self, version: Version, reply: bytes) -> None:
        """Keep the reply for a version, if the disk has room for it."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / version.folder.name, self._seal(version, reply) + b"\n" + reply)

    def _seal(self, version: Version, reply: bytes) -> bytes:
        stat = version.path.stat()
        file = f"{version.path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0"
        return hashlib.sha256(file.encode() + self._reader.encode() + b"\0" + reply).hexdigest().encode()
