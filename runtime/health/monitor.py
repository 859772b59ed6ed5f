"""Collects what every part of the loop sees, and says at any moment how far results can be trusted."""

from collections.abc import Callable
from threading import Lock

from runtime.health.config import HealthConfig
from runtime.health.reasons import OK, Health, Reason

__all__ = ["Monitor"]

MILLISECOND_NS = 1_000_000
# A ratio that crossed its limit leaves the health only well below it, so that the state does not flicker.
RELEASE = 0.8


class Monitor:
    """Conditions last until they are cleared, events for a while after they happened; called from any thread.

    Args:
        config: the limits.
        now_ns: the monotonic clock.
    """

    def __init__(self, config: HealthConfig, now_ns: Callable[[], int]) -> None:
        self.config = config
        self._now_ns = now_ns
        self._lock = Lock()
        self._details: dict[Reason, str] = {Reason.STARTING: "no result yet"}
        self._until_ns: dict[Reason, int] = {}
        self._health = Health(Reason.NONE)
        self._is_stale = True
        self._drop_ratio = self._late_ratio = 0.0
        self._consecutive_late = 0
        self._last_frame_ns = now_ns()

    @property
    def drop_ratio(self) -> float:
        """Share of whole frames that were overtaken, over the last ones."""
        return self._drop_ratio

    def set(self, reason: Reason, detail: str) -> None:
        """A condition holds, until `clear`."""
        with self._lock:
            self._until_ns.pop(reason, None)
            self._put(reason, detail)

    def clear(self, reason: Reason) -> None:
        """A condition or event is over."""
        if reason in self._details:
            with self._lock:
                self._drop(reason)

    def note(self, reason: Reason, detail: str) -> None:
        """An event happened; it stays in the health for `hold_ms` after it happened last."""
        with self._lock:
            self._until_ns[reason] = self._now_ns() + self.config.hold_ms * MILLISECOND_NS
            self._put(reason, detail)

    def frame_captured(self) -> None:
        """A whole frame came in."""
        self._last_frame_ns = self._now_ns()

    def frame_dropped(self) -> None:
        """A whole frame was overtaken by a newer one."""
        with self._lock:
            self._count_drop(1.0)

    def result_published(self, *, age_ns: int, deadline_ns: int) -> None:
        """A result went out."""
        is_late = not 0 <= age_ns <= deadline_ns
        with self._lock:
            self._drop(Reason.STARTING)
            self._count_drop(0.0)
            self._late_ratio += (is_late - self._late_ratio) / self.config.ratio_frames
            self._consecutive_late = self._consecutive_late + 1 if is_late else 0
            self._limit(
                Reason.DEADLINES_MISSED, self._late_ratio, self.config.max_late_ratio, "of results missed the deadline"
            )
            if self._consecutive_late >= self.config.max_consecutive_late:
                self._put(Reason.ALL_LATE, f"the last {self.config.max_consecutive_late} results or more were late")
            else:
                self._drop(Reason.ALL_LATE)

    def health(self) -> Health:
        """The state now; the same object as before where nothing changed."""
        now_ns = self._now_ns()
        with self._lock:
            for reason, until_ns in list(self._until_ns.items()):
                if now_ns > until_ns:
                    del self._until_ns[reason]
                    self._drop(reason)
            silent_ms = (now_ns - self._last_frame_ns) // MILLISECOND_NS
            if silent_ms > self.config.no_frames_ms:
                self._put(Reason.NO_FRAMES, f"no whole frame for more than {self.config.no_frames_ms} ms")
            else:
                self._drop(Reason.NO_FRAMES)
            if self._is_stale:
                self._health = self._summed_up()
                self._is_stale = False
            return self._health

    def _summed_up(self) -> Health:
        if not self._details:
            return OK
        ordered = sorted(self._details)
        reasons = Reason.NONE
        for reason in ordered:
            reasons |= reason
        return Health(reasons, tuple(self._details[reason] for reason in ordered))

    def _count_drop(self, dropped: float) -> None:
        self._drop_ratio += (dropped - self._drop_ratio) / self.config.ratio_frames
        self._limit(Reason.FRAMES_DROPPED, self._drop_ratio, self.config.max_drop_ratio, "of frames were overtaken")

    def _limit(self, reason: Reason, ratio: float, limit: float, what: str) -> None:
        if ratio > limit:
            self._put(reason, f"more than {limit:.0%} {what}")
        elif ratio <= limit * RELEASE:
            self._drop(reason)

    def _put(self, reason: Reason, detail: str) -> None:
        if self._details.get(reason) != detail:
            self._details[reason] = detail
            self._is_stale = True

    def _drop(self, reason: Reason) -> None:
        if self._details.pop(reason, None) is not None:
            self._is_stale = True
