"""Three states and every reason to leave the first; the bits are part of the shared-memory contract and never change.

OK         results are fresh and nothing is wrong
DEGRADED   results come, and someone should look
FAULT      no result, or none that may be used
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

__all__ = ["FAULTS", "OK", "Health", "Reason", "State", "state_of"]


class State(IntEnum):
    """How far results can be trusted; the worst of all active reasons counts."""

    OK = 0
    DEGRADED = 1
    FAULT = 2


class Reason(IntFlag):
    """Why the state is not OK; one bit each."""

    NONE = 0
    STARTING = 1 << 0
    DEADLINES_MISSED = 1 << 1
    ALL_LATE = 1 << 2
    FRAMES_DROPPED = 1 << 3
    NO_FRAMES = 1 << 4
    FRAMES_REPEAT = 1 << 5
    FRAMES_REFUSED = 1 << 6
    CLOCK_JUMPED = 1 << 7
    SOURCE_LOST = 1 << 8
    OUTPUT_NOT_FINITE = 1 << 9
    OUTPUT_FROZEN = 1 << 10
    ENGINE_FAILED = 1 << 11
    SINK_FAILED = 1 << 12
    SINK_SLOW = 1 << 13
    DISK_FULL = 1 << 14
    THROTTLED = 1 << 15
    DRIFTED = 1 << 16
    BUNDLE_REFUSED = 1 << 17
    STALLED = 1 << 18
    STOPPED = 1 << 19


FAULTS = (
    Reason.STARTING
    | Reason.ALL_LATE
    | Reason.NO_FRAMES
    | Reason.FRAMES_REPEAT
    | Reason.SOURCE_LOST
    | Reason.OUTPUT_NOT_FINITE
    | Reason.OUTPUT_FROZEN
    | Reason.ENGINE_FAILED
    | Reason.STALLED
    | Reason.STOPPED
)
"""Reasons that make a fault; every other degrades."""


def state_of(reasons: Reason) -> State:
    """The worst state that any of the reasons makes."""
    if reasons & FAULTS:
        return State.FAULT
    return State.DEGRADED if reasons else State.OK


@dataclass(frozen=True, slots=True)
class Health:
    """A state with its reasons; `details` is one sentence for each, in the order of the bits."""

    reasons: Reason
    details: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """The worst state that any of the reasons makes."""
        return state_of(self.reasons)


OK = Health(Reason.NONE)
