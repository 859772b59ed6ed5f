"""What a frame must be: uint8 RGB of the bundle's size."""

import numpy as np

from runtime.errors import FrameError

__all__ = ["check_frame", "check_shape"]


def check_frame(frame: object, frame_hw: tuple[int, int], name: str = "the frame") -> None:
    """Refuse whatever is not a frame of the bundle's size.

    Args:
        frame: should be (H, W, 3) uint8 RGB.
        frame_hw: H and W.
        name: what the message calls it.

    Raises:
        FrameError: it is no array, has another type or another shape.
    """
    expected = _expected(frame_hw)
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"{name} is a {type(frame).__name__}; {expected}; convert it with numpy.asarray")
    if frame.dtype != np.uint8:
        if np.issubdtype(frame.dtype, np.floating) and np.isnan(frame).any():
            raise FrameError(f"{name} is {frame.dtype} and holds NaN; {expected}; find where the NaN comes from")
        raise FrameError(
            f"{name} is {frame.dtype}; {expected}; scale it to 0..255 and convert it with astype(numpy.uint8)"
        )
    check_shape(frame.shape, frame_hw, name)


def check_shape(shape: tuple[int, ...], frame_hw: tuple[int, int], name: str) -> None:
    """Refuse a frame of another size, by its shape (H, W, 3) alone.

    Raises:
        FrameError: H and W are others than `frame_hw`.
    """
    if shape != (*frame_hw, 3):
        raise FrameError(
            f"{name} has shape {shape}; {_expected(frame_hw)}; the bundle's frame size is fixed at "
            "export: set the frame size in the export section of the run file and export again, or give frames of "
            "this size"
        )


def _expected(frame_hw: tuple[int, int]) -> str:
    return f"expected uint8 RGB 0..255 of shape {(*frame_hw, 3)}"
