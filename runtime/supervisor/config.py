"""The process outside the loop: the `supervisor` group of the runtime's section."""

from pydantic import NonNegativeInt, PositiveFloat

from runtime.config import StrictModel

__all__ = ["SupervisorConfig"]


class SupervisorConfig(StrictModel):
    """When the loop's process is killed and started again."""

    silence_s: PositiveFloat = 5.0
    """Longest time without a heartbeat of a loop that is ready; it is then killed."""
    start_s: PositiveFloat = 300.0
    """Longest time from start to ready; the first start with a new bundle may build engines and race them."""
    max_restarts: NonNegativeInt = 10
    """Restarts without `settled_s` of good service in between, after which the supervisor gives up."""
    settled_s: PositiveFloat = 60.0
    """Good service after which restarts count anew."""
    backoff_s: PositiveFloat = 0.5
    """Wait before the first restart; it doubles each time, up to `max_backoff_s`."""
    max_backoff_s: PositiveFloat = 30.0
    """Longest wait."""
    stop_s: PositiveFloat = 10.0
    """Time to end after SIGTERM, before SIGKILL; more than `loop.stop_ms`."""
