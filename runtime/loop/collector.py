"""Python's cyclic garbage collector, kept out of the frames' way."""

import gc
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Collector"]

# The loop makes no cycles; sinks may, a few.
COLLECT_NS = 10_000_000_000


class Collector:
    """Inside the `with` block what lives already is left alone, and unless it is automatic nothing else collects.

    Args:
        is_automatic: let the collector run at any moment, as usual.
        now_ns: the monotonic clock.
    """

    def __init__(self, *, is_automatic: bool, now_ns: Callable[[], int]) -> None:
        self._is_automatic, self._now_ns = is_automatic, now_ns
        self._was_on, self._collected_ns = True, 0

    def collect_if_due(self) -> None:
        """For a moment at which nothing else waits."""
        if not self._is_automatic and self._now_ns() - self._collected_ns > COLLECT_NS:
            gc.collect()
            self._collected_ns = self._now_ns()

    def __enter__(self) -> Self:
        """Collect once, and freeze what is left."""
        self._was_on = gc.isenabled()
        gc.collect()
        gc.freeze()
        if not self._is_automatic:
            gc.disable()
        self._collected_ns = self._now_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the collector as it was."""
        gc.unfreeze()
        if self._was_on:
            gc.enable()
