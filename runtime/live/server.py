"""HTTP for people and monitoring systems on the same machine: one thread a connection, a bounded number of them."""

import errno
import logging
import socket
import sys
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from typing import Any

from runtime.errors import AddressError, SinkError
from runtime.live.handler import AnswerPath, Handler

__all__ = ["LiveServer"]

MAX_CONNECTIONS = 32
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
# How often the server looks whether it is to stop.
POLL_S = 0.2


class LiveServer:
    """Serves from threads of its own until closed.

    Args:
        host: name or address to listen on.
        port: 0 takes a free one.
        answer: what to say to a path and its headers.

    Raises:
        AddressError: no interface of this machine has the address, or the name has none yet.
        SinkError: the address cannot be listened on for another reason.
    """

    def __init__(self, host: str, port: int, answer: AnswerPath) -> None:
        try:
            self._server = _Server(host, port, answer)
        except (OSError, UnicodeError) as error:
            raise _refused(host, port, error) from error
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_S,), name="live view", daemon=True)
        self._thread.start()
        if not self._server.is_local:
            logging.getLogger(__name__).warning(
                "the live view listens on %s and shows the camera to whoever can reach it; "
                "runtime.live.host=127.0.0.1 serves this machine alone",
                host,
            )

    @property
    def url(self) -> str:
        """Where the page is, as seen from this machine."""
        host, port = self._server.server_address[:2]
        address = ip_address(str(host))
        if address.is_unspecified:
            address = ip_address("::1" if address.version == 6 else "127.0.0.1")
        return f"http://[{address}]:{port}/" if address.version == 6 else f"http://{address}:{port}/"

    def close(self) -> None:
        """Stop listening, end every connection and join every thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


def _refused(host: str, port: int, error: OSError | UnicodeError) -> SinkError:
    # A name with a label of more than 63 characters ends in the encoding of names.
    reason = error.strerror if isinstance(error, OSError) else error
    is_missing = isinstance(error, OSError) and error.errno in (errno.EADDRNOTAVAIL, socket.EAI_AGAIN)
    return (AddressError if is_missing else SinkError)(
        f"the live view cannot listen on {host} port {port} ({reason}); choose another runtime.live.port, 0 for any "
        "free one, or another runtime.live.host, or set runtime.live=null to do without"
    )


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, host: str, port: int, answer: AnswerPath) -> None:
        self.address_family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.is_local = ip_address(str(address[0])).is_loopback
        self._lock = Lock()
        self._threads_by_connection: dict[socket.socket, Thread] = {}
        names = (*LOCAL_NAMES, host.lower(), str(address[0])) if self.is_local else None
        super().__init__((str(address[0]), port), partial(Handler, answer=answer, names=names))

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection beyond the bound."""
        return len(self._threads_by_connection) < MAX_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection from a thread that `hang_up` can join, and that keeps no process from ending."""
        thread = Thread(
            target=self.process_request_thread, args=(request, client_address), name="live view request", daemon=True
        )
        with self._lock:
            self._threads_by_connection[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ends."""
        with self._lock:
            self._threads_by_connection.pop(request, None)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection, so that no thread waits for another request, and join the threads."""
        with self._lock:
            threads = list(self._threads_by_connection.values())
            for connection in self._threads_by_connection:
                with suppress(OSError):  # the other side has left already
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; that a client left is not worth a line."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            logging.getLogger(__name__).exception("a request from %s failed", client_address[0])
