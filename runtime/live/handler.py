"""One connection: who may ask, and what every answer says."""

from collections.abc import Callable, Collection
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any
from urllib.parse import urlsplit

from runtime.live.answers import Answer

__all__ = ["AnswerPath", "Handler"]

IDLE_S = 10.0
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer: nothing is cached, nothing is loaded from elsewhere, and no other site may show it."""

AnswerPath = Callable[[str, Message], Answer]


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD until the other side is quiet for long.

    Args:
        request: the connection.
        client_address: whose it is.
        server: where it came in.
        answer: what to say to a path and its headers.
        names: by which the server may be asked for; None allows every name.
    """

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True

    def __init__(
        self,
        request: Any,
        client_address: Any,
        server: BaseServer,
        *,
        answer: AnswerPath,
        names: Collection[str] | None,
    ) -> None:
        self._answer, self._names = answer, names
        # The base class serves the whole connection before it returns.
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer with content."""
        self._respond(with_content=True)

    def do_HEAD(self) -> None:
        """Answer with the headers alone."""
        self._respond(with_content=False)

    def _respond(self, *, with_content: bool) -> None:
        if self._names is not None and _host_name(self.headers.get("Host", "")) not in self._names:
            # Another site can give its own name this machine's address, and so read what is meant for it alone.
            answer = Answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"ask for localhost\n")
        else:
            answer = self._answer(self.path.partition("?")[0], self.headers)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(answer.content)

    def end_headers(self) -> None:
        """Add what every answer says, errors too."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """No version of anything."""
        return "iapc"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server calls it so
        """Requests are not worth a line each."""


def _host_name(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
