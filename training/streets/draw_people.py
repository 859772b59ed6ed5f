"""Persons, riders and two-wheelers: upright cut-outs, jointed at the limbs.

Two-wheelers and riders are a side view and a rear view that cross, so that every heading shows a fitting outline.
"""

from functools import cache

import numpy as np

from training.streets.classes import BICYCLE, MOTORCYCLE, PERSON, RIDER
from training.streets.shapes import Shape, ShapeBuilder
from training.streets.textures import CLOTH

__all__ = ["NUM_POSES", "bicycle", "motorcycle", "person", "person_palette", "rider"]

NUM_POSES = 16
SKIN, TOP, TROUSERS, SHOES, HAIR, BAG, FRAME, TYRE, SPOKES, SEAT, TAIL_LIGHT, HEAD_LIGHT = range(12)

Colour = tuple[float, float, float]


def person_palette(
    skin: Colour, top: Colour, trousers: Colour, hair: Colour, frame: Colour
) -> list[tuple[float, float, float]]:
    """Colour of each role of persons, riders and their two-wheelers."""
    return [
        *(skin, top, trousers, (0.12, 0.1, 0.1), hair, (trousers[2], top[0], top[1]), frame, (0.07, 0.07, 0.08)),
        *((0.42, 0.43, 0.44), (0.12, 0.12, 0.13), (0.75, 0.06, 0.05), (0.95, 0.93, 0.8)),
    ]


@cache
def person(pose: int) -> Shape:
    """A person of 1.75 m in one of `NUM_POSES` poses: standing or walking, in coat, skirt or trousers."""
    draws = np.random.default_rng(100 + pose)
    shape = ShapeBuilder(PERSON, CLOTH)
    stride, swing = draws.uniform(0.02, 0.34), draws.uniform(0.05, 0.3)
    girth, side = draws.uniform(0.85, 1.2), 1 if pose % 2 else -1
    _legs(shape, stride, girth)
    shape.stroke((-0.2 * girth, 1.38), (-0.24 * girth - swing * 0.5, 0.86), 0.12, TOP, 0.7)
    if pose % 4 == 0:
        shape.flat([(-0.21, 0.55), (0.21, 0.55), (0.17, 1.0), (-0.17, 1.0)], TROUSERS, 1.15)
    hem = 0.6 if pose % 5 == 0 else 0.86
    torso = [(-0.2, hem), (0.2, hem), (0.19, 1.1), (0.25, 1.4), (0.12, 1.49), (-0.12, 1.49), (-0.25, 1.4), (-0.19, 1.1)]
    shape.flat([(girth * x, y) for x, y in torso], TOP)
    shape.flat([(girth * x, y) for x, y in (torso[1], torso[2], torso[3], (0.1, 1.4), (0.08, hem))], TOP, 0.8)
    shape.stroke((0.21 * girth, 1.4), (0.25 * girth + swing * 0.4, 0.84), 0.12, TOP, 1.1)
    shape.disc((0.26 * girth + swing * 0.4, 0.82, 0), 0.055, SKIN, num_corners=6)
    _head(shape, 0.0, 1.62, "x")
    if pose % 3 == 0:
        shape.flat([(side * 0.2, 0.7), (side * 0.46, 0.7), (side * 0.44, 1.02), (side * 0.22, 1.02)], BAG)
    return shape.build()


@cache
def bicycle() -> Shape:
    """A bicycle of 1.75 m, rear wheel at low z."""
    shape = ShapeBuilder(BICYCLE)
    for z in (0.53, -0.53):
        shape.stroke((0, 0), (0, 0.68), 0.07, TYRE, at=z)
    for z in (-0.53, 0.53):
        shape.disc((0, 0.34, z), 0.35, TYRE, across="z", num_corners=14)
        shape.disc((0, 0.34, z), 0.28, SPOKES, across="z", num_corners=12)
        shape.disc((0, 0.34, z), 0.05, TYRE, across="z", num_corners=6)
    tubes = (
        *(((-0.53, 0.34), (-0.1, 0.3)), ((-0.1, 0.3), (-0.2, 0.85)), ((-0.53, 0.34), (-0.17, 0.75))),
        *(((-0.17, 0.78), (0.38, 0.8)), ((-0.1, 0.3), (0.38, 0.75)), ((0.53, 0.34), (0.36, 0.98))),
    )
    for start, end in tubes:
        shape.stroke(start, end, 0.055, FRAME, across="z")
    shape.stroke((-0.32, 0.9), (-0.08, 0.9), 0.08, SEAT, across="z")
    shape.stroke((0.2, 1.02), (0.4, 1.0), 0.06, SEAT, across="z")
    shape.stroke((-0.28, 1.02), (0.28, 1.02), 0.05, SEAT, at=0.36)
    shape.flat([(-0.07, 0.82), (0.07, 0.82), (0.09, 0.93), (-0.09, 0.93)], SEAT)
    shape.polygon(
        ((-0.04, 0.6, -0.9), (0.04, 0.6, -0.9), (0.04, 0.68, -0.9), (-0.04, 0.68, -0.9)), TAIL_LIGHT, emission=1
    )
    return shape.build()


