"""Landing: replies are on disk before anything else, whole, in order, and never changed."""

import re
import stat
from datetime import UTC, datetime

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.landing import Landing
from support.clocks import ManualClock

ASKED = {"method": "questions", "ids": [], "params": {"tagged": "keras"}}


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def landing(tmp_path, clock):
    return Landing(tmp_path / "landing", clock)


def test_a_reply_comes_back_as_it_was_with_what_was_asked_and_when(landing, clock):
    collection = landing.begin("Keras", "full", {"why": "first"})
    clock.advance(seconds=5)
    collection.land(ASKED, b'{"items": []}\n\n\x00\xff')
    (reply,) = collection.replies()
    assert (reply.request, reply.body) == (ASKED, b'{"items": []}\n\n\x00\xff')
    assert reply.received_at == datetime(2026, 3, 1, 12, 0, 5)
    assert reply.file == "20260301T120005000000.json.gz"


def test_a_collection_counts_only_when_it_is_done(landing):
    collection = landing.begin("Keras", "full", {"why": "first"})
    assert landing.done("Keras", {"full"}) == []
    assert landing.unfinished("Keras").name == collection.name
    collection.finish({"cursor": 7})
    (done,) = landing.done("Keras", {"full"})
    assert (done.kind, done.begun, done.done) == ("full", {"why": "first"}, {"cursor": 7})
    assert landing.unfinished("Keras") is None
    assert landing.done("Keras", {"dump"}) == []


def test_an_unfinished_collection_never_counts_once_another_was_begun(landing):
    landing.begin("Keras", "refresh", {}).land(ASKED, b"{}")
    second = landing.begin("Keras", "full", {})
    second.finish({})
    assert [collection.name for collection in landing.done("Keras", {"full", "refresh"})] == [second.name]
    assert landing.unfinished("Keras") is None


def test_an_abandoned_collection_is_not_gone_on_with(landing):
    landing.begin("Keras", "full", {}).abandon("its replies contradict each other")
    assert landing.unfinished("Keras") is None
    assert landing.done("Keras", {"full"}) == []


def test_parts_are_apart_but_their_moments_never_repeat(tmp_path, clock):
    landing = Landing(tmp_path / "landing", clock)
    first = landing.begin("Keras", "full", {})
    second = landing.begin("Torch", "full", {})
    replies = [first.land(ASKED, b"1"), second.land(ASKED, b"2"), first.land(ASKED, b"3")]
    moments = [first.begun_at, second.begun_at, *(reply.received_at for reply in replies)]
    assert [moment.microsecond for moment in moments] == [0, 1, 2, 3, 4]


def test_a_clock_that_is_set_back_does_not_change_the_order(tmp_path, clock):
    before = Landing(tmp_path / "landing", clock).begin("Keras", "full", {}).land(ASKED, b"1")
    clock.advance(days=-30)
    # Another process, too, goes on from what is on disk.
    after = Landing(tmp_path / "landing", clock).begin("Torch", "full", {}).land(ASKED, b"2")
    assert after.received_at > before.received_at


def test_files_are_readable_by_their_owner_alone(landing, tmp_path):
    collection = landing.begin("Keras", "full", {})
    collection.land(ASKED, b"{}")
    collection.finish({})
    files = [path for path in (tmp_path / "landing").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files)[1:] == ["begun.json", "done.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(collection.folder.stat().st_mode) == 0o700


def test_a_file_that_was_being_written_when_the_process_died_is_not_seen(landing):
    collection = landing.begin("Keras", "full", {})
    (collection.folder / ".unfinished-20260301T120005000000.json.gz").write_bytes(b"half")
    (collection.folder.parent / ".unfinished-20260301T120009000000-full").mkdir()
    assert list(collection.replies()) == []
    assert landing.unfinished("Keras").name == collection.name


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_a_damaged_reply_is_named(landing, content):
    collection = landing.begin("Keras", "full", {})
    path = collection.folder / collection.land(ASKED, b"{}").file
    path.write_bytes(content)
    with pytest.raises(DlbugError, match=rf"{path.name} is damaged: .*Restore it from a backup"):
        list(collection.replies())


def test_a_reply_of_which_a_byte_was_turned_is_named_or_says_what_it_said(landing):
    collection = landing.begin("Keras", "full", {})
    body = b"".join(b'{"question_id": %d}' % number for number in range(40))
    path = collection.folder / collection.land(ASKED, body).file
    sound = path.read_bytes()
    named = 0
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
        try:
            (reply,) = collection.replies()
        except DlbugError as error:
            assert re.search(rf"{path.name} is damaged: .*Restore it from a backup", str(error))
            named += 1
        else:
            assert (reply.request, reply.body) == (ASKED, body)
    # Of the header's ten bytes those of the time and of the system that wrote it say nothing.
    assert named >= len(sound) - 10


def test_a_place_that_cannot_be_written_is_named_with_the_cure(tmp_path, clock):
    (tmp_path / "file").touch()
    with pytest.raises(DlbugError, match=r"cannot write .*Keras.*Not a directory.*run again"):
        Landing(tmp_path / "file", clock).begin("Keras", "full", {})


def test_what_can_be_made_again_may_be_discarded(landing):
    unfinished = landing.begin("Keras", "dump", {})
    landing.discard_unfinished("Keras")
    assert not unfinished.folder.exists()
    landing.begin("Keras", "dump", {}).finish({})
    landing.discard_unfinished("Keras")
    assert len(landing.done("Keras", {"dump"})) == 1


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (rb'["\ud83d\ude00"]', ["\N{GRINNING FACE}"]),
        (rb'["\ud83d", "\uDE00b"]', ["\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}b"]),
        (b'["\xed\xa0\xbd"]', ["\N{REPLACEMENT CHARACTER}"]),
        (rb'{"\udc00": 1}', {"\N{REPLACEMENT CHARACTER}": 1}),
        (rb'["\\ud83d"]', ["\\ud83d"]),
        ('["\N{GRINNING FACE}"]'.encode("utf-16"), ["\N{GRINNING FACE}"]),
        ("\N{ZERO WIDTH NO-BREAK SPACE}[1]".encode(), [1]),
    ],
    ids=["a pair", "halves", "a half by itself", "in a name", "letters alone", "UTF-16", "a byte order mark"],
)
def test_json_is_read_as_it_stands_but_for_halves_of_surrogate_pairs(content, value):
    assert read_json(content) == value


@pytest.mark.parametrize("content", [b"", b"[", b'["\xff"]'])
def test_what_is_no_json_is_no_value(content):
    with pytest.raises(ValueError, match=r"Expecting value|can't decode"):
        read_json(content)
