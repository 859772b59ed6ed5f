"""When a frame of a stream was captured, from when it arrived and the stream's own clock."""

from collections.abc import Callable
from dataclasses import dataclass

from runtime.units import MILLISECOND_NS, SECOND_NS

__all__ = ["ArrivalClock"]

# More than the crystals of a camera and of a computer differ by, so that their drift does not look like delay.
MAX_DRIFT = 200e-6
# Long enough for a network to let go of what it held back, and for a rate to show.
SPAN_NS, SPAN_FRAMES = 10 * SECOND_NS, 10
# Less is within most deadlines; the drift above makes up for it in time.
LATE_NS = 100 * MILLISECOND_NS
# The delay of a queue that fills or drains changes by more than this share of the time; clocks are not that wrong.
MAX_SLOPE = 0.005


class ArrivalClock:
    """Puts the stream's clock beside the monotonic one, by the frame that came with the least delay so far.

    The moment of arrival alone would call frames fresh that waited in the network and then came in one burst. The least
    delay itself cannot be known, and counts as none.

    Frames of a camera whose clock stood still for a while, or runs slow, look as if they had waited, and would for
    ever. So where every frame of two spans of ten seconds was late, and the second span no later than a wrong clock
    explains, the least delay counts as none again, and a slow clock is followed at its rate. Until then such frames are
    late. A network that holds back every frame of so long a time by the same is taken for such a camera: people hear.

    Args:
        tell: gets a sentence when that happens for the first time.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell: Callable[[str], None] | None = tell
        self._offset_ns: int | None = None
        self._drift = MAX_DRIFT
        self._last_pts_ns = self._last_arrived_ns = 0
        self._span: _Span | None = None
        self._span_before: _Span | None = None

    def captured_ns(self, pts_ns: int | None, arrived_ns: int) -> int:
        """Moment of capture on the monotonic clock, at most `arrived_ns`.

        Args:
            pts_ns: the frame's time on the stream's clock; None where the stream has none.
            arrived_ns: when it came, on the monotonic clock.
        """
        if pts_ns is None:
            return arrived_ns
        least_ns = offset_ns = arrived_ns - pts_ns
        # A camera that started again starts its clock again.
        if self._offset_ns is not None and pts_ns > self._last_pts_ns:
            drift_ns = round((arrived_ns - self._last_arrived_ns) * self._drift)
            least_ns = min(offset_ns, self._offset_ns + drift_ns)
            least_ns = self._watched(offset_ns, least_ns, arrived_ns)
        else:
            self._span = self._span_before = None
        self._offset_ns, self._last_pts_ns, self._last_arrived_ns = least_ns, pts_ns, arrived_ns
        return pts_ns + least_ns

    def _watched(self, offset_ns: int, least_ns: int, arrived_ns: int) -> int:
        """The least offset, another one where the clock proved to be wrong."""
        if offset_ns - least_ns <= LATE_NS:
            self._span = self._span_before = None
            return least_ns
        span = self._span = self._span or _Span(arrived_ns, offset_ns)
        span.add(offset_ns)
        if arrived_ns - span.begun_ns < SPAN_NS or span.num_frames < SPAN_FRAMES:
            return least_ns
        before, self._span_before, self._span = self._span_before, span, None
        return least_ns if before is None else self._corrected(before, span, offset_ns, least_ns, arrived_ns)

    def _corrected(self, before: "_Span", span: "_Span", offset_ns: int, least_ns: int, arrived_ns: int) -> int:
        slope = (span.mean_ns - before.mean_ns) / (span.begun_ns - before.begun_ns)
        if abs(slope) > MAX_SLOPE:
            return least_ns
        self._drift = max(self._drift, slope + MAX_DRIFT)
        self._span_before = None
        if self._tell is not None:
            late_s = (span.least_ns - least_ns) / SECOND_NS
            self._tell(
                f"its pictures come {late_s:.1f} s later than before, at a steady pace: its clock stood still or runs "
                "slow, and they count as fresh from here on; look at the network, which could do the same"
            )
            self._tell = None
        return min(offset_ns, span.least_ns + round(max(0.0, slope) * (arrived_ns - span.begun_ns)))


@dataclass(slots=True)
class _Span:
    """Frames in a row that were late, by how far the two clocks are apart; least for the quickest of them."""

    begun_ns: int
    least_ns: int
    num_frames: int = 0
    sum_ns: int = 0

    def add(self, offset_ns: int) -> None:
        self.least_ns = min(self.least_ns, offset_ns)
        self.num_frames += 1
        self.sum_ns += offset_ns

    @property
    def mean_ns(self) -> float:
        return self.sum_ns / self.num_frames
