"""Landing: the raw replies of an API, on disk before anything else happens to them.

A *collection* is one conversation with an API that answers one question as a whole, such as "which questions of Keras
changed since the last time". It is a folder: ``begun.json`` (what was asked for), one file per reply, and, once every
reply is there, ``done.json`` (what it came to, and the cursor for the next one). Only collections that are done count;
the last one that is not is taken up again, and its replies are not asked for a second time, unless ``abandoned.json``
says that they make no sense. Nothing is ever changed.

Folders and replies are named by the moment of their arrival, which never repeats and never runs backwards, whatever
the machine's clock does: their order is the order of their names.
"""

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dlbug_assets.atomic_files import write_atomically
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError

_STAMP = "%Y%m%dT%H%M%S%f"
_REPLY = ".json.gz"
_BEGUN = "begun.json"
_DONE = "done.json"
_ABANDONED = "abandoned.json"
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Collected:
    """How collecting went for one library: what there is to show, or why it failed."""

    library: str
    notes: Mapping[str, Any]
    failure: DlbugError | None = None


@dataclass(frozen=True)
class Reply:
    """A landed reply: what was asked, when the answer came (UTC, without zone), and its bytes."""

    file: str
    request: Mapping[str, Any]
    received_at: datetime
    body: bytes


@dataclass(frozen=True)
class Collection:
    """One conversation; ``name`` begins with the moment at which it began."""

    folder: Path
    stamps: "_Stamps"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> str:
        """The kind it was begun as."""
        return self.name.split("-", 1)[1]

    @property
    def begun(self) -> dict[str, Any]:
        """What it was begun for."""
        return _load(self.folder / _BEGUN)

    @property
    def begun_at(self) -> datetime:
        """UTC, without zone."""
        return _moment(self.name)

    @property
    def is_done(self) -> bool:
        return (self.folder / _DONE).exists()

    @property
    def is_open(self) -> bool:
        """Whether it may be gone on with."""
        return not self.is_done and not (self.folder / _ABANDONED).exists()

    @property
    def done(self) -> dict[str, Any]:
        """What it came to."""
        return _load(self.folder / _DONE)

    def land(self, request: Mapping[str, Any], body: bytes) -> Reply:
        """Write a reply down, durably; ``request`` has no secrets. Raises :class:`DlbugError` for a full disk."""
        received_at = self.stamps.next()
        name = f"{received_at:{_STAMP}}{_REPLY}"
        header = json.dumps({"request": dict(request)}, sort_keys=True).encode()
        _write(self.folder / name, gzip.compress(header + b"\n" + body, 6, mtime=0))
        return Reply(name, request, received_at, body)

    def replies(self) -> Iterator[Reply]:
        """Its replies in the order of their arrival. Raises :class:`DlbugError` for a damaged file."""
        for path in sorted(self.folder.glob(f"[0-9]*{_REPLY}")):
            try:
                header, body = gzip.decompress(path.read_bytes()).split(b"\n", 1)
                request = json.loads(header)["request"]
            except (OSError, EOFError, zlib.error, ValueError, KeyError) as error:
                raise DlbugError(f"{path} is damaged: {error}. Restore it from a backup.") from None
            yield Reply(path.name, request, _moment(path.name), body)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark it as done: from now on it counts."""
        _write(self.folder / _DONE, json.dumps(dict(summary), indent=1, sort_keys=True).encode())

    def abandon(self, reason: str) -> None:
        """Mark it as never to be gone on with: what landed in it makes no sense."""
        _write(self.folder / _ABANDONED, json.dumps({"reason": reason}, indent=1).encode())


class Landing:
    """The collections of a corpus, per part (a library); ``root`` is the corpus's folder."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self._stamps = _Stamps(root, clock)

    def done(self, part: str, kinds: Container[str]) -> list[Collection]:
        """The collections of a part that are done and of these kinds, oldest first."""
        return [collection for collection in self._all(part) if collection.kind in kinds and collection.is_done]

    def require(self, part: str, names: Iterable[str]) -> None:
        """Raise :class:`DlbugError` where one of these collections is not there: tables that are made of it would lose
        it, too."""
        known = {collection.name for collection in self._all(part)}
        lost = [name for name in names if name not in known]
        if lost:
            raise DlbugError(
                f"{self.root / part} lacks {lost[0]}{f' and {len(lost) - 1} more' * (len(lost) > 1)}, which the "
                "tables are made of. Restore it from a backup; or, to go on with what is there, delete working.duckdb "
                "beside landing: the tables are made anew."
            )

    def unfinished(self, part: str) -> Collection | None:
        """The collection of a part that was begun last, where it may be gone on with."""
        last = next(reversed(self._all(part)), None)
        return last if last and last.is_open else None

    def discard_unfinished(self, part: str) -> None:
        """Remove a collection that never counted: where it can be made again, it would only fill the disk."""
        last = self.unfinished(part)
        if last is not None:
            shutil.rmtree(last.folder)

    def begin(self, part: str, kind: str, begun: Mapping[str, Any]) -> Collection:
        """Begin a collection; one that was unfinished stays as it is and never counts."""
        name = f"{self._stamps.next():{_STAMP}}-{kind}"
        unfinished = self.root / part / f"{_UNFINISHED}{name}"
        try:
            unfinished.mkdir(parents=True, mode=0o700)
            _write(unfinished / _BEGUN, json.dumps(dict(begun), indent=1, sort_keys=True).encode())
            unfinished.rename(self.root / part / name)
        except OSError as error:
            raise _cannot_write(unfinished, error) from None
        return Collection(self.root / part / name, self._stamps)

    def _all(self, part: str) -> list[Collection]:
        return [Collection(path, self._stamps) for path in sorted((self.root / part).glob("[0-9]*"))]


class _Stamps:
    """Moments that only ever rise, over all the parts of a corpus."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._last: datetime | None = None

    def next(self) -> datetime:
        """Now, or a microsecond after the last one, whichever is later; UTC, without zone."""
        last = self._last or self._newest_on_disk()
        self._last = max(self._clock.now().replace(tzinfo=None), last + timedelta(microseconds=1))
        return self._last

    def _newest_on_disk(self) -> datetime:
        names = []
        for part in self._root.glob("*"):
            newest = max(part.glob("[0-9]*"), default=None)
            if newest is not None:
                names += [newest.name, *(reply.name for reply in newest.glob(f"[0-9]*{_REPLY}"))]
        return max(map(_moment, names), default=datetime.min)


def _moment(name: str) -> datetime:
    return datetime.strptime(re.split("[-.]", name)[0], _STAMP)


def _load(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DlbugError(f"{path} cannot be read: {error}. Restore it from a backup.") from None


def _write(path: Path, content: bytes) -> None:
    """All of a file or none of it, readable by its owner alone, on the disk when this returns."""
    try:
        write_atomically(path, content, mode=0o600)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> DlbugError:
    return DlbugError(
        f"cannot write {path}: {error.strerror}. What was collected before is kept; free some disk space (or make the "
        "folder writable) and run again."
    )
