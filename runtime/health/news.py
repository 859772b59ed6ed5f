"""Changes of the health, a line each, for people who read the log."""

from collections.abc import Callable

from runtime.health.reasons import Health, Reason

__all__ = ["HealthNews"]

PERIOD_NS = 1_000_000_000
"""Least time between two lines, so that a reason that comes and goes fills no log."""


class HealthNews:
    """Tells the state and its reasons when they are others than were told last; the beginning and the end are not news.

    Args:
        say: tells a person.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = Reason.STARTING
        self._told_ns: int | None = None

    def note(self, now_ns: int, health: Health) -> None:
        """Hear of the health at a moment; what is too soon after a line is told later, where it lasts."""
        if health.reasons == self._told or Reason.STOPPED in health.reasons:
            return
        if self._told_ns is not None and now_ns - self._told_ns < PERIOD_NS:
            return
        self._say(f"health: {_text(health, self._told)}")
        self._told, self._told_ns = health.reasons, now_ns


def _text(health: Health, told: Reason) -> str:
    """The state and every reason; of those that are new, the sentence too."""
    sentences = zip(health.reasons, health.details, strict=True)
    reasons = [str(reason.name) if reason & told else f"{reason.name} ({sentence})" for reason, sentence in sentences]
    return ": ".join(filter(None, [health.state.name, "; ".join(reasons)]))
