"""Full-size labels and confidence from low-resolution logits, on the host and exactly as the deploy graph has them.

Interpolating every class at every pixel costs more than a quantised network does. Bilinear values are convex
combinations of four logits, so where one class wins at all four, it wins everything between them; only the cells on
class borders are interpolated, and there only the classes that can win.
"""

import logging
from ctypes import CDLL
from functools import cache

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import read_only
from runtime.errors import BackendError, NotFiniteError
from runtime.tail.axis import upsampling_axis
from runtime.tail.compiled import CompiledTail, compiled_library
from runtime.tail.in_numpy import NumpyTail

__all__ = ["Tail"]

# 255 marks ignored pixels in label maps.
MAX_CLASSES = 255


class Tail:
    """Upsamples logits of one size to frames of one size; its outputs are buffers that every call reuses.

    Labels are the class whose bilinearly upsampled logit is largest, the lowest id among equals. Confidence is the
    largest class probability at each logit, upsampled likewise, 255 at certainty. The compiled version and the one
    in numpy compute in float32 in the same order and give the same bytes. A full interpolation may differ only where
    the two largest values are equal within rounding; in cells with one winner this class then keeps the real one.

    Args:
        logits_hw: height and width of the logits.
        frame_hw: height and width of labels and confidence; may equal those of the logits.
        num_classes: classes in the logits, 255 at most.
        align_corners: as the network was trained, see `torch.nn.functional.interpolate`.
        is_compiled: whether to use the compiled version; None takes it where it was built, and else logs that
            numpy is used.

    Attributes:
        is_compiled: whether the compiled version is used.

    Raises:
        ValueError: a size or the number of classes is out of range.
        BackendError: the compiled version was asked for and was not built, or cannot be loaded.
    """

    def __init__(
        self,
        logits_hw: tuple[int, int],
        frame_hw: tuple[int, int],
        num_classes: int,
        *,
        align_corners: bool,
        is_compiled: bool | None = None,
    ) -> None:
        if min(*logits_hw, *frame_hw) < 1:
            raise ValueError(f"logits_hw={logits_hw}, frame_hw={frame_hw}: heights and widths must be at least 1")
        if not 1 <= num_classes <= MAX_CLASSES:
            raise ValueError(f"num_classes={num_classes}: labels are bytes, so it must be 1..{MAX_CLASSES}")
        rows, columns = (
            upsampling_axis(logits, frame, align_corners=align_corners)
            for logits, frame in zip(logits_hw, frame_hw, strict=True)
        )
        self._shape = (num_classes, *logits_hw)
        library = _wanted_library(is_compiled)
        self.is_compiled = library is not None
        self._version: CompiledTail | NumpyTail = (
            NumpyTail(logits_hw, num_classes, rows, columns)
            if library is None
            else CompiledTail(library, logits_hw, num_classes, rows, columns)
        )
        self._largest, self._total, self._certainty = (np.empty(logits_hw, dtype=np.float32) for _ in range(3))
        self._exponentials = np.empty(self._shape, dtype=np.float32)
        self._is_finite = np.empty(self._shape, dtype=np.bool_)
        self._labels, self._confidence = (np.zeros(frame_hw, dtype=np.uint8) for _ in range(2))
        self._outputs = read_only(self._labels), read_only(self._confidence)

    def __call__(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Labels and confidence of one frame; for one thread at a time.

        Args:
            logits: (C, h, w), C-contiguous.

        Returns:
            Two (H, W) arrays, read-only and valid until the next call.

        Raises:
            BackendError: the logits have another type, shape or layout.
            NotFiniteError: they are not all finite. Either way the outputs of the last call are unchanged.
        """
        self._check(logits)
        self._write_certainty(logits)
        self._version.write_labels(logits, self._labels)
        self._version.write_confidence(self._certainty, self._confidence)
        return self._outputs

    def _check(self, logits: NDArray[np.float32]) -> None:
        expected = f"expected a C-contiguous float32 array of shape {self._shape}"
        if not isinstance(logits, np.ndarray):
            raise BackendError(f"the logits are a {type(logits).__name__}; {expected}; convert them first")
        if logits.dtype != np.float32 or logits.shape != self._shape or not logits.flags.c_contiguous:
            layout = "contiguous" if logits.flags.c_contiguous else "not contiguous"
            raise BackendError(
                f"the logits are {logits.dtype} of shape {logits.shape}, {layout}; {expected}: the engine serves "
                "another network than the one this tail was made for, or numpy.ascontiguousarray is missing"
            )
        if not np.isfinite(logits, out=self._is_finite).all():
            raise NotFiniteError(
                f"{np.count_nonzero(~self._is_finite)} of {logits.size} logits are NaN or infinite, so the frame has "
                "no labels; a network in float16 may overflow (serve another precision), or the frame is damaged"
            )

    def _write_certainty(self, logits: NDArray[np.float32]) -> None:
        """Largest softmax at each logit: exp(0) over the sum of exp(logit - largest)."""
        logits.max(axis=0, out=self._largest)
        # Differences beyond float32 become -inf, whose exponential is the right 0.
        with np.errstate(over="ignore", under="ignore"):
            np.subtract(logits, self._largest, out=self._exponentials)
            np.exp(self._exponentials, out=self._exponentials)
        self._exponentials.sum(axis=0, out=self._total)
        np.reciprocal(self._total, out=self._certainty)


def _wanted_library(is_compiled: bool | None) -> CDLL | None:
    if is_compiled is False:
        return None
    library = compiled_library()
    if library is None and is_compiled:
        raise BackendError(
            "the compiled tail was asked for, but the installation did not build it; install a C compiler and "
            "install iapc again, or take is_compiled=None to go on with numpy"
        )
    if library is None:
        _log_numpy()
    return library


@cache
def _log_numpy() -> None:
    logging.getLogger(__name__).warning(
        "the compiled tail was not built: numpy computes the same labels, but slower; install a C compiler and "
        "install iapc again"
    )
