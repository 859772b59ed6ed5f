"""What the loop asks of Python itself: threads that give way quickly, no garbage collection in mid-frame."""

import gc
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from runtime.units import SECOND_NS

__all__ = ["Interpreter"]

# How long a thread that computes in Python may keep another from going on. At Python's own 5 ms, one busy sink made a
# network of 5 ms a third slower; at this it costs what cannot be measured.
SWITCH_S = 0.0005
# The loop makes no cycles; sinks may, a few.
COLLECT_NS = 10 * SECOND_NS


class Interpreter:
    """Settings of the whole process inside the `with` block; what lives already is not looked at by the collector.

    Args:
        is_collecting: let the collector run at any moment, as usual; else `collect_if_due` alone runs it.
        now_ns: the monotonic clock.
    """

    def __init__(self, *, is_collecting: bool, now_ns: Callable[[], int]) -> None:
        self._is_collecting, self._now_ns = is_collecting, now_ns
        self._was_collecting, self._switch_s, self._collected_ns = True, SWITCH_S, 0

    def collect_if_due(self) -> None:
        """For a moment at which nothing is under way."""
        if not self._is_collecting and self._now_ns() - self._collected_ns > COLLECT_NS:
            gc.collect()
            self._collected_ns = self._now_ns()

    def __enter__(self) -> Self:
        """Collect once, and freeze what is left."""
        self._was_collecting, self._switch_s = gc.isenabled(), sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()
        if not self._is_collecting:
            gc.disable()
        self._collected_ns = self._now_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave everything as it was."""
        gc.unfreeze()
        if self._was_collecting:
            gc.enable()
        sys.setswitchinterval(self._switch_s)
