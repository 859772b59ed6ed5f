"""The stack on which a thread's signal handlers run, kept from an engine that leaves a dangling one behind."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_signal_stack", "signal_stack"]


class SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2); `flags` 2 says that there is none."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("num_bytes", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread back, at the end of the block, the alternate signal stack that it had before.

    OpenVINO sets one when a model is compiled, and when that is freed sets the one it found. With two models, freed in
    the order they were made, that is one which is freed already: the next signal then ends the process.
    """
    kept = signal_stack()
    try:
        yield
    finally:
        if kept is not None:
            _call(ctypes.byref(kept), None)


def signal_stack() -> SignalStack | None:
    """That of this thread; None on systems other than Linux, where the engine sets none."""
    if sys.platform != "linux":
        return None
    found = SignalStack()
    _call(None, ctypes.byref(found))
    return found


def _call(new: object, old: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sigaltstack(new, old) != 0:
        raise OSError(ctypes.get_errno(), "sigaltstack failed")
