"""What is said on each path; nothing is read from disk by a path that somebody asked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING
from uuid import uuid4

from runtime.bundle.manifest import Manifest
from runtime.live.document import picture_document, status_document
from runtime.live.pictures import Kind, Picture, Pictures
from runtime.live.record import Record
from runtime.units import MILLISECOND_NS

if TYPE_CHECKING:
    from runtime.live.exposition import Exposition

__all__ = ["Answer", "Answers"]

PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
INDEX = "index.html"
PICTURES: Mapping[str, Kind] = {
    "/frame.jpg": "frame",
    "/labels.png": "labels",
    "/overlay.jpg": "overlay",
    "/confidence.png": "confidence",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content and further headers of a response."""

    status: HTTPStatus
    content_type: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Answers:
    """Answers requests from what is kept of the loop; called from any thread.

    Args:
        record: what the loop told.
        pictures: its newest result.
        manifest: names and colours of the classes.
        now_ns: the monotonic clock.
    """

    def __init__(self, record: Record, pictures: Pictures, manifest: Manifest, now_ns: Callable[[], int]) -> None:
        self._record, self._pictures, self._classes, self._now_ns = record, pictures, manifest.classes, now_ns
        self._page = _read_page()
        self._exposition: Exposition | None = None
        self._asked_ns: int | None = None

    @property
    def asked_ns(self) -> int | None:
        """When somebody last asked for a picture; None before the first time."""
        return self._asked_ns

    def answer(self, path: str, headers: Message) -> Answer:
        """What to say to a GET of a path without its query."""
        if path in self._page:
            return self._page[path]
        if path == "/status.json":
            return _json(status_document(self._record.told()))
        if path == "/metrics":
            return self._metrics(headers.get("Accept", ""))
        if path == "/pictures" or path in PICTURES:
            self._asked_ns = self._now_ns()
            return self._picture(PICTURES[path]) if path in PICTURES else self._together(headers)
        return _text(HTTPStatus.NOT_FOUND, "there is nothing here; the page is at /")

    def _picture(self, kind: Kind) -> Answer:
        picture = self._pictures.picture(kind)
        if picture is None:
            return _no_result()
        age_ms = (self._now_ns() - picture.captured.captured_ns) / MILLISECOND_NS
        about = {"Frame-Id": str(picture.captured.frame_id), "Age-Ms": f"{age_ms:.1f}"}
        return Answer(HTTPStatus.OK, picture.content_type, picture.content, about)

    def _together(self, headers: Message) -> Answer:
        """Frame, labels and confidence of one result in one answer, so that no page can mix two results."""
        together = self._pictures.together()
        if together is None:
            return _no_result()
        pictures, shares = together
        captured = pictures["frame"].captured
        tag = f'"{captured.frame_id}-{captured.captured_ns}"'
        if headers.get("If-None-Match") == tag:
            return Answer(HTTPStatus.NOT_MODIFIED, "text/plain", b"", {"ETag": tag})
        about = json.dumps(
            picture_document(captured, self._now_ns(), self._classes, shares, self._pictures.opacity)
        ).encode()
        return _form({"about": ("application/json", about), **_parts(pictures)}, {"ETag": tag})

    def _metrics(self, accept: str) -> Answer:
        if self._exposition is None:
            try:
                from runtime.live.exposition import Exposition
            except ImportError as error:
                return _text(
                    HTTPStatus.NOT_IMPLEMENTED,
                    f"metrics need prometheus_client, which cannot be imported ({error}); install it with "
                    "`pip install 'iapc[live]'`",
                )
            self._exposition = Exposition(self._record.told)
        content_type, content = self._exposition.encoded(accept)
        return Answer(HTTPStatus.OK, content_type, content)


def _read_page() -> dict[str, Answer]:
    page = {}
    for file in files("runtime.live").joinpath("page").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in PAGE_TYPES:
            path = "/" if file.name == INDEX else f"/{file.name}"
            page[path] = Answer(HTTPStatus.OK, f"{PAGE_TYPES[suffix]}; charset=utf-8", file.read_bytes())
    return page


def _parts(pictures: Mapping[Kind, Picture]) -> dict[str, tuple[str, bytes]]:
    return {kind: (picture.content_type, picture.content) for kind, picture in pictures.items()}


def _form(parts: Mapping[str, tuple[str, bytes]], headers: Mapping[str, str]) -> Answer:
    """Several files in one answer, in the form (RFC 7578) that browsers take apart by themselves."""
    boundary = uuid4().hex
    lines: list[bytes] = []
    for name, (content_type, content) in parts.items():
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{name}"'
        lines += [f"--{boundary}\r\n{disposition}\r\nContent-Type: {content_type}\r\n\r\n".encode(), content, b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode())
    return Answer(HTTPStatus.OK, f"multipart/form-data; boundary={boundary}", b"".join(lines), headers)


def _json(document: object) -> Answer:
    content = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return Answer(HTTPStatus.OK, "application/json", content)


def _text(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _no_result() -> Answer:
    return _text(HTTPStatus.SERVICE_UNAVAILABLE, "no result yet; /status.json says why")
