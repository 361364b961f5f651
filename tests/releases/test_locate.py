"""Released files are found in a folder, by a variable, beside the study, or downloaded once; and verified."""

import contextlib
import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.releases import Release
from dlbug_assets.releases.locate import LARGEST_FILE, locate
from support.release import STUDY, release_path

CONTENT = b"as if it were a table"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COLUMNS = {"key": "ID"}
URL = "https://data.example.org/bugs.csv"


def released(**other) -> Release:
    return Release.model_validate({"url": URL, "sha256": SHA256, "columns": COLUMNS, **other})


def located(release: Release, environ: dict[str, str], downloads: Path) -> Path:
    (file,) = release.file_names
    return locate(release, file, "small", environ, downloads)


def error_of(release: Release, environ: dict[str, str], downloads: Path) -> str:
    with pytest.raises(DlbugError) as caught:
        located(release, environ, downloads)
    return str(caught.value)


@contextlib.contextmanager
def serving(
    content: bytes, status: int = 200, announced: int | None = None, leads_to: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a loopback server, and the list of requested paths.

    All replies are the same, except that the first one redirects if ``leads_to`` is given.
    """
    requested: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            if leads_to is not None and (len(requested) == 1 or leads_to == self.path):
                self.send_response(302)
                self.send_header("Location", leads_to)
                self.end_headers()
                return
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
        yield f"http://127.0.0.1:{server.server_port}/bugs.csv", requested
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_folder_of_releases_comes_first(tmp_path):
    theirs = tmp_path / "small" / "bugs.csv"
    theirs.parent.mkdir()
    theirs.write_bytes(CONTENT)
    named = tmp_path / "named.csv"
    named.write_bytes(CONTENT)
    environ = {"DLBUG_RELEASES": str(tmp_path), "DLBUG_FILE": str(named)}
    release = released(variable="DLBUG_FILE")
    assert located(release, environ, tmp_path / "downloads") == theirs
    theirs.unlink()
    assert located(release, environ, tmp_path / "downloads") == named
    assert not (tmp_path / "downloads").exists()


def test_a_folder_of_releases_that_does_not_exist_is_an_error(tmp_path):
    assert error_of(released(), {"DLBUG_RELEASES": str(tmp_path / "nowhere")}, tmp_path) == (
        f"DLBUG_RELEASES names {tmp_path / 'nowhere'}, which is not a folder. Download it from {URL}, and set "
        "DLBUG_RELEASES to a folder with small/bugs.csv."
    )


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_variable_that_does_not_name_a_file_is_an_error(tmp_path, name):
    assert error_of(released(variable="DLBUG_FILE"), {"DLBUG_FILE": str(tmp_path / name)}, tmp_path) == (
        f"DLBUG_FILE names {tmp_path / name}, which is not a file. Download it from {URL}, and set DLBUG_FILE to its "
        "path."
    )


def test_a_file_beside_the_study_needs_no_checksum(tmp_path):
    path = tmp_path / "bugs.csv"
    path.write_bytes(CONTENT)
    for release in (
        Release(path=str(path), columns=COLUMNS),
        Release(path=str(tmp_path), file="bugs.csv", columns=COLUMNS),
    ):
        assert located(release, {}, tmp_path / "downloads") == path
    path.unlink()
    assert error_of(Release(path=str(path), columns=COLUMNS), {}, tmp_path) == (
        f"{path} is not a file, but the study's release is read from it. Put the file there."
    )


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"?", b""])
def test_a_truncated_or_altered_file_is_an_error_with_both_checksums(tmp_path, content):
    named = tmp_path / "mine.csv"
    named.write_bytes(content)
    assert error_of(released(variable="DLBUG_FILE"), {"DLBUG_FILE": str(named)}, tmp_path) == (
        f"{named} is truncated or altered: its {len(content)} bytes have sha256 {hashlib.sha256(content).hexdigest()}, "
        f"expected {SHA256}. Download it from {URL}, and set DLBUG_FILE to its path."
    )


def test_any_of_several_checksums_is_accepted(tmp_path):
    path = tmp_path / "bugs.csv"
    path.write_bytes(CONTENT)
    assert located(released(sha256=["0" * 64, SHA256]), {}, tmp_path) == path
    assert f"expected {'0' * 64} or {'1' * 64}." in error_of(released(sha256=["0" * 64, "1" * 64]), {}, tmp_path)


def test_a_huge_file_is_rejected_without_reading_it(tmp_path):
    named = tmp_path / "mine.csv"
    with named.open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte, too large for the memory
    message = error_of(released(variable="DLBUG_FILE"), {"DLBUG_FILE": str(named)}, tmp_path)
    assert message.startswith(f"{named} is larger than {LARGEST_FILE >> 20} MiB, so it is not read. ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_an_error(tmp_path):
    named = tmp_path / "mine.csv"
    named.touch(mode=0o000)
    message = error_of(released(variable="DLBUG_FILE"), {"DLBUG_FILE": str(named)}, tmp_path)
    assert message.startswith(f"cannot read {named}: ")


def test_a_file_is_downloaded_once(tmp_path):
    folder = tmp_path / "home" / "releases"
    with serving(CONTENT) as (address, requested):
        first = located(released(url=address), {}, folder)
        second = located(released(url=address), {}, folder)
    assert first == second == folder / "bugs.csv"
    assert first.read_bytes() == CONTENT
    assert requested == ["/bugs.csv"]
    assert list(folder.iterdir()) == [first]


def test_files_below_an_address_are_downloaded_into_their_folders(tmp_path):
    with serving(CONTENT) as (address, requested):
        release = released(url=address.removesuffix("bugs.csv"), files=["a/1.csv", "b/1.csv"])
        paths = [locate(release, file, "small", {}, tmp_path) for file in release.file_names]
    assert paths == [tmp_path / "a" / "1.csv", tmp_path / "b" / "1.csv"]
    assert requested == ["/a/1.csv", "/b/1.csv"]


def test_a_redirect_is_followed(tmp_path):
    with serving(CONTENT, leads_to="moved/bugs.csv") as (address, requested):
        assert located(released(url=address), {}, tmp_path).read_bytes() == CONTENT
    assert requested == ["/bugs.csv", "/moved/bugs.csv"]


def test_a_redirect_without_end_is_an_error(tmp_path):
    with serving(CONTENT, leads_to="/bugs.csv") as (address, requested):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"cannot download {address}: it is redirected more than 5 times. ")
    assert len(requested) == 6


def test_a_redirect_to_a_file_is_an_error(tmp_path):
    with serving(CONTENT, leads_to="file:///etc/passwd") as (address, _):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"cannot download {address}: it leads to 'file:///etc/passwd', which is not https. ")


def test_a_damaged_earlier_download_is_rejected_and_not_replaced(tmp_path):
    damaged = tmp_path / "bugs.csv"
    damaged.write_bytes(b"half")
    with serving(CONTENT) as (address, requested):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"{damaged} is truncated or altered: ")
    assert ". Delete it. " in message
    assert requested == []


def test_concurrent_downloads_succeed(tmp_path):
    with serving(CONTENT) as (address, _), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: located(released(url=address), {}, tmp_path), range(32)))
    assert set(found) == {tmp_path / "bugs.csv"}
    assert list(tmp_path.iterdir()) == found[:1]


@pytest.mark.parametrize("content", [CONTENT + b"and more", b"<html>moved</html>"])
def test_a_download_of_another_file_is_not_kept(tmp_path, content):
    with serving(content) as (address, _):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"the download from {address} is truncated or altered: ")
    assert SHA256 in message
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_download_is_not_kept(tmp_path):
    with serving(CONTENT[:5], announced=len(CONTENT)) as (address, _):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"cannot download {address}: no whole reply (ProtocolError). Check the network")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_is_an_error_with_the_fix(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/bugs.csv"
        assert error_of(released(url=address), {}, tmp_path) == (
            f"cannot download {address}: no whole reply (ConnectionError). Check the network, or get it by hand. "
            f"Download it from {address}, and set DLBUG_RELEASES to a folder with small/bugs.csv."
        )


def test_an_http_error_is_an_error(tmp_path):
    with serving(b"gone", status=404) as (address, _):
        message = error_of(released(url=address), {}, tmp_path)
    assert message.startswith(f"cannot download {address}: the reply is HTTP 404. ")


def test_a_server_without_http_is_an_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/bugs.csv"
        assert error_of(released(url=address), {}, tmp_path).startswith(f"cannot download {address}: ")
        thread.join()


def test_the_authors_release_of_2019_has_the_expected_checksum(tmp_path):
    content = release_path().read_bytes()
    with serving(content) as (address, _):
        release = STUDY.releases[0].model_copy(update={"url": address})
        assert located(release, {}, tmp_path).read_bytes() == content
    assert located(release, {}, tmp_path) == tmp_path / "islam2019-dataset.zip"