@cache
def motorcycle(is_scooter: bool) -> Shape:
    """A motorcycle of 2 m, or a scooter with a leg shield."""
    shape = ShapeBuilder(MOTORCYCLE)
    radius = 0.26 if is_scooter else 0.34
    for z in (0.7, -0.65):
        shape.stroke((0, 0), (0, 2 * radius), 0.17, TYRE, at=z)
        shape.disc((0, radius, z), radius, TYRE, across="z", num_corners=12)
        shape.disc((0, radius, z), 0.55 * radius, SPOKES, across="z", num_corners=8)
    shape.flat([(-0.5, 0.3), (0.4, 0.28), (0.45, 0.55), (-0.4, 0.6)], SPOKES, 0.6, across="z")
    shape.flat([(-0.15, 0.3), (0.15, 0.3), (0.2, 0.7), (0.16, 0.84), (-0.16, 0.84), (-0.2, 0.7)], FRAME, 0.85)
    if is_scooter:
        outline = [
            (-0.85, 0.42),
            (-0.1, 0.3),
            (0.35, 0.3),
            (0.5, 0.95),
            (0.42, 1.0),
            (0.25, 0.42),
            (-0.05, 0.7),
            (-0.8, 0.78),
        ]
    else:
        outline = [
            (-0.95, 0.78),
            (-0.5, 0.58),
            (0.3, 0.5),
            (0.62, 0.7),
            (0.5, 1.0),
            (0.1, 0.96),
            (-0.2, 0.78),
            (-0.9, 0.88),
        ]
    shape.flat(outline, FRAME, across="z")
    shape.stroke((-0.75, 0.84), (-0.1, 0.8), 0.12, SEAT, across="z")
    shape.stroke((0.7, radius), (0.42, 1.0), 0.09, SEAT, across="z")
    shape.stroke((-0.38, 1.05), (0.38, 1.05), 0.06, SEAT, at=0.4)
    for x in (-0.4, 0.4):
        shape.disc((x, 1.15, 0.42), 0.07, SEAT, num_corners=6)
    shape.polygon(
        ((-0.1, 0.72, -0.9), (0.1, 0.72, -0.9), (0.1, 0.84, -0.9), (-0.1, 0.84, -0.9)),
        TAIL_LIGHT,
        emission=1.2,
        one_sided=True,
    )
    lamp = ((0.12, 0.82, 0.72), (-0.12, 0.82, 0.72), (-0.12, 1.0, 0.72), (0.12, 1.0, 0.72))
    shape.polygon(lamp, HEAD_LIGHT, emission=2, one_sided=True)
    return shape.build()


@cache
def rider(is_upright: bool, has_helmet: bool) -> Shape:
    """A person who sits on a two-wheeler; place it exactly where the two-wheeler stands."""
    shape = ShapeBuilder(RIDER, CLOTH)
    lean = 0.1 if is_upright else 0.3
    shoulder = (-0.2 + lean, 1.46)
    shape.stroke((-0.2, 0.92), (0.12, 0.62), 0.17, TROUSERS, 0.8, across="z")
    shape.stroke((0.12, 0.62), (0.0, 0.2), 0.13, TROUSERS, 0.8, across="z")
    for x in (-0.16, 0.16):
        shape.stroke((x * 0.7, 0.95), (x * 1.4, 0.3), 0.15, TROUSERS, 0.9)
        shape.stroke((x * 1.4, 0.22), (x * 1.5, 0.32), 0.14, SHOES)
        shape.stroke((x * 1.4, 1.4), (x * 2.1, 1.04), 0.12, TOP, 0.85)
    back = [(-0.36, 0.88), (-0.04, 0.9), (shoulder[0] + 0.14, 1.4), (shoulder[0], 1.52), (shoulder[0] - 0.2, 1.38)]
    shape.flat(back, TOP, 0.9, across="z")
    shape.flat([(-0.2, 0.86), (0.2, 0.86), (0.25, 1.38), (0.1, 1.5), (-0.1, 1.5), (-0.25, 1.38)], TOP)
    shape.stroke(shoulder, (0.32, 1.04), 0.11, TOP, 1.1, across="z")
    shape.stroke((-0.2, 0.92), (0.2, 0.74), 0.17, TROUSERS, across="z")
    shape.stroke((0.2, 0.74), (0.08, 0.26), 0.13, TROUSERS, across="z")
    _head(shape, shoulder[0] + 0.1, 1.66, "z", HAIR if not has_helmet else BAG)
    _head(shape, 0.0, 1.66, "x", HAIR if not has_helmet else BAG)
    return shape.build()


def _legs(shape: ShapeBuilder, stride: float, girth: float) -> None:
    for side, shade in ((-1, 0.75), (1, 1.0)):
        hip, foot = side * 0.09 * girth, side * (0.07 + stride)
        knee = 0.55 * (hip + foot) + 0.04
        shape.stroke((hip, 0.92), (knee, 0.46), 0.17 * girth, TROUSERS, shade)
        shape.stroke((knee, 0.5), (foot, 0.06), 0.13 * girth, TROUSERS, shade)
        shape.stroke((foot - 0.06, 0.04), (foot + 0.12, 0.04), 0.08, SHOES)


def _head(shape: ShapeBuilder, across_m: float, height_m: float, across: str, cap: int = HAIR) -> None:
    x, z = (across_m, 0.0) if across == "x" else (0.0, across_m)
    shape.stroke((across_m, height_m - 0.18), (across_m, height_m - 0.02), 0.1, SKIN, 0.8, across=across)
    shape.disc((x, height_m + 0.015, z), 0.115, cap, across=across, stretch=1.2)
    shape.disc((x, height_m - 0.03, z), 0.09, SKIN, across=across, stretch=1.15, num_corners=8)
