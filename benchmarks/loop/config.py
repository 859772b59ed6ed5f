"""The `loop` group of the `benchmarks` section."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from runtime.backends.config import BackendConfig, CpuConfig
from runtime.config import StrictModel

__all__ = ["LoopBenchmarkConfig"]


class LoopBenchmarkConfig(StrictModel):
    """What `loop` and `soak` run, and how long."""

    backend: BackendConfig = CpuConfig()
    artefact: str | None = None
    """File of the bundle; None takes fp32.onnx."""
    num_rounds: PositiveInt = 10
    """Turns of `loop`: the bare engine, then the whole loop."""
    round_frames: PositiveInt = 70
    """Frames of each turn; p99 needs 662 in all."""
    load: float = Field(default=0.7, gt=0.0, lt=1.0)
    """Rate of the frames in `loop`, as a share of what the bare engine could take: none has to wait for another."""
    memory_frames: NonNegativeInt = 20_000
    """Frames over which `loop` watches memory; 0 leaves that out."""
    soak_minutes: PositiveFloat = 30.0
    soak_load: PositiveFloat = 1.5
    """Rate of the frames in `soak`, as a multiple of what the bare engine could take."""
    deadline_ms: PositiveInt = 200
    """Deadline of results in `soak`."""
    num_starts: PositiveInt = 5
    """Processes that `loop` starts from cold files in memory, for the time until they are ready."""
