"""What the loop's process tells the one that watches it: a byte at each heartbeat, and another once it is ready.

The pipe says the rest by itself: it is closed when either process is gone, however that came about.
"""

import ctypes
import os
import select
import signal

from runtime.errors import LoopProcessError

__all__ = ["READY", "Heartbeat"]

ALIVE, READY = b".", b"R"
# linux/prctl.h
PR_SET_PDEATHSIG = 1


class Heartbeat:
    """The writing end of the pipe; the process that holds it does not outlive its supervisor.

    Args:
        pipe: the file descriptor that the supervisor handed over.

    Raises:
        LoopProcessError: the supervisor is gone already.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        # What this process starts must not keep the pipe open after its death.
        os.set_inheritable(pipe, False)
        # A supervisor that was paused has enough to read; the loop does not wait for it.
        os.set_blocking(pipe, False)
        # SIGKILL, because whoever starts the service again needs its camera and its GPU, and a stuck engine hears
        # nothing else.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise LoopProcessError(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
        # It may have died before the line above.
        closed = select.poll()
        closed.register(pipe, 0)
        if closed.poll(0):
            raise LoopProcessError("the supervisor is gone; start `python -m runtime serve` again")

    def ready(self) -> None:
        """The loop is about to take its first frame."""
        self._write(READY)

    def beat(self) -> None:
        """The loop is alive."""
        self._write(ALIVE)

    def _write(self, byte: bytes) -> None:
        try:
            os.write(self._pipe, byte)
        except BlockingIOError:
            return
