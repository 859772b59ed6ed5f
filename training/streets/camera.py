"""Pinhole camera in a car, and the bend of the street in front of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAR_M", "Camera", "View"]

# Nearer vertices are moved here; what is nearer lies below the lower image edge.
NEAR_M = 1.2
_BEND_END_M = 110.0


@dataclass(frozen=True, slots=True)
class View:
    """How the camera looks at the street, free of any image size.

    `pitch` moves the horizon down by this share of the image width; `yaw` is in radians; `curvature` is the
    street's, in 1/m.
    """

    height_m: float
    pitch: float
    yaw: float
    curvature: float

    def bend_m(self, depth_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lateral shift of the street at these depths: a parabola that goes on straight from its end."""
        curved = np.minimum(depth_m, _BEND_END_M)
        straight = depth_m - curved
        return self.yaw * depth_m + self.curvature * curved * (0.5 * curved + straight)


@dataclass(frozen=True, slots=True)
class Camera:
    """A view projected to an image of height x width pixels with square pixels.

    A 2:1 image spans 58 degrees; other aspect ratios show that view whole and more around it.
    """

    view: View
    height: int
    width: int

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return 0.9 * min(self.width, 2 * self.height)

    @property
    def centre_px(self) -> float:
        """Column of the optical axis."""
        return 0.5 * self.width

    @property
    def horizon_px(self) -> float:
        """Row of the horizon."""
        return 0.5 * self.height + (self.view.pitch - 0.03) * min(self.width, 2 * self.height)

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project points given along the street.

        Args:
            points: (N, 3) metres: right of the camera, above the ground, ahead along the street.

        Returns:
            (N, 2) columns and rows in pixels, and (N,) depths in metres, at least `NEAR_M`.
        """
        depth = np.maximum(points[:, 2], NEAR_M)
        scale = self.focal_px / depth
        columns = self.centre_px + scale * (points[:, 0] + self.view.bend_m(depth))
        rows = self.horizon_px - scale * (points[:, 1] - self.view.height_m)
        return np.stack([columns, rows], axis=1), depth
