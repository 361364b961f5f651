"""The authors' release is named by a variable or downloaded once, and verified."""

import contextlib
import hashlib
import http.server
import importlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from support.release import release_path


@pytest.fixture
def tiny_release(monkeypatch) -> bytes:
    """Return a few bytes that are accepted as the release."""
    content = b"as if it were the release"
    module = importlib.import_module("dlbug_assets.releases.locate")
    monkeypatch.setattr(module, "SIZE", len(content))
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(content).hexdigest())
    return content


@contextlib.contextmanager
def serving(content: bytes, status: int = 200, announced: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a loopback server with one reply, and the list of requested paths."""
    requested: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            # The client closes the connection when the file is too long.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dataset.zip", requested
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_named_file_is_used(tmp_path, tiny_release):
    named = tmp_path / "mine.zip"
    named.write_bytes(tiny_release)
    assert releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path / "artifact") == named
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize("name", ["nowhere.zip", "."])
def test_a_name_that_is_not_a_file_is_rejected(tmp_path, name):
    with pytest.raises(DlbugError) as caught:
        releases.locate({"DLBUG_ARTIFACT": str(tmp_path / name)}, tmp_path)
    assert f"DLBUG_ARTIFACT names {tmp_path / name}, which is not a file" in str(caught.value)
    assert "https://lab-design.github.io/papers/ESEC-FSE-19/dataset.zip" in str(caught.value)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content[:-1] + b"?"])
def test_a_truncated_or_altered_file_is_rejected_with_both_hashes(tmp_path, tiny_release, change):
    content = change(tiny_release)
    named = tmp_path / "mine.zip"
    named.write_bytes(content)
    with pytest.raises(DlbugError) as caught:
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)
    for part in (str(named), hashlib.sha256(tiny_release).hexdigest(), hashlib.sha256(content).hexdigest()):
        assert part in str(caught.value)
    assert f"{len(content)} bytes" in str(caught.value)
    assert f"{len(tiny_release)} bytes" in str(caught.value)


def test_a_huge_file_is_rejected_without_reading_it(tmp_path):
    named = tmp_path / "mine.zip"
    with named.open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte, too large for the memory
    with pytest.raises(DlbugError, match=f"{1 << 40} bytes"):
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_an_error(tmp_path):
    named = tmp_path / "mine.zip"
    named.touch(mode=0o000)
    with pytest.raises(DlbugError, match=str(named)):
        releases.locate({"DLBUG_ARTIFACT": str(named)}, tmp_path)


def test_the_release_is_downloaded_once(tmp_path, tiny_release):
    folder = tmp_path / "home" / "artifact"
    with serving(tiny_release) as (address, requested):
        first = releases.locate({}, folder, address)
        second = releases.locate({}, folder, address)
    assert first == second == folder / "islam2019-dataset.zip"
    assert first.read_bytes() == tiny_release
    assert requested == ["/dataset.zip"]
    assert list(folder.iterdir()) == [first]


def test_a_damaged_earlier_download_is_rejected_and_not_replaced(tmp_path, tiny_release):
    damaged = tmp_path / "islam2019-dataset.zip"
    damaged.write_bytes(b"half")
    with serving(tiny_release) as (address, requested), pytest.raises(DlbugError, match=f"{damaged} .*Delete it"):
        releases.locate({}, tmp_path, address)
    assert requested == []


def test_concurrent_downloads_succeed(tmp_path, tiny_release):
    with serving(tiny_release) as (address, _), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: releases.locate({}, tmp_path, address), range(32)))
    assert set(found) == {tmp_path / "islam2019-dataset.zip"}
    assert list(tmp_path.iterdir()) == found[:1]


@pytest.mark.parametrize("change", [lambda content: content + b"and more", lambda content: b"<html>moved</html>"])
def test_a_download_of_another_file_is_not_kept(tmp_path, tiny_release, change):
    with serving(change(tiny_release)) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert hashlib.sha256(tiny_release).hexdigest() in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_download_is_not_kept(tmp_path, tiny_release):
    with serving(tiny_release[:5], announced=len(tiny_release)) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_is_an_error_with_the_fix(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/dataset.zip"
        with pytest.raises(DlbugError) as caught:
            releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert "refused" in str(caught.value)
    assert "set DLBUG_ARTIFACT" in str(caught.value)


def test_an_http_error_is_an_error(tmp_path):
    with serving(b"gone", status=404) as (address, _), pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)
    assert "Not Found" in str(caught.value)


def test_a_server_without_http_is_an_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/dataset.zip"
        with pytest.raises(DlbugError, match=address):
            releases.locate({}, tmp_path, address)
        thread.join()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org/dataset.zip", "http://[broken/x"])
def test_only_web_addresses_are_requested(tmp_path, address):
    with pytest.raises(DlbugError) as caught:
        releases.locate({}, tmp_path, address)
    assert address in str(caught.value)


def test_the_authors_release_has_the_expected_size_and_hash(tmp_path):
    content = release_path().read_bytes()
    with serving(content) as (address, _):
        assert releases.locate({}, tmp_path, address).read_bytes() == content
