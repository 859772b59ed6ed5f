"""The test for drift: the `drift` group of the runtime's section."""

from pydantic import PositiveFloat

from runtime.config import StrictModel

__all__ = ["DriftConfig"]


class DriftConfig(StrictModel):
    """How often frames are looked at, and how rarely the test may be wrong."""

    every_s: PositiveFloat = 1.0
    """Time between two frames that are looked at; neighbours in time tell the test nothing new."""
    independent_after_s: PositiveFloat = 3.0
    """Time after which the camera sees another piece of the world. Frames that lie closer count as one together."""
    frames_between_false_alarms: PositiveFloat = 10_000.0
    """Mean number of frames looked at before a false alarm, where the world is as in the reference; at least this."""
