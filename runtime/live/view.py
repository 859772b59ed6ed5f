"""A sink that shows the loop to people and monitoring systems, over HTTP."""

from collections.abc import Callable
from time import monotonic_ns

from runtime.bundle.manifest import Manifest
from runtime.live.answers import Answers
from runtime.live.buffers import NewestKept
from runtime.live.config import LiveConfig
from runtime.live.pictures import Pictures
from runtime.live.record import Record
from runtime.live.server import LiveServer
from runtime.result import Result, Status
from runtime.units import SECOND_NS

__all__ = ["LiveView"]

WATCHED_NS = 5 * SECOND_NS
"""How long after somebody asked for a picture every result is kept."""
UNWATCHED_NS = SECOND_NS
"""How often one is kept else, so that the last picture before a fault is there to be looked at."""


class LiveView:
    """A page at `/`, its parts as documents and pictures, and metrics at `/metrics`.

    Taking a result costs a copy of its arrays while somebody looks, and next to nothing else.

    Args:
        config: where to serve.
        manifest: frame size, names and colours of the classes.
        opacity: share of the class colour in overlays, where the page begins.
        now_ns: the monotonic clock.

    Raises:
        AddressError: the address is none of this machine's, or not yet.
        SinkError: the address is taken, or cannot be listened on for another reason.
    """

    def __init__(
        self, config: LiveConfig, manifest: Manifest, opacity: float, *, now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._now_ns = now_ns
        self._record = Record(now_ns)
        self._newest = NewestKept(manifest.frame_hw)
        pictures = Pictures(self._newest, manifest, opacity, config.max_picture_side)
        self._answers = Answers(self._record, pictures, manifest, now_ns)
        self._kept_ns: int | None = None
        self._server = LiveServer(config.host, config.port, self._answers.answer)

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._server.url

    def write(self, result: Result) -> None:
        """Note a result's figures, and keep its arrays where somebody may want them."""
        now_ns = self._now_ns()
        if self._is_wanted(now_ns):
            self._newest.put(result)
            self._kept_ns = now_ns
        self._record.add_result(result)

    def tell(self, status: Status) -> None:
        """Note news of the loop."""
        self._record.add_status(status)

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _is_wanted(self, now_ns: int) -> bool:
        asked_ns = self._answers.asked_ns
        is_watched = asked_ns is not None and now_ns - asked_ns < WATCHED_NS
        return is_watched or self._kept_ns is None or now_ns - self._kept_ns >= UNWATCHED_NS
