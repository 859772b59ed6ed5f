"""The loop's process, as its supervisor sees it."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Self

from runtime.supervisor.heartbeat import READY

__all__ = ["Child", "ending"]

NUM_BYTES = 4096


class Child:
    """A process with a pipe for its heartbeats; killed when the `with` block is left.

    Args:
        command: the program and its arguments; the pipe is added as `--heartbeat NUMBER`.
        environment: its environment variables.

    Attributes:
        pipe: readable when there are heartbeats, or the process is gone.
        is_gone: whether the pipe is closed.
        heard_s: when it was started or heard last, on the monotonic clock.
        ready_s: when it said that it is ready; None before.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.pipe, far_end = os.pipe()
        os.set_blocking(self.pipe, False)
        try:
            # A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which asks the loop to stop.
            self._process = subprocess.Popen(  # noqa: S603 (the command is ours)
                [*command, "--heartbeat", str(far_end)], pass_fds=(far_end,), env=environment, start_new_session=True
            )
        finally:
            os.close(far_end)
        self.is_gone = False
        self.heard_s = monotonic()
        self.ready_s: float | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def listen(self) -> None:
        """Take the heartbeats that came since the last call."""
        try:
            heard = os.read(self.pipe, NUM_BYTES)
        except BlockingIOError:
            return
        self.is_gone = not heard
        if heard:
            self.heard_s = monotonic()
        if READY in heard:
            self.ready_s = self.heard_s

    def end(self, stop_s: float) -> int:
        """Ask the process to end, kill it if it does not within `stop_s`, and return its exit status.

        The status is negative where a signal ended it, as in `subprocess`.
        """
        self._process.terminate()
        try:
            return self._process.wait(stop_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once, and return its exit status, as `end` does."""
        self._process.kill()
        return self._process.wait()

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left of it."""
        self.kill()
        os.close(self.pipe)


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
