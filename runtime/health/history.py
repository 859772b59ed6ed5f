"""What a run was like, for the summary at its end: ages of results, and how long each state lasted."""

from collections.abc import Callable
from typing import Any

from runtime.health.ages import Ages
from runtime.health.reasons import Health, Reason, State
from runtime.result import Counters, Result, Status
from runtime.units import SECOND_NS

__all__ = ["History"]


class History:
    """A sink that keeps sums and no results; the seconds of a state last until the next news.

    Args:
        now_ns: when the run began.
        hear: gets the moment and the health of everything this gets.
    """

    def __init__(self, now_ns: int, hear: Callable[[int, Health], None] = lambda now_ns, health: None) -> None:
        self._hear = hear
        self._ages = Ages()
        self._since_ns = now_ns
        self._health = Health(Reason.STARTING)
        self._state_ns = dict.fromkeys(State, 0)
        self._reason_ns: dict[Reason, int] = {}

    def write(self, result: Result) -> None:
        """Count a result's age at the moment it was published."""
        self._ages.add(result.age_ns(result.published_ns))
        self._note(result.published_ns, result.health)

    def tell(self, status: Status) -> None:
        """Note the health."""
        self._note(status.now_ns, status.health)

    def close(self) -> None:
        """Nothing is held."""

    def figures(self, counters: Counters) -> dict[str, Any]:
        """Figures of the whole run; a percentile is there where there were enough results for it."""
        return {
            "captured": counters.num_captured,
            "published": counters.num_published,
            "late": counters.num_late,
            "dropped": counters.num_dropped,
            "drop_ratio": round(counters.num_dropped / max(1, counters.num_captured), 6),
            "lost": counters.num_lost,
            "refused": counters.num_refused,
            "withheld": counters.num_withheld,
            "engine_restarts": counters.num_restarts,
            "swaps": counters.num_swaps,
            "ages_known": self._ages.num,
            "age_ms": self._ages.figures_ms(),
            "state_s": {state.name: round(self._state_ns[state] / SECOND_NS, 3) for state in State},
            "reason_s": {str(reason.name): round(ns / SECOND_NS, 3) for reason, ns in self._reason_ns.items()},
        }

    def summary(self, counters: Counters) -> str:
        """The figures as text for people."""
        figures = self.figures(counters)
        ages = ", ".join(f"{name} {age} ms" for name, age in figures["age_ms"].items()) or "no result"
        states = ", ".join(f"{name} {seconds} s" for name, seconds in figures["state_s"].items())
        reasons = ", ".join(f"{name} {seconds} s" for name, seconds in figures["reason_s"].items())
        return "\n".join(
            [
                f"stopped after {figures['captured']} frames: {figures['published']} published "
                f"({figures['late']} late), {figures['dropped']} dropped ({figures['drop_ratio']:.2%}), "
                f"{figures['withheld']} withheld, {figures['refused']} refused, "
                f"{figures['lost']} lost before they came here",
                f"  age      {ages}",
                f"  health   {states}",
                *([f"  reasons  {reasons}"] if reasons else []),
            ]
        )

    def _note(self, now_ns: int, health: Health) -> None:
        self._hear(now_ns, health)
        # A result and a status may overtake each other by a little.
        lasted_ns = max(0, now_ns - self._since_ns)
        self._state_ns[self._health.state] += lasted_ns
        for reason in self._health.reasons:
            self._reason_ns[reason] = self._reason_ns.get(reason, 0) + lasted_ns
        self._since_ns, self._health = max(now_ns, self._since_ns), health
