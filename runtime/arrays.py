"""Arrays that are lent and must not be written."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_only"]

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A view of an array that cannot be written, and shows what the owner writes."""
    view = array.view()
    view.flags.writeable = False
    return view
