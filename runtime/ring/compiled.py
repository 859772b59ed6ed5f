"""Loads iapc_ring.h as the installation compiled it; ctypes gives up the GIL while it runs."""

import ctypes
from functools import cache
from pathlib import Path

from runtime.compiled import load_compiled
from runtime.errors import BackendError
from runtime.ring.layout import Handle, Info, Layout, RingStatus

__all__ = ["ring_library"]

# What `iapc_ring_interface` of the library must return: raised with every change of a structure or argument.
INTERFACE = 1


@cache
def ring_library() -> ctypes.CDLL:
    """The functions of iapc_ring.h.

    Raises:
        BackendError: there is no library, or it cannot be loaded or is of another version.
    """
    folder = Path(__file__).parent
    advice = "install again with a C compiler: `pip install --force-reinstall --no-deps`"
    library = load_compiled(folder, "iapc_ring_interface", INTERFACE, advice)
    if library is None:
        raise BackendError(f"shared memory needs Linux and a compiled part, and {folder} has none; {advice}")
    _declare(library)
    return library


def _declare(library: ctypes.CDLL) -> None:
    handle, info, status = (ctypes.POINTER(kind) for kind in (Handle, Info, RingStatus))
    address, number = ctypes.c_void_p, ctypes.c_uint64
    arguments = {
        "open": (handle, ctypes.c_char_p),
        "create": (handle, ctypes.c_char_p, ctypes.POINTER(Layout)),
        "write": (handle, info, address, address),
        "beat": (handle, status),
        "copy": (handle, number, info, address, address),
        "read_status": (handle, status),
        "has_writer": (handle,),
        "verdict": (handle, info, ctypes.c_int64, ctypes.c_int64),
        "close": (handle,),
    }
    for name, types in arguments.items():
        function = getattr(library, f"iapc_ring_{name}")
        function.argtypes = types
        function.restype = None if name == "close" else ctypes.c_int
