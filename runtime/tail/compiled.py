"""tail.c behind the same two methods as the numpy version; ctypes gives up the GIL while it runs."""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.compiled import load_compiled
from runtime.tail.axis import BLOCK, Axis

__all__ = ["CompiledTail", "compiled_library"]

# What `tail_interface` of the library must return: raised with every change of the structures below.
INTERFACE = 1


class _Axis(ctypes.Structure):
    _fields_ = (
        ("num_segments", ctypes.c_int32),
        ("low", ctypes.c_void_p),
        ("high", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("length", ctypes.c_void_p),
        ("far", ctypes.c_void_p),
    )


class _Plan(ctypes.Structure):
    _fields_ = (
        ("num_classes", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("frame_width", ctypes.c_int32),
        ("stride", ctypes.c_int32),
        ("rows", _Axis),
        ("columns", _Axis),
        ("best", ctypes.c_void_p),
        ("winners", ctypes.c_void_p),
        ("band", ctypes.c_void_p),
        ("lines", ctypes.c_void_p),
    )


class CompiledTail:
    """Labels and confidence by the compiled library; allocates nothing after construction.

    Args:
        library: what `compiled_library` found.
        logits_hw: height and width of the logits.
        num_classes: how many classes there are, 255 at most.
        rows: the frame's rows between the logits.
        columns: its columns.
    """

    def __init__(
        self, library: ctypes.CDLL, logits_hw: tuple[int, int], num_classes: int, rows: Axis, columns: Axis
    ) -> None:
        frame_width = int(columns.length.sum())
        stride = frame_width + BLOCK
        best, winners = np.empty(logits_hw[1], dtype=np.float32), np.empty(logits_hw, dtype=np.int32)
        band, lines = np.empty((BLOCK, stride), dtype=np.uint8), np.empty((2, stride), dtype=np.float32)
        self._plan = _Plan(
            num_classes,
            *logits_hw,
            frame_width,
            stride,
            _axis_of(rows),
            _axis_of(columns),
            *(buffer.ctypes.data for buffer in (best, winners, band, lines)),
        )
        # The plan holds addresses only.
        self._kept = (rows, columns, best, winners, band, lines)
        self._labels, self._confidence = library.tail_labels, library.tail_confidence

    def write_labels(self, logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Largest class of every pixel; see `NumpyTail.write_labels`."""
        self._labels(ctypes.byref(self._plan), logits.ctypes.data, labels.ctypes.data)

    def write_confidence(self, certainty: NDArray[np.float32], confidence: NDArray[np.uint8]) -> None:
        """Certainty of every pixel; see `NumpyTail.write_confidence`."""
        self._confidence(ctypes.byref(self._plan), certainty.ctypes.data, confidence.ctypes.data)


@cache
def compiled_library() -> ctypes.CDLL | None:
    """The library that the installation compiled from tail.c; None where there was no compiler.

    Raises:
        BackendError: there is one, but it cannot be loaded or is of another version.
    """
    advice = "install again with `pip install --force-reinstall --no-deps`, or delete the file to go on with numpy"
    library = load_compiled(Path(__file__).parent, "tail_interface", INTERFACE, advice)
    if library is None:
        return None
    for function in (library.tail_labels, library.tail_confidence):
        function.argtypes = (ctypes.POINTER(_Plan), ctypes.c_void_p, ctypes.c_void_p)
        function.restype = None
    return library


def _axis_of(axis: Axis) -> _Axis:
    tables = (axis.low, axis.high, axis.start, axis.length, axis.far)
    assert all(table.flags.c_contiguous for table in tables)
    return _Axis(len(axis.low), *(table.ctypes.data for table in tables))
