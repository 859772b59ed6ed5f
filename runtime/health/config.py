"""When the monitor calls something wrong: the `health` group of the runtime's section."""

from pydantic import Field, PositiveFloat, PositiveInt

from runtime.config import StrictModel

__all__ = ["HealthConfig"]


class HealthConfig(StrictModel):
    """Limits; the defaults suit a camera of 10 to 30 frames a second."""

    max_drop_ratio: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of whole frames overtaken by a newer one, above which results are too sparse."""
    max_late_ratio: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of results published after their deadline."""
    ratio_frames: PositiveInt = 50
    """How many frames both ratios look back on, as the time constant of a first-order filter."""
    max_consecutive_late: PositiveInt = 10
    """Late results in a row after which none counts as usable."""
    no_frames_ms: PositiveInt = 500
    """Longest time without a whole frame."""
    max_repeated_frames: PositiveInt = 5
    """Frames in a row with the very same pixels; sensor noise makes that impossible for a camera that sees. Compressed
    streams of a scene in which nothing moves may need more."""
    max_repeated_outputs: PositiveInt = 1
    """Outputs in a row with the very same labels and confidence as the one before, from frames that differ; those
    from this one on are withheld."""
    max_withheld: PositiveInt = 20
    """Outputs withheld in a row, for whatever reason, after which the engine is opened again."""
    hold_ms: PositiveInt = 2000
    """How long an event, such as a refused frame, stays in the health after it happened last."""
    stall_ms: PositiveInt = 2000
    """Longest time that one frame may spend in the engine, or the change to another bundle take."""
    restart_stall_ms: PositiveInt = 120_000
    """Longest time that opening the engine again may take."""
    source_stall_ms: PositiveInt = 15_000
    """Longest time that one call of the source may take; opening a network stream is the slowest."""
    max_sink_drop_ratio: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of results that a watched sink may miss."""
    throttle_check_s: PositiveFloat = 5.0
    """How often the processor's clocks and temperatures are read, where the system tells them."""
