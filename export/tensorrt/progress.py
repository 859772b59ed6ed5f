"""What TensorRT does while it builds, as a bar on stderr: a build takes seconds or many minutes, and is silent."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime.backends.tensorrt.library import EngineLibrary
from runtime.command import progress

__all__ = ["build_progress"]


@contextmanager
def build_progress(library: EngineLibrary, title: str) -> Iterator[Any]:
    """Give a monitor for `IBuilderConfig.progress_monitor`; it must outlive the build.

    The outermost phase is the bar, the one inside it that began last is written beside. A keyboard interrupt cancels
    the build and is raised when the block ends, because an exception must not cross TensorRT's own frames.
    """
    monitor = _monitor(library, title)
    try:
        yield monitor
    finally:
        monitor.close()
    if monitor.interrupted:
        raise KeyboardInterrupt


def _monitor(library: EngineLibrary, title: str) -> Any:
    base: Any = library.module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]  # known at run time only
        def __init__(self) -> None:
            super().__init__()
            self.interrupted = False
            # TensorRT may call from several threads.
            self._lock = threading.Lock()
            self._outermost: str | None = None
            self._bar: Any = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock, self._catching():
                if self._outermost is None:
                    self._bar = progress(range(num_steps), title=title, unit="step", total=num_steps)
                    self._outermost = phase_name
                else:
                    # A log file gets no line for each phase.
                    self._bar.set_postfix_str(phase_name, refresh=sys.stderr.isatty())

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._lock, self._catching():
                if phase_name == self._outermost:
                    self._bar.update()
            return not self.interrupted

        def phase_finish(self, phase_name: str) -> None:
            with self._lock, self._catching():
                if phase_name == self._outermost:
                    # The end of the phase is its last step, of which no `step_complete` tells.
                    if self._bar.n == self._bar.total - 1:
                        self._bar.update()
                    self._close_bar()

        def close(self) -> None:
            with self._lock:
                self._close_bar()

        def _close_bar(self) -> None:
            if self._bar is not None:
                self._bar.set_postfix_str("", refresh=False)
                self._bar.close()
            self._bar = self._outermost = None

        @contextmanager
        def _catching(self) -> Iterator[None]:
            try:
                yield
            except KeyboardInterrupt:
                self.interrupted = True

    return Monitor()
