"""When a frame of a stream was captured, from when it arrived and the stream's own clock."""

__all__ = ["ArrivalClock"]

# More than the crystals of a camera and of a computer differ by, so that their drift does not look like delay.
MAX_DRIFT = 200e-6


class ArrivalClock:
    """Puts the stream's clock beside the monotonic one, by the frame that came with the least delay so far.

    The moment of arrival alone would call frames fresh that waited in the network and then came in one burst. The least
    delay itself cannot be known, and counts as none.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_pts_ns = self._last_arrived_ns = 0

    def captured_ns(self, pts_ns: int | None, arrived_ns: int) -> int:
        """Moment of capture on the monotonic clock, at most `arrived_ns`.

        Args:
            pts_ns: the frame's time on the stream's clock; None where the stream has none.
            arrived_ns: when it came, on the monotonic clock.
        """
        if pts_ns is None:
            return arrived_ns
        offset_ns = arrived_ns - pts_ns
        # A camera that started again starts its clock again.
        if self._offset_ns is not None and pts_ns > self._last_pts_ns:
            drift_ns = round((arrived_ns - self._last_arrived_ns) * MAX_DRIFT)
            offset_ns = min(offset_ns, self._offset_ns + drift_ns)
        self._offset_ns, self._last_pts_ns, self._last_arrived_ns = offset_ns, pts_ns, arrived_ns
        return pts_ns + offset_ns
