"""Poles, street lamps, traffic lights, traffic signs, walls and fences."""

from functools import cache

from training.streets.classes import FENCE, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, WALL
from training.streets.shapes import Shape, ShapeBuilder
from training.streets.textures import BARE, MASONRY

__all__ = ["NUM_SIGNS", "fence", "lamp", "post", "roadside_palette", "sign", "traffic_light", "wall"]

METAL, LAMP, HOUSING, RED, AMBER, GREEN, WHITE, BLUE, YELLOW, PAINT = range(10)
NUM_SIGNS = 8


def roadside_palette(
    metal: tuple[float, float, float], paint: tuple[float, float, float], housing: tuple[float, float, float]
) -> list[tuple[float, float, float]]:
    """Colour of each roadside role."""
    return [
        *(metal, (0.95, 0.82, 0.55), housing, (0.85, 0.07, 0.06), (0.95, 0.6, 0.08), (0.1, 0.75, 0.4)),
        *((0.92, 0.92, 0.9), (0.08, 0.22, 0.66), (0.95, 0.78, 0.1), paint),
    ]


@cache
def post() -> Shape:
    """A bare post of 1 m; stretch it to size."""
    shape = ShapeBuilder(POLE)
    _pole(shape, 0.07, 1.0)
    return shape.build()


@cache
def lamp(has_arm: bool) -> Shape:
    """A street lamp: 7 m with an arm over the road to the left, or 4.5 m with a round head."""
    shape = ShapeBuilder(POLE)
    if has_arm:
        _pole(shape, 0.09, 7.0)
        shape.stroke((0, 6.95), (-1.9, 7.25), 0.09, METAL)
        shape.flat([(-2.4, 7.2), (-1.6, 7.18), (-1.6, 7.34), (-2.4, 7.32)], METAL, 0.8)
        points = ((-2.35, 7.12, 0), (-1.65, 7.12, 0), (-1.65, 7.2, 0), (-2.35, 7.2, 0))
        shape.polygon(points, LAMP, emission=4)
    else:
        _pole(shape, 0.08, 4.5)
        shape.disc((0, 4.6, 0), 0.26, LAMP, emission=3)
        shape.flat([(-0.26, 4.7), (0.26, 4.7), (0.1, 4.92), (-0.1, 4.92)], METAL, 0.6)
    return shape.build()


@cache
def traffic_light(lit: int, has_arm: bool) -> Shape:
    """A traffic light with one of its three lamps lit (0 red, 1 amber, 2 green); an arm carries one more."""
    shape = ShapeBuilder(POLE)
    _pole(shape, 0.08, 5.6 if has_arm else 2.9)
    heads = [(0.0, 2.4)]
    if has_arm:
        shape.stroke((0, 5.5), (-3.6, 5.6), 0.12, METAL)
        heads.append((-3.3, 4.9))
    for x, y in heads:
        shape.label = TRAFFIC_LIGHT
        shape.flat([(x - 0.2, y), (x + 0.2, y), (x + 0.2, y + 1.05), (x - 0.2, y + 1.05)], HOUSING)
        for place, role in ((2, RED), (1, AMBER), (0, GREEN)):
            on = place == 2 - lit
            centre = (x, y + 0.2 + 0.33 * place, 0.0)
            shape.disc(centre, 0.13, role, 1.0 if on else 0.25, num_corners=8, emission=2.5 if on else 0)
    return shape.build()


@cache
def sign(kind: int) -> Shape:
    """A traffic sign on a post: prohibition, warning, priority, parking, direction, speed limit, stop, no entry."""
    shape = ShapeBuilder(POLE)
    _pole(shape, 0.04, 2.3)
    shape.label = TRAFFIC_SIGN
    y, r = 2.45, 0.38
    if kind in (0, 5):
        shape.disc((0, y, 0), r, RED, num_corners=14)
        shape.disc((0, y, 0), r * 0.72, WHITE, num_corners=12)
        shape.flat([(-0.14, y - 0.1), (0.14, y - 0.1), (0.14, y + 0.1), (-0.14, y + 0.1)], HOUSING)
    elif kind == 1:
        shape.flat([(-0.45, y - 0.35), (0.45, y - 0.35), (0, y + 0.42)], RED)
        shape.flat([(-0.27, y - 0.25), (0.27, y - 0.25), (0, y + 0.22)], WHITE)
    elif kind == 2:
        shape.flat([(0, y - 0.45), (0.45, y), (0, y + 0.45), (-0.45, y)], WHITE)
        shape.flat([(0, y - 0.32), (0.32, y), (0, y + 0.32), (-0.32, y)], YELLOW)
    elif kind == 3:
        shape.flat([(-r, y - r), (r, y - r), (r, y + r), (-r, y + r)], BLUE)
        shape.flat([(-0.14, y - 0.26), (-0.04, y - 0.26), (-0.04, y + 0.26), (-0.14, y + 0.26)], WHITE)
        shape.disc((0.05, y + 0.12, 0), 0.13, WHITE)
    elif kind == 4:
        shape.flat([(-0.8, y - 0.3), (0.7, y - 0.3), (0.95, y), (0.7, y + 0.3), (-0.8, y + 0.3)], YELLOW)
        for line in (-0.12, 0.1):
            shape.stroke((-0.6, y + line), (0.5, y + line), 0.09, HOUSING)
    elif kind == 6:
        shape.disc((0, y, 0), 0.42, WHITE, num_corners=8)
        shape.disc((0, y, 0), 0.38, RED, num_corners=8)
        shape.stroke((-0.26, y), (0.26, y), 0.16, WHITE)
    else:
        shape.disc((0, y, 0), r, RED, num_corners=14)
        shape.stroke((-0.27, y), (0.27, y), 0.15, WHITE)
    return shape.build()


@cache
def wall() -> Shape:
    """One metre of masonry wall along z, 1 m high, with a coping; stretch it to length and height."""
    shape = ShapeBuilder(WALL, MASONRY)
    shape.frustum((0.5, 0, 0, 1), (0.5, 1, 0, 1), PAINT)
    shape.texture = BARE
    shape.frustum((0.7, 0.94, 0, 1), (0.7, 1.02, 0, 1), PAINT, 0.75)
    return shape.build()


@cache
def fence(num_pales: int, is_solid: bool) -> Shape:
    """One metre of fence along z, 1 m high: pales and rails, before boards where it is solid."""
    shape = ShapeBuilder(FENCE)
    if is_solid:
        shape.flat([(0, 0.04), (1, 0.04), (1, 0.92), (0, 0.92)], PAINT, 0.72, across="z")
        shape.polygon(((-0.5, 0, 0), (0.5, 0, 0), (0.5, 0.9, 0), (-0.5, 0.9, 0)), PAINT, 0.6)
    for rail in (0.15, 0.55, 0.88):
        shape.flat([(0, rail), (1, rail), (1, rail + 0.06), (0, rail + 0.06)], PAINT, 0.85, across="z")
    half = 0.2 / num_pales
    for pale in range(num_pales):
        z = (pale + 0.5) / num_pales
        shape.flat([(z - half, 0), (z + half, 0), (z + half, 1), (z, 1.05), (z - half, 1)], PAINT, across="z")
    return shape.build()


def _pole(shape: ShapeBuilder, half: float, height: float) -> None:
    shape.flat([(-half, 0), (half, 0), (half * 0.8, height), (-half * 0.8, height)], METAL)
    shape.flat([(0, 0), (half, 0), (half * 0.8, height), (0, height)], METAL, 0.75)
