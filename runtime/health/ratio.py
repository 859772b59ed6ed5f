"""How often something happened of late, and whether that is too often."""

__all__ = ["Ratio"]

# A ratio that crossed its limit leaves it only well below, so that the state does not flicker.
RELEASE = 0.8
# Of what one frame adds to the ratio: below this it counts as never, which a first-order filter alone never reaches.
FORGOTTEN = 0.1


class Ratio:
    """First-order filter over frames to which something happened or not.

    Args:
        num_frames: its time constant.
        limit: what the ratio may reach.

    Attributes:
        value: the ratio, 0 to 1.
        is_exceeded: whether it went above the limit and is not well below it again.
    """

    def __init__(self, num_frames: int, limit: float) -> None:
        self._num_frames, self._limit = num_frames, limit
        self.value, self.is_exceeded = 0.0, False

    def count(self, *, happened: bool) -> None:
        """One more frame."""
        self.value += (happened - self.value) / self._num_frames
        if not happened and self.value < FORGOTTEN / self._num_frames:
            self.value = 0.0
        if self.value > self._limit:
            self.is_exceeded = True
        elif self.value <= self._limit * RELEASE:
            self.is_exceeded = False

    def forget(self) -> None:
        """Begin again, as if it had never happened."""
        self.value, self.is_exceeded = 0.0, False
