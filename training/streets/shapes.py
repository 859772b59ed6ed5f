"""Shapes made of labelled polygons in local metres, and their placement along the street.

Axes: x right, y up, z ahead. A face lists its corners as seen from outside: bottom left, bottom right,
top right, top left. A polygon names a role; the placed solid gives each role its colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Point", "Quad", "Shape", "ShapeBuilder", "Solid", "place"]

Point = tuple[float, float, float]
Quad = tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """P polygons over V vertices, painted in order; arrays of length P except `vertices` (V, 3).

    `sizes` counts the vertices of each polygon; `shades` scales the role's colour; `textures` are layers of the
    texture atlas; `emissions` is light given off when lamps are on; `one_sided` polygons vanish from behind.
    """

    vertices: NDArray[np.float64]
    sizes: NDArray[np.int64]
    labels: NDArray[np.uint8]
    roles: NDArray[np.int64]
    shades: NDArray[np.float32]
    textures: NDArray[np.int64]
    emissions: NDArray[np.float32]
    one_sided: NDArray[np.bool_]


class Solid(NamedTuple):
    """A shape that stands in the street: vertices along the street, and one RGB colour (0-1) per polygon."""

    order_m: float
    vertices: NDArray[np.float64]
    shape: Shape
    colours: NDArray[np.float32]


class ShapeBuilder:
    """Collects the polygons of a shape; `label` and `texture` hold for what follows until they are set anew."""

    def __init__(self, label: int, texture: int = 0) -> None:
        """Start an empty shape."""
        self.label = label
        self.texture = texture
        self._vertices: list[Point] = []
        self._rows: list[tuple[int, int, int, float, int, float, bool]] = []

    def polygon(
        self, points: Sequence[Point], role: int, shade: float = 1.0, *, emission: float = 0.0, one_sided: bool = False
    ) -> None:
        """Add one polygon."""
        self._vertices.extend(points)
        self._rows.append((len(points), self.label, role, shade, self.texture, emission, one_sided))

    def frustum(self, low: Sequence[float], high: Sequence[float], role: int, shade: float = 1.0) -> dict[str, Quad]:
        """Add the visible faces of a box that may taper.

        Args:
            low: half width, height above ground, rear end, front end of its lower rectangle.
            high: the same of its upper rectangle.
            role: palette row of all faces.
            shade: scales the shading of all faces.

        Returns:
            Its faces by name (rear, front, left, right), for `detail`.
        """
        (w, y, a, b), (v, t, c, d) = low, high
        faces: dict[str, Quad] = {
            "rear": ((-w, y, a), (w, y, a), (v, t, c), (-v, t, c)),
            "front": ((w, y, b), (-w, y, b), (-v, t, d), (v, t, d)),
            "left": ((-w, y, b), (-w, y, a), (-v, t, c), (-v, t, d)),
            "right": ((w, y, a), (w, y, b), (v, t, d), (v, t, c)),
        }
        self.polygon(((-v, t, c), (v, t, c), (v, t, d), (-v, t, d)), role, 1.12 * shade, one_sided=True)
        for name, face in faces.items():
            self.polygon(face, role, shade * (0.78 if name in ("left", "right") else 0.95), one_sided=True)
        return faces

    def detail(self, face: Quad, box: Sequence[float], role: int, shade: float = 1.0, *, emission: float = 0.0) -> None:
        """Add a rectangle on a face, `box` being left, bottom, right, top as shares of the face."""
        left, bottom, right, top = box
        corners = ((left, bottom), (right, bottom), (right, top), (left, top))
        points = [_on_face(face, u, v) for u, v in corners]
        self.polygon(points, role, shade, emission=emission, one_sided=True)

    def disc(
        self,
        centre: Point,
        radius: float,
        role: int,
        shade: float = 1.0,
        *,
        across: str = "x",
        stretch: float = 1.0,
        num_corners: int = 10,
        emission: float = 0.0,
        one_sided: int = 0,
    ) -> None:
        """Add a disc that faces along z (`across="x"`) or along x (`across="z"`).

        `stretch` scales its height. A `one_sided` of 1 or -1 is seen only from the positive or negative end of the
        axis it faces along.
        """
        turn = -1 if one_sided < 0 else 1
        points = []
        for corner in range(num_corners):
            angle = turn * 2 * math.pi * corner / num_corners
            points.append(_offset(centre, across, radius * math.cos(angle), stretch * radius * math.sin(angle)))
        self.polygon(points, role, shade, emission=emission, one_sided=one_sided != 0)

    def stroke(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        thickness: float,
        role: int,
        shade: float = 1.0,
        *,
        across: str = "x",
        at: float = 0.0,
    ) -> None:
        """Add a thick line between two points (across, height) in the plane z = `at`, or x = `at` along z."""
        run, rise = end[0] - start[0], end[1] - start[1]
        length = math.hypot(run, rise)
        side = (-rise / length * thickness / 2, run / length * thickness / 2)
        origin = (0.0, 0.0, at) if across == "x" else (at, 0.0, 0.0)
        corners = [(start, 1), (end, 1), (end, -1), (start, -1)]
        points = [_offset(origin, across, p[0] + sign * side[0], p[1] + sign * side[1]) for p, sign in corners]
        self.polygon(points, role, shade)

    def flat(self, points: Sequence[tuple[float, float]], role: int, shade: float = 1.0, *, across: str = "x") -> None:
        """Add an upright polygon through points (across, height) in the plane z = 0, or x = 0 along z."""
        self.polygon([_offset((0.0, 0.0, 0.0), across, *point) for point in points], role, shade)

    def build(self) -> Shape:
        """The shape so far."""
        sizes, labels, roles, shades, textures, emissions, one_sided = zip(*self._rows, strict=True)
        return Shape(
            vertices=np.array(self._vertices, dtype=np.float64),
            sizes=np.array(sizes, dtype=np.int64),
            labels=np.array(labels, dtype=np.uint8),
            roles=np.array(roles, dtype=np.int64),
            shades=np.array(shades, dtype=np.float32),
            textures=np.array(textures, dtype=np.int64),
            emissions=np.array(emissions, dtype=np.float32),
            one_sided=np.array(one_sided, dtype=np.bool_),
        )


def place(
    shape: Shape,
    palette: Sequence[Sequence[float]],
    at: tuple[float, float],
    *,
    yaw: float = 0.0,
    scale: Sequence[float] = (1.0, 1.0, 1.0),
    order_m: float | None = None,
) -> Solid:
    """Stand a shape in the street.

    Args:
        shape: what to place.
        palette: RGB (0-1) of each role.
        at: right of the camera and ahead along the street, metres.
        yaw: turn to the right, radians; pi faces the camera.
        scale: of its width, height and length.
        order_m: depth at which it is painted, far to near; its nearest vertex where not given.
    """
    sine, cosine = math.sin(yaw), math.cos(yaw)
    wide, high, long = scale
    turned = np.array([(wide * cosine, 0, -wide * sine), (0, high, 0), (long * sine, 0, long * cosine)])
    vertices = shape.vertices @ turned + (at[0], 0, at[1])
    colours = np.array(palette, dtype=np.float32)[shape.roles] * shape.shades[:, None]
    return Solid(float(vertices[:, 2].min()) if order_m is None else order_m, vertices, shape, colours)


def _offset(origin: Point, across: str, sideways: float, up: float) -> Point:
    x, y, z = origin
    return (x + sideways, y + up, z) if across == "x" else (x, y + up, z + sideways)


def _on_face(face: Quad, u: float, v: float) -> Point:
    bottom_left, bottom_right, top_right, top_left = face
    weights = ((1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v)
    corners = (bottom_left, bottom_right, top_right, top_left)
    x, y, z = (sum(w * corner[axis] for w, corner in zip(weights, corners, strict=True)) for axis in range(3))
    return x, y, z
