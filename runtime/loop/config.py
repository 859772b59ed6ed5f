"""How the loop keeps time: the `loop` group of the runtime's section."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = ["LoopConfig"]


class LoopConfig(StrictModel):
    """Times, and what the process asks of the system."""

    deadline_ms: PositiveInt = 200
    """Greatest age, from capture, at which a result counts as fresh."""
    heartbeat_ms: PositiveInt = 100
    """How often the sinks hear of the loop where no result tells them, and how soon of a change of health."""
    max_restarts: NonNegativeInt = 5
    """Failures of the engine in a row after which the process gives up, for its supervisor to start another."""
    backoff_s: PositiveFloat = 0.1
    """Wait before the first restart of an engine or source; it doubles each time, up to `max_backoff_s`."""
    max_backoff_s: PositiveFloat = 5.0
    """Longest wait."""
    stop_ms: PositiveInt = 6000
    """Longest wait at the end for the source and the sinks to finish; what takes longer is left behind and named. More
    than a stream's `source.timeout_s`, less than `supervisor.stop_s`."""
    cpus: tuple[NonNegativeInt, ...] | None = None
    """Processors the whole process may use; None leaves that to the system."""
    priority: int | None = Field(default=None, ge=1, le=99)
    """Real-time priority (SCHED_FIFO) of the loop; None leaves it at the system's. Needs CAP_SYS_NICE."""
    is_collecting: bool = False
    """Let Python's cyclic garbage collector run at any moment. Else it runs while the loop waits for a frame."""
