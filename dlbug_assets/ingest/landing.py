"""Store the raw replies of an API on disk before anything else happens to them.

A *collection* is a series of requests that together answer one question, such as "which questions of Keras changed
since the last collection". It is a folder: ``begun.json`` (the parameters), one file per reply, and, once every reply
is there, ``done.json`` (a summary, and the cursor for the next collection). Only finished collections are loaded. The
latest one that is not finished is resumed, without repeating its requests, unless ``abandoned.json`` says that its
replies are inconsistent. Files are never changed.

Folders and replies are named by the time of their arrival. These times never repeat and never run backwards, even when
the machine's clock does: the order of the names is the order of arrival.
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
from dlbug_assets.clock import Clock, utc_naive
from dlbug_assets.errors import DlbugError

_STAMP = "%Y%m%dT%H%M%S%f"
_REPLY = ".json.gz"
_BEGUN = "begun.json"
_DONE = "done.json"
_ABANDONED = "abandoned.json"
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Collected:
    """The outcome of collecting for one library: notes for the UI, or the failure."""

    library: str
    notes: Mapping[str, Any]
    failure: DlbugError | None = None


@dataclass(frozen=True)
class Reply:
    """A landed reply: its request, the time of its arrival (UTC, without time zone), and its bytes.

    ``served_at`` is the time that the server reported for it (Unix time in seconds), if any: unlike that of the
    arrival, it doesn't depend on this machine's clock.
    """

    file: str
    request: Mapping[str, Any]
    received_at: datetime
    body: bytes
    served_at: int | None = None


@dataclass(frozen=True)
class Collection:
    """A collection; its name is the time at which it began and its kind."""

    folder: Path
    stamps: "_Stamps"

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """What is collected, such as ``full`` or ``refresh``."""
        return self.name.split("-", 1)[1]

    @property
    def begun(self) -> dict[str, Any]:
        """The parameters with which it began."""
        return _load(self.folder / _BEGUN)

    @property
    def begun_at(self) -> datetime:
        """When it began, in UTC without time zone."""
        return _arrival(self.name)

    @property
    def is_done(self) -> bool:
        """Whether it is finished."""
        return (self.folder / _DONE).exists()

    @property
    def is_open(self) -> bool:
        """Whether it can be resumed."""
        return not self.is_done and not (self.folder / _ABANDONED).exists()

    @property
    def done(self) -> dict[str, Any]:
        """The summary with which it finished."""
        return _load(self.folder / _DONE)

    def land(self, request: Mapping[str, Any], body: bytes, served_at: int | None = None) -> Reply:
        """Write a reply durably; ``request`` must not contain secrets, ``served_at`` is as in :class:`Reply`.

        Raises :class:`DlbugError` where it cannot be written.
        """
        received_at = self.stamps.next()
        name = f"{received_at:{_STAMP}}{_REPLY}"
        facts = {"request": dict(request), **({} if served_at is None else {"served_at": served_at})}
        header = json.dumps(facts, sort_keys=True).encode()
        _write(self.folder / name, gzip.compress(header + b"\n" + body, 6, mtime=0))
        return Reply(name, request, received_at, body, served_at)

    def replies(self) -> Iterator[Reply]:
        """Yield the replies in the order of their arrival. Raises :class:`DlbugError` for a damaged file."""
        for path in sorted(self.folder.glob(f"[0-9]*{_REPLY}")):
            try:
                header, body = gzip.decompress(path.read_bytes()).split(b"\n", 1)
                facts = json.loads(header)
                request, served_at = facts["request"], facts.get("served_at")
            except (OSError, EOFError, zlib.error, ValueError, KeyError) as error:
                raise DlbugError(f"{path} is damaged: {error}. Restore it from a backup.") from None
            yield Reply(path.name, request, _arrival(path.name), body, served_at)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark the collection as finished, so that it is loaded."""
        _write(self.folder / _DONE, json.dumps(dict(summary), indent=1, sort_keys=True).encode())

    def abandon(self, reason: str) -> None:
        """Mark the collection as one that is never resumed, since its replies are inconsistent."""
        _write(self.folder / _ABANDONED, json.dumps({"reason": reason}, indent=1).encode())


class Landing:
    """The collections of a corpus, by part (a library); ``root`` is the folder of the corpus."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self._stamps = _Stamps(root, clock)

    def done(self, part: str, kinds: Container[str]) -> list[Collection]:
        """Return the finished collections of a part that are of these kinds, oldest first."""
        return [collection for collection in self._all(part) if collection.kind in kinds and collection.is_done]

    def require(self, part: str, names: Iterable[str]) -> None:
        """Raise :class:`DlbugError` where one of these collections is missing, since tables would lose its rows."""
        known = {collection.name for collection in self._all(part)}
        missing = [name for name in names if name not in known]
        if missing:
            raise DlbugError(
                f"{self.root / part} lacks {missing[0]}{f' and {len(missing) - 1} more' * (len(missing) > 1)}, which "
                "the tables were loaded from. Restore it from a backup; or delete working.duckdb beside landing, and "
                "the tables are built from what is left."
            )

    def unfinished(self, part: str) -> Collection | None:
        """Return the latest collection of a part where it can be resumed."""
        last = next(reversed(self._all(part)), None)
        return last if last and last.is_open else None

    def discard_unfinished(self, part: str) -> None:
        """Remove the collection that could be resumed, for sources that always start from the beginning."""
        last = self.unfinished(part)
        if last is not None:
            shutil.rmtree(last.folder)

    def begin(self, part: str, kind: str, begun: Mapping[str, Any]) -> Collection:
        """Begin a collection; an unfinished one before it stays as it is and is never loaded."""
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
    """Times of arrival, which strictly increase over all parts of a corpus."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._last: datetime | None = None

    def next(self) -> datetime:
        """Return the current time, or a microsecond after the last one if that is later; UTC, without time zone."""
        last = self._last or self._newest_on_disk()
        self._last = max(utc_naive(self._clock.now()), last + timedelta(microseconds=1))
        return self._last

    def _newest_on_disk(self) -> datetime:
        names = []
        for part in self._root.glob("*"):
            newest = max(part.glob("[0-9]*"), default=None)
            if newest is not None:
                names += [newest.name, *(reply.name for reply in newest.glob(f"[0-9]*{_REPLY}"))]
        return max(map(_arrival, names), default=datetime.min)


def _arrival(name: str) -> datetime:
    """Return the time in the name of a collection or reply."""
    return datetime.strptime(re.split("[-.]", name)[0], _STAMP)


def _load(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DlbugError(f"{path} cannot be read: {error}. Restore it from a backup.") from None


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically and durably, readable only by its owner."""
    try:
        write_atomically(path, content, mode=0o600)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> DlbugError:
    return DlbugError(
        f"cannot write {path}: {error.strerror}. Data collected before is kept; free some disk space (or make the "
        "folder writable) and run again."
    )
