"""The first frames of a new bundle in service, after which it stays or the old one comes back."""

from dataclasses import dataclass

from runtime.health.reasons import Health, Reason

__all__ = ["Probation"]

BUNDLE_REASONS = (
    Reason.DEADLINES_MISSED
    | Reason.ALL_LATE
    | Reason.OUTPUT_NOT_FINITE
    | Reason.OUTPUT_FROZEN
    | Reason.ENGINE_FAILED
    | Reason.STALLED
)
"""What a bundle can be to blame for; a camera that dies meanwhile says nothing about it."""


@dataclass(slots=True)
class Probation:
    """Judged between frames.

    Attributes:
        num_left: frames still to be seen.
        before: reasons that held before the swap, or are the source's, and have not ended since.
        failure: what the engine said when it failed on a frame.
    """

    num_left: int
    before: Reason
    failure: str | None = None

    def problem(self, health: Health) -> str | None:
        """Why the old bundle must come back; None where nothing speaks for it."""
        if self.failure is not None:
            return self.failure
        if health.reasons & Reason.NO_FRAMES:
            # Frames come in while the engine hangs; where they do not it is the source, until the stall has ended.
            self.before |= health.reasons & Reason.STALLED
        new = health.reasons & BUNDLE_REASONS & ~self.before
        self.before &= health.reasons
        if not new:
            return None
        details = zip(sorted(health.reasons), health.details, strict=True)
        return "; ".join(detail for reason, detail in details if reason & new)
