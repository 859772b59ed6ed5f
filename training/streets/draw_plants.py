"""Trees, bushes and hedges: clusters of ragged discs, dark below and light above."""

from functools import cache

import numpy as np

from training.streets.classes import VEGETATION
from training.streets.shapes import Shape, ShapeBuilder
from training.streets.textures import BARE, FOLIAGE

__all__ = ["NUM_PLANT_FORMS", "bush", "conifer", "hedge", "tree"]

NUM_PLANT_FORMS = 8
BARK, LEAVES = range(2)


@cache
def tree(form: int) -> Shape:
    """A broad-leaved tree of about 8 m."""
    draws = np.random.default_rng(200 + form)
    shape = ShapeBuilder(VEGETATION, BARE)
    clear, spread = draws.uniform(1.9, 3.0), draws.uniform(1.5, 2.4)
    lean = draws.uniform(-0.2, 0.2)
    shape.flat([(-0.2, 0), (0.2, 0), (lean + 0.12, clear + 1.5), (lean - 0.12, clear + 1.5)], BARK)
    for side in (-1, 1):
        shape.stroke((lean, clear), (lean + side * spread * 0.7, clear + 1.6), 0.14, BARK, 0.8)
    shape.texture = FOLIAGE
    blobs = []
    for _ in range(11):
        up = draws.uniform(0, 1)
        reach = spread * np.sqrt(max(0.15, 1 - (2 * up - 0.9) ** 2)) * 0.75
        blobs.append((draws.uniform(-reach, reach), clear + 0.9 + 4.0 * up, draws.uniform(0.75, 1.25)))
    for x, y, radius in sorted(blobs, key=lambda blob: blob[1]):
        shade = 0.62 + 0.5 * (y - clear) / 5 - 0.06 * x
        _blob(shape, draws, (lean + x, y), radius, shade)
    return shape.build()


@cache
def conifer(form: int) -> Shape:
    """A conifer of about 9 m: ragged tiers on a short trunk."""
    draws = np.random.default_rng(300 + form)
    shape = ShapeBuilder(VEGETATION, BARE)
    shape.flat([(-0.18, 0), (0.18, 0), (0.14, 1.6), (-0.14, 1.6)], BARK)
    shape.texture = FOLIAGE
    for tier in range(8):
        low, width = 0.9 + 1.0 * tier, 1.7 - 0.19 * tier
        fringe = [(width * (k / 5 - 1), low + (0.3 if k % 2 else 0.0) + draws.uniform(-0.15, 0.15)) for k in range(11)]
        shape.flat([*fringe, (0.25, low + 1.7), (-0.25, low + 1.7)], LEAVES, 0.58 + 0.07 * tier)
    return shape.build()


@cache
def bush(form: int) -> Shape:
    """A bush of about 1.4 m."""
    draws = np.random.default_rng(400 + form)
    shape = ShapeBuilder(VEGETATION, FOLIAGE)
    for blob in range(5):
        x, y = draws.uniform(-0.9, 0.9), 0.35 + 0.14 * blob
        _blob(shape, draws, (x, y), draws.uniform(0.4, 0.6), 0.65 + 0.09 * blob)
    shape.flat([(-1.2, 0), (1.2, 0), (0.9, 0.5), (-0.9, 0.5)], LEAVES, 0.6)
    return shape.build()


@cache
def hedge(form: int) -> Shape:
    """One metre of hedge along z, 1 m high; stretch it to length and height. It faces both ways."""
    draws = np.random.default_rng(500 + form)
    shape = ShapeBuilder(VEGETATION, FOLIAGE)
    top = [(z, draws.uniform(0.93, 1.07)) for z in np.linspace(1, 0, 26)]
    shape.flat([(0, 0), (1, 0), *top], LEAVES, across="z")
    shape.flat([(0, 0), (1, 0), (1, 0.3), (0, 0.3)], LEAVES, 0.75, across="z")
    shape.polygon(((-0.5, 0, 0), (0.5, 0, 0), (0.48, 1, 0), (-0.48, 1, 0)), LEAVES, 0.8)
    return shape.build()


def _blob(
    shape: ShapeBuilder, draws: np.random.Generator, centre: tuple[float, float], radius: float, shade: float
) -> None:
    angles = np.linspace(0, 2 * np.pi, 19)[:-1]
    radii = radius * draws.uniform(0.72, 1.15, len(angles))
    points = [(centre[0] + r * np.cos(a), centre[1] + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    shape.flat(points, LEAVES, shade)
