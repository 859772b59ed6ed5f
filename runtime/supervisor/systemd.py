"""systemd's notify protocol: one datagram a message, to the socket named in NOTIFY_SOCKET; see sd_notify(3)."""

import os
import socket
from time import monotonic

__all__ = ["Systemd"]

# Messages wait for systemd this long; those that it is alive do not, and come no more often than this.
PATIENCE_S = 1.0


class Systemd:
    """Tells systemd how the service is; without a socket, tells nobody.

    Args:
        address: path of the socket, or a name in the abstract namespace after `@`; None takes NOTIFY_SOCKET.
    """

    def __init__(self, address: str | None = None) -> None:
        named = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = f"\0{named[1:]}" if named.startswith("@") else named
        self._alive_s = -PATIENCE_S

    def ready(self, status: str) -> None:
        """The service does its work; `status` is what `systemctl status` shows."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Not stuck; heard where the unit has WatchdogSec."""
        if monotonic() - self._alive_s >= PATIENCE_S:
            self._alive_s = monotonic()
            self._send("WATCHDOG=1", timeout_s=0.0)

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, message: str, *, timeout_s: float = PATIENCE_S) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.settimeout(timeout_s)
            try:
                notify.sendto(message.encode(), self._address)
            except OSError:
                # systemd is restarting or its queue is full: no reason to end a service that works.
                return
