"""Paints solids far to near into one canvas of polygon numbers, from which every per-pixel quantity is looked up.

Image, labels and depth come from the same numbers and so agree to the pixel. The inverse depth of a plane is affine
in the image, which gives each pixel its exact depth from three numbers per polygon.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.streets.camera import NEAR_M, Camera
from training.streets.classes import SKY
from training.streets.shapes import Solid

__all__ = ["FAR_M", "Raster", "rasterise"]

FAR_M = 1000.0
# Polygons below this height are ground, whose textures lie flat.
_GROUND_M = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """What each of the (H, W) pixels shows; polygon number 0 is the sky.

    `colours` (P + 1, 3), `textures` (P + 1,), `emissions` (P + 1,) and `is_ground` (P + 1,) are indexed by `numbers`;
    `depth_m` is per pixel.
    """

    camera: Camera
    numbers: NDArray[np.intp]
    labels: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    colours: NDArray[np.float32]
    textures: NDArray[np.int64]
    emissions: NDArray[np.float32]
    is_ground: NDArray[np.bool_]


def rasterise(solids: Sequence[Solid], camera: Camera) -> Raster:
    """Paint the solids from far to near by `order_m`; equal ones in the order given."""
    solids = sorted(solids, key=lambda solid: -solid.order_m)
    points = np.concatenate([solid.vertices for solid in solids])
    sizes = np.concatenate([solid.shape.sizes for solid in solids])
    one_sided = np.concatenate([solid.shape.one_sided for solid in solids])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pixels, depth = camera.project(points)
    visible = _visible(points, pixels, starts, sizes, one_sided, camera)
    numbers = _paint(pixels, starts, sizes, visible, camera)
    labels = np.concatenate([[SKY], *(solid.shape.labels for solid in solids)]).astype(np.uint8)
    return Raster(
        camera=camera,
        numbers=numbers,
        labels=labels.take(numbers),
        depth_m=_pixel_depth(numbers, _depth_planes(pixels, 1 / depth, starts, sizes)),
        colours=np.concatenate([np.zeros((1, 3), np.float32), *(solid.colours for solid in solids)]),
        textures=np.concatenate([[0], *(solid.shape.textures for solid in solids)]),
        emissions=np.concatenate([np.zeros(1, np.float32), *(solid.shape.emissions for solid in solids)]),
        is_ground=np.concatenate([[False], np.maximum.reduceat(points[:, 1], starts) < _GROUND_M]),
    )


def _visible(
    points: NDArray[np.float64],
    pixels: NDArray[np.float64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    one_sided: NDArray[np.bool_],
    camera: Camera,
) -> NDArray[np.intp]:
    low = np.minimum.reduceat(pixels, starts)
    high = np.maximum.reduceat(pixels, starts)
    inside = np.all((high >= 0) & (low < (camera.width, camera.height)), axis=1)
    inside &= np.maximum.reduceat(points[:, 2], starts) > NEAR_M
    following = np.arange(1, len(pixels) + 1)
    following[starts + sizes - 1] = starts
    ends = pixels[following]
    doubled_area = np.add.reduceat(pixels[:, 0] * ends[:, 1] - ends[:, 0] * pixels[:, 1], starts)
    # What covers less than half a pixel would be painted as a whole one.
    inside &= np.abs(doubled_area) > 1.0
    # Rows count downwards, so a face listed bottom left, bottom right, ... has a negative area from outside.
    inside &= ~one_sided | (doubled_area < 0)
    return np.flatnonzero(inside)


def _paint(
    pixels: NDArray[np.float64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    visible: NDArray[np.intp],
    camera: Camera,
) -> NDArray[np.intp]:
    canvas = Image.new("I", (camera.width, camera.height), 0)
    polygon = ImageDraw.Draw(canvas).polygon
    # PIL fills up to and including the rounded corner; half a pixel less keeps sizes true.
    coordinates = (pixels - 0.5).ravel().tolist()
    firsts, lasts = (2 * starts[visible]).tolist(), (2 * (starts + sizes)[visible]).tolist()
    for number, first, last in zip((visible + 1).tolist(), firsts, lasts, strict=True):
        polygon(coordinates[first:last], fill=number)
    return np.asarray(canvas).astype(np.intp)


def _depth_planes(
    pixels: NDArray[np.float64], inverse: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(P + 1, 5): inverse depth = a * column + b * row + c, and its least and greatest value in the polygon."""
    corners = [starts, starts + sizes // 3, starts + 2 * sizes // 3]
    p, q, r = (pixels[corner] for corner in corners)
    d, e, f = (inverse[corner] for corner in corners)
    (qu, qv), (ru, rv) = (q - p).T, (r - p).T
    area = qu * rv - qv * ru
    is_flat = np.abs(area) < 1e-3
    area[is_flat] = 1.0
    a = np.where(is_flat, 0.0, ((e - d) * rv - (f - d) * qv) / area)
    b = np.where(is_flat, 0.0, ((f - d) * qu - (e - d) * ru) / area)
    c = d - a * p[:, 0] - b * p[:, 1]
    low, high = np.minimum.reduceat(inverse, starts), np.maximum.reduceat(inverse, starts)
    planes = np.stack([a, b, c, low, high], axis=1)
    return np.concatenate([[(0, 0, 1 / FAR_M, 1 / FAR_M, 1 / FAR_M)], planes]).astype(np.float32)


def _pixel_depth(numbers: NDArray[np.intp], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = numbers.shape
    a, b, c, low, high = (planes[:, column].take(numbers) for column in range(5))
    columns = np.arange(width, dtype=np.float32) + np.float32(0.5)
    rows = (np.arange(height, dtype=np.float32) + np.float32(0.5))[:, None]
    inverse = np.clip(a * columns + b * rows + c, low, high)
    return np.reciprocal(inverse, dtype=np.float32)
