"""The `peers` group of the `benchmarks` section."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from runtime.config import StrictModel

__all__ = ["PeersConfig"]


class PeersConfig(StrictModel):
    """Whom `peers` compares the bundle with, and what it demands of it: nothing unless told otherwise."""

    only: tuple[str, ...] | None = None
    """Names of the peers that run; None takes all."""
    least_speedup: dict[str, PositiveFloat] = Field(default_factory=dict)
    """By a peer's name: how many times as fast as it the bundle has to be, at the lower end of the interval."""
    max_miou_loss: NonNegativeFloat | None = None
    """Points of mIoU that the runtime's choice may lose against PyTorch in float32, at the lower end of the interval
    where the labelled frames are enough for one; needs `test`."""
    benchmark_app_s: NonNegativeInt = 10
    """Seconds for OpenVINO's benchmark_app; 0 leaves it out."""
