"""The `tune` group of the `benchmarks` section."""

from pydantic import Field, PositiveInt

from runtime.config import StrictModel

__all__ = ["TuneConfig"]


class TuneConfig(StrictModel):
    """What `tune` tries; `num_rounds` and `warmup` of the section say for how long."""

    artefacts: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Files of the bundle that may be served, the default being the runtime's choice among them; None takes all."""
    threads: tuple[PositiveInt, ...] | None = Field(default=None, min_length=1)
    """Numbers of CPU threads to try; None takes each up to the physical cores, of many cores powers of two."""
