"""The wish to stop, as a pipe that can be waited for together with others."""

import os
import select
from types import TracebackType
from typing import Self

from runtime.service.stop_signals import on_stop_signals

__all__ = ["StopRequest"]


class StopRequest:
    """Inside the `with` block, SIGTERM or SIGINT makes `pipe` readable."""

    def __init__(self) -> None:
        self.pipe, self._far_end = os.pipe()
        self._handlers = on_stop_signals(lambda: os.write(self._far_end, b"."))

    @property
    def is_made(self) -> bool:
        """Whether someone asked."""
        return self.wait(0.0)

    def wait(self, timeout_s: float) -> bool:
        """Wait for it; whether it was made."""
        return bool(select.select([self.pipe], [], [], timeout_s)[0])

    def __enter__(self) -> Self:
        """Listen."""
        self._handlers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._handlers.__exit__(kind, error, trace)
        os.close(self.pipe)
        os.close(self._far_end)
