"""Landing stores replies whole, in order and unchanged; JSON with unpaired surrogates can be read."""

import re
import stat
from datetime import UTC, datetime

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.landing import Landing
from support.clocks import ManualClock

REQUEST = {"method": "questions", "ids": [], "params": {"tagged": "keras"}}


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def landing(tmp_path, clock):
    return Landing(tmp_path / "landing", clock)


def test_a_reply_is_read_back_with_its_request_and_time(landing, clock):
    collection = landing.begin("Keras", "full", {"why": "first"})
    clock.advance(seconds=5)
    collection.land(REQUEST, b'{"items": []}\n\n\x00\xff')
    (reply,) = collection.replies()
    assert (reply.request, reply.body) == (REQUEST, b'{"items": []}\n\n\x00\xff')
    assert reply.received_at == datetime(2026, 3, 1, 12, 0, 5)
    assert reply.file == "20260301T120005000000.json.gz"


def test_a_collection_is_listed_only_when_it_is_finished(landing):
    collection = landing.begin("Keras", "full", {"why": "first"})
    assert landing.done("Keras", {"full"}) == []
    assert landing.unfinished("Keras").name == collection.name
    collection.finish({"cursor": 7})
    (done,) = landing.done("Keras", {"full"})
    assert (done.kind, done.begun, done.done) == ("full", {"why": "first"}, {"cursor": 7})
    assert landing.unfinished("Keras") is None
    assert landing.done("Keras", {"dump"}) == []


def test_an_unfinished_collection_is_never_listed_after_another_began(landing):
    landing.begin("Keras", "refresh", {}).land(REQUEST, b"{}")
    second = landing.begin("Keras", "full", {})
    second.finish({})
    assert [collection.name for collection in landing.done("Keras", {"full", "refresh"})] == [second.name]
    assert landing.unfinished("Keras") is None


def test_an_abandoned_collection_is_not_resumed(landing):
    landing.begin("Keras", "full", {}).abandon("its replies contradict each other")
    assert landing.unfinished("Keras") is None
    assert landing.done("Keras", {"full"}) == []


def test_times_of_arrival_never_repeat_across_parts(tmp_path, clock):
    landing = Landing(tmp_path / "landing", clock)
    first = landing.begin("Keras", "full", {})
    second = landing.begin("Torch", "full", {})
    replies = [first.land(REQUEST, b"1"), second.land(REQUEST, b"2"), first.land(REQUEST, b"3")]
    times = [first.begun_at, second.begun_at, *(reply.received_at for reply in replies)]
    assert [time.microsecond for time in times] == [0, 1, 2, 3, 4]


def test_a_clock_that_is_set_back_does_not_change_the_order_of_arrival(tmp_path, clock):
    before = Landing(tmp_path / "landing", clock).begin("Keras", "full", {}).land(REQUEST, b"1")
    clock.advance(days=-30)
    # Another process continues from the last time on disk, too.
    after = Landing(tmp_path / "landing", clock).begin("Torch", "full", {}).land(REQUEST, b"2")
    assert after.received_at > before.received_at


def test_only_the_owner_can_read_the_files(landing, tmp_path):
    collection = landing.begin("Keras", "full", {})
    collection.land(REQUEST, b"{}")
    collection.finish({})
    files = [path for path in (tmp_path / "landing").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files)[1:] == ["begun.json", "done.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(collection.folder.stat().st_mode) == 0o700


def test_a_file_that_was_not_completely_written_is_ignored(landing):
    collection = landing.begin("Keras", "full", {})
    (collection.folder / ".unfinished-20260301T120005000000.json.gz").write_bytes(b"half")
    (collection.folder.parent / ".unfinished-20260301T120009000000-full").mkdir()
    assert list(collection.replies()) == []
    assert landing.unfinished("Keras").name == collection.name


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_the_error_for_a_damaged_reply_names_its_file(landing, content):
    collection = landing.begin("Keras", "full", {})
    path = collection.folder / collection.land(REQUEST, b"{}").file
    path.write_bytes(content)
    with pytest.raises(DlbugError, match=rf"{path.name} is damaged: .*Restore it from a backup"):
        list(collection.replies())


def test_a_reply_with_a_changed_byte_is_an_error_or_reads_the_same(landing):
    collection = landing.begin("Keras", "full", {})
    body = b"".join(b'{"question_id": %d}' % number for number in range(40))
    path = collection.folder / collection.land(REQUEST, body).file
    content = path.read_bytes()
    errors = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            (reply,) = collection.replies()
        except DlbugError as error:
            assert re.search(rf"{path.name} is damaged: .*Restore it from a backup", str(error))
            errors += 1
        else:
            assert (reply.request, reply.body) == (REQUEST, body)
    # Some of the ten bytes of gzip's header, such as the time and the system, don't affect the content.
    assert errors >= len(content) - 10


def test_the_error_for_a_folder_that_cannot_be_written_names_it_and_the_fix(tmp_path, clock):
    (tmp_path / "file").touch()
    with pytest.raises(DlbugError, match=r"cannot write .*Keras.*Not a directory.*run again"):
        Landing(tmp_path / "file", clock).begin("Keras", "full", {})


def test_discarding_removes_an_unfinished_collection_only(landing):
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
    ids=["pair", "unpaired", "encoded", "in a name", "escaped backslash", "UTF-16", "byte order mark"],
)
def test_unpaired_surrogates_in_json_are_replaced(content, value):
    assert read_json(content) == value


@pytest.mark.parametrize("content", [b"", b"[", b'["\xff"]', b"[" * 100_000, rb'["\ud83d",' + b'{"":' * 100_000])
def test_content_that_is_not_json_or_is_nested_too_deeply_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"Expecting value|can't decode|its brackets are nested too deeply"):
        read_json(content)
