"""Loads what the installation compiled from C."""

import ctypes
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from runtime.errors import BackendError

__all__ = ["load_compiled"]


def load_compiled(folder: Path, interface_name: str, interface: int, advice: str) -> ctypes.CDLL | None:
    """The library of a folder; None where the installation had no compiler.

    Args:
        folder: where the C file lies too.
        interface_name: a function of the library that takes nothing.
        interface: what it must return, so that structures and arguments are those that the caller knows.
        advice: how to fix it, for messages.

    Raises:
        BackendError: there is a library, but it cannot be loaded or is of another version.
    """
    path = next((file for suffix in EXTENSION_SUFFIXES if (file := folder / f"_compiled{suffix}").exists()), None)
    if path is None:
        return None
    try:
        library = ctypes.CDLL(str(path))
        ask = getattr(library, interface_name)
        ask.restype = ctypes.c_int32
        found = ask()
    except (OSError, AttributeError) as error:
        raise BackendError(f"{path} cannot be loaded ({error}); {advice}") from error
    if found != interface:
        raise BackendError(f"{path} has interface {found}, expected {interface}; {advice}")
    return library
