"""A live view on a free port, results made to measure, and a client."""

from collections.abc import Callable, Iterator
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.health.reasons import OK, Health
from runtime.live import server
from runtime.live.config import LiveConfig
from runtime.live.view import LiveView
from runtime.result import Captured, Counters, Result, Stages

MILLISECOND_NS = 1_000_000
DEADLINE_NS = 200 * MILLISECOND_NS
STAGES = Stages(*(duration_ms * MILLISECOND_NS for duration_ms in (5, 3, 40, 1, 1)))

MakeResult = Callable[..., Result]
Fetch = Callable[..., tuple[int, Message, bytes]]


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def pass_ms(self, duration_ms: float) -> None:
        self.ns += int(duration_ms * MILLISECOND_NS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pass_ms(clock: Clock) -> Callable[[float], None]:
    """Moves the view's clock."""
    return clock.pass_ms


@pytest.fixture
def manifest(bundle: Path) -> Manifest:
    return read_manifest(bundle, None)


@pytest.fixture
def view(manifest: Manifest, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveView]:
    monkeypatch.setattr(server, "POLL_S", 0.01)
    opened = LiveView(LiveConfig(port=0), manifest, 0.5, now_ns=clock.now_ns)
    yield opened
    opened.close()


@pytest.fixture
def make_result(manifest: Manifest, clock: Clock) -> MakeResult:
    """A result published now whose pixels all say which frame they are of."""

    def make(
        frame_id: int,
        *,
        health: Health = OK,
        stages: Stages = STAGES,
        counters: Counters | None = None,
        published_ns: int | None = None,
        deadline_ns: int = DEADLINE_NS,
    ) -> Result:
        height, width = manifest.frame_hw
        published_ns = clock.ns if published_ns is None else published_ns
        return Result(
            captured=Captured(frame_id, published_ns - stages.total_ns, f"frame-{frame_id}"),
            frame=np.full((height, width, 3), frame_id % 256, dtype=np.uint8),
            labels=np.full((height, width), frame_id % 3, dtype=np.uint8),
            confidence=np.full((height, width), 255 - frame_id % 256, dtype=np.uint8),
            published_ns=published_ns,
            deadline_ns=deadline_ns,
            stages=stages,
            health=health,
            counters=counters or Counters(num_published=frame_id),
            drop_ratio=0.25,
            bundle_id="ab" * 32,
        )

    return make


@pytest.fixture
def fetch(view: LiveView) -> Fetch:
    """Asks the view: (status, headers, content)."""

    def ask(path: str, *, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
        parts = urlsplit(view.url)
        assert parts.hostname is not None
        connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    return ask
