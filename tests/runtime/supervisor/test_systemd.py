import socket
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.systemd import Systemd


def messages(notify: socket.socket) -> list[str]:
    notify.setblocking(False)
    heard = []
    while True:
        try:
            heard += notify.recv(4096).decode().splitlines()
        except BlockingIOError:
            return heard


@pytest.fixture
def notify(tmp_path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(tmp_path / "notify"))
    return bound


def test_systemd_hears_of_ready_life_restarts_and_end(
    make_supervisor: Callable[..., Supervisor], notify: socket.socket, tmp_path: Path
) -> None:
    with notify:
        make_supervisor("serve(0.05); sys.exit(1)", "serve(0.05)", address=str(tmp_path / "notify")).run()
        heard = messages(notify)
    assert heard.count("READY=1") == 2
    assert "STATUS=serving; 0 restarts of the loop's process" in heard
    assert "STATUS=serving; 1 restarts of the loop's process" in heard
    assert any("exit status 1; restart 1 of 10" in line for line in heard)
    assert "WATCHDOG=1" in heard


def test_abstract_socket_is_reached() -> None:
    name = f"iapc-{uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0" + name)
        Systemd(f"@{name}").stopping()
        assert messages(bound) == ["STOPPING=1", "STATUS=stopping"]


def test_systemd_that_does_not_listen_is_no_error(tmp_path: Path) -> None:
    Systemd(str(tmp_path / "nowhere")).alive()
    Systemd("").alive()
