"""Collects what every part of the loop sees, and says at any moment how far results can be trusted."""

from collections.abc import Callable
from threading import Lock

from runtime.health.config import HealthConfig
from runtime.health.ratio import Ratio
from runtime.health.reasons import OK, Health, Reason
from runtime.units import MILLISECOND_NS

__all__ = ["Monitor"]


class Monitor:
    """Conditions last until they are cleared, events for a while after they happened; called from any thread.

    A reason can be both at once: clearing the condition leaves the event its time.

    Args:
        config: the limits.
        now_ns: the monotonic clock.
    """

    def __init__(self, config: HealthConfig, now_ns: Callable[[], int]) -> None:
        self.config = config
        self._now_ns, self._lock = now_ns, Lock()
        self._conditions = {Reason.STARTING: "no result yet"}
        self._events: dict[Reason, tuple[str, int]] = {}
        self._health, self._is_changed = OK, True
        self._dropped = Ratio(config.ratio_frames, config.max_drop_ratio)
        self._late = Ratio(config.ratio_frames, config.max_late_ratio)
        self._num_late_in_a_row = 0
        self._last_frame_ns = now_ns()

    @property
    def drop_ratio(self) -> float:
        """Share of whole frames that were overtaken, over the last ones."""
        return self._dropped.value

    def set(self, reason: Reason, detail: str) -> None:
        """A condition holds, until `clear`."""
        with self._lock:
            self._set(reason, detail)

    def clear(self, reason: Reason) -> None:
        """A condition is over."""
        if reason in self._conditions:
            with self._lock:
                self._clear(reason)

    def note(self, reason: Reason, detail: str) -> None:
        """An event happened; it stays in the health for `hold_ms` after it happened last."""
        with self._lock:
            known = self._events.get(reason)
            self._is_changed |= known is None or known[0] != detail
            self._events[reason] = (detail, self._now_ns() + self.config.hold_ms * MILLISECOND_NS)

    def await_frames(self) -> None:
        """From now on frames are expected."""
        self._last_frame_ns = self._now_ns()

    def frame_captured(self) -> None:
        """A whole frame came in."""
        self._last_frame_ns = self._now_ns()

    def frame_dropped(self) -> None:
        """A whole frame was overtaken by a newer one."""
        with self._lock:
            self._count_drop(is_dropped=True)

    def result_published(self, *, age_ns: int, deadline_ns: int) -> None:
        """A result went out."""
        is_late = not 0 <= age_ns <= deadline_ns
        limit = self.config.max_consecutive_late
        with self._lock:
            self._clear(Reason.STARTING)
            self._count_drop(is_dropped=False)
            self._late.count(happened=is_late)
            self._set_if(
                self._late.is_exceeded,
                Reason.DEADLINES_MISSED,
                f"more than {self.config.max_late_ratio:.0%} of results missed the deadline",
            )
            self._num_late_in_a_row = self._num_late_in_a_row + 1 if is_late else 0
            all_late = self._num_late_in_a_row >= limit
            self._set_if(all_late, Reason.ALL_LATE, f"the last {limit} results or more were late")

    def another_bundle(self) -> None:
        """Results so far were of another bundle: how many were late says nothing of this one's. What holds stays."""
        with self._lock:
            if Reason.DEADLINES_MISSED not in self._conditions:
                self._late.forget()
            if Reason.ALL_LATE not in self._conditions:
                self._num_late_in_a_row = 0

    def health(self) -> Health:
        """The state now; the same object as before where nothing changed."""
        now_ns = self._now_ns()
        with self._lock:
            for reason in [reason for reason, (_, until_ns) in self._events.items() if now_ns > until_ns]:
                del self._events[reason]
                self._is_changed = True
            self._watch_silence(now_ns)
            if self._is_changed:
                self._health, self._is_changed = self._summed_up(), False
            return self._health

    def _watch_silence(self, now_ns: int) -> None:
        limit_ms = self.config.no_frames_ms
        is_silent = now_ns - self._last_frame_ns > limit_ms * MILLISECOND_NS
        self._set_if(is_silent, Reason.NO_FRAMES, f"no whole frame for more than {limit_ms} ms")
        if is_silent:
            # What the frames before did says nothing of those that will come.
            self._dropped.forget()
            self._late.forget()
            self._num_late_in_a_row = 0
            for reason in (Reason.FRAMES_DROPPED, Reason.DEADLINES_MISSED, Reason.ALL_LATE):
                self._clear(reason)

    def _summed_up(self) -> Health:
        details = {reason: detail for reason, (detail, _) in self._events.items()} | self._conditions
        if not details:
            return OK
        reasons = Reason.NONE
        for reason in details:
            reasons |= reason
        return Health(reasons, tuple(details[reason] for reason in sorted(details)))

    def _count_drop(self, *, is_dropped: bool) -> None:
        self._dropped.count(happened=is_dropped)
        detail = f"more than {self.config.max_drop_ratio:.0%} of frames were overtaken"
        self._set_if(self._dropped.is_exceeded, Reason.FRAMES_DROPPED, detail)

    def _set_if(self, holds: bool, reason: Reason, detail: str) -> None:
        if holds:
            self._set(reason, detail)
        else:
            self._clear(reason)

    def _set(self, reason: Reason, detail: str) -> None:
        if self._conditions.get(reason) != detail:
            self._conditions[reason] = detail
            self._is_changed = True

    def _clear(self, reason: Reason) -> None:
        if self._conditions.pop(reason, None) is not None:
            self._is_changed = True
