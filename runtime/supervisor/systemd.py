"""systemd's notify protocol: one datagram a message, to the socket named in NOTIFY_SOCKET; see sd_notify(3)."""

import os
import socket

__all__ = ["Systemd"]


class Systemd:
    """Tells systemd how the service is; without a socket, tells nobody.

    Args:
        address: path of the socket, or a name in the abstract namespace after `@`; None takes NOTIFY_SOCKET.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = (address or os.environ.get("NOTIFY_SOCKET", "")).replace("@", "\0", 1)

    def ready(self, status: str) -> None:
        """The service does its work; `status` is what `systemctl status` shows."""
        self._send(f"READY=1\nSTATUS={status}\nWATCHDOG=1")

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Not stuck; heard where the unit has WatchdogSec."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.setblocking(False)
            try:
                notify.sendto(message.encode(), self._address)
            except OSError:
                # systemd is restarting or its queue is full: no reason to end a service that works.
                return
