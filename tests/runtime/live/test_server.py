"""Who is answered, with what headers, and that nothing is left behind."""

import socket
import threading
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runtime.bundle.manifest import Manifest
from runtime.errors import AddressError, SinkError
from runtime.live import server
from runtime.live.config import LiveConfig
from runtime.live.view import LiveView

Fetch = Callable[..., tuple[int, Message, bytes]]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/status.json", "application/json"),
    ],
)
def test_the_page_and_its_parts_have_their_types(fetch: Fetch, path: str, content_type: str) -> None:
    status, headers, content = fetch(path)
    assert (status, headers["Content-Type"]) == (200, content_type)
    assert content


def test_the_page_asks_nobody_else(fetch: Fetch) -> None:
    page = fetch("/")[2] + fetch("/style.css")[2] + fetch("/app.js")[2]
    assert page.count(b"http") == page.count(b"http://www.w3.org/2000/svg") + page.count(b"http-equiv")


def test_every_answer_forbids_storing_framing_and_guessing(fetch: Fetch) -> None:
    for path in ("/", "/status.json", "/nothing"):
        headers = fetch(path)[1]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/nothing", "/../view.py", "/..%2fview.py", "//etc/passwd", "/index.html/", "/a?b=/"])
def test_anything_else_is_not_found(fetch: Fetch, path: str) -> None:
    assert fetch(path)[0] == 404


def test_a_query_does_not_change_the_path(fetch: Fetch) -> None:
    assert fetch("/status.json?now")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "", "[", "192.168.0.1"])
def test_a_name_that_is_not_this_machines_is_refused(fetch: Fetch, host: str) -> None:
    assert fetch("/status.json", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:80"])
def test_every_name_of_this_machine_is_answered(fetch: Fetch, host: str) -> None:
    assert fetch("/status.json", Host=host)[0] == 200


def test_head_has_the_headers_alone(fetch: Fetch) -> None:
    status, headers, content = fetch("/", method="HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_nothing_can_be_sent(fetch: Fetch) -> None:
    assert fetch("/", method="POST")[0] == 501


def test_a_taken_port_is_told_with_what_to_change(view: LiveView, manifest: Manifest) -> None:
    port = urlsplit(view.url).port
    assert port is not None
    with pytest.raises(SinkError, match=rf"port {port} .*runtime\.live\.port"):
        LiveView(LiveConfig(port=port), manifest, 0.5)


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'a' * 70}.example"])
def test_a_name_that_nobody_has_is_told(manifest: Manifest, host: str) -> None:
    with pytest.raises(SinkError, match=rf"{host} port 0 .*choose another"):
        LiveView(LiveConfig(host=host, port=0), manifest, 0.5)


def test_an_address_that_is_not_up_yet_is_told_from_one_that_is_taken(manifest: Manifest) -> None:
    # Set aside for examples (RFC 5737): no machine has it.
    with pytest.raises(AddressError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        LiveView(LiveConfig(host="192.0.2.1", port=0), manifest, 0.5)


@pytest.mark.parametrize(
    ("host", "given"), [("127.0.0.2", "127.0.0.2"), ("LocalHost", "localhost"), ("127.0.0.2", "localhost")]
)
def test_the_address_that_it_serves_on_is_answered(manifest: Manifest, host: str, given: str) -> None:
    view = LiveView(LiveConfig(host=host, port=0), manifest, 0.5)
    try:
        parts = urlsplit(view.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(f"GET /status.json HTTP/1.1\r\nHost: {given}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(16).startswith(b"HTTP/1.1 200")
    finally:
        view.close()


def test_serving_others_is_warned_of_and_answers_by_any_name(
    manifest: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    view = LiveView(LiveConfig(host="0.0.0.0", port=0), manifest, 0.5)
    try:
        assert view.url.startswith("http://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", urlsplit(view.url).port), timeout=30) as connection:
            connection.sendall(b"GET /status.json HTTP/1.1\r\nHost: car.example\r\nConnection: close\r\n\r\n")
            assert connection.recv(16).startswith(b"HTTP/1.1 200")
    finally:
        view.close()
    assert "shows the camera" in caplog.text


def test_closing_ends_connections_that_are_waited_on(manifest: Manifest) -> None:
    before = threading.active_count()
    view = LiveView(LiveConfig(port=0), manifest, 0.5)
    with socket.create_connection(("127.0.0.1", urlsplit(view.url).port), timeout=30) as idle:
        idle.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(16).startswith(b"HTTP/1.1 200")
        view.close()
        assert threading.active_count() == before
        while idle.recv(65536):
            pass


def test_connections_beyond_the_bound_are_refused(view: LiveView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    address = ("127.0.0.1", urlsplit(view.url).port)
    request = b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(address, timeout=30) as first:
        first.sendall(request)
        assert first.recv(16).startswith(b"HTTP/1.1 200")
        with socket.create_connection(address, timeout=30) as second:
            assert second.recv(16) == b""


def test_the_page_is_part_of_the_package() -> None:
    page = Path(server.__file__).parent / "page"
    assert {path.suffix for path in page.iterdir()} == {".html", ".css", ".js"}
