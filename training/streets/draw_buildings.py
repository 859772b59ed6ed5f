"""Buildings: a front along the street, a gable towards the camera, a roof, and rows of windows on both walls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.streets.classes import BUILDING
from training.streets.draws import Draws
from training.streets.shapes import Shape, Solid
from training.streets.styles import Colour, Style
from training.streets.textures import BARE, FACADE, MASONRY, Domain

__all__ = ["Plot", "building"]

FRONT, TRIM, ROOF, GLASS, LIT, DOOR, AWNING, SHADE = range(8)
_DETAIL_END_M = 48.0

Block = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32], int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Plot:
    """Where a building stands: its front at `x_m`, extending outwards (`sign`) and from `near_m` to `far_m`."""

    sign: int
    x_m: float
    near_m: float
    far_m: float
    depth_m: float = 10.0


@dataclass(frozen=True, slots=True)
class _Wall:
    """A wall seen as a rectangle: its lower left corner, the direction along it, its length and height."""

    corner: tuple[float, float, float]
    along: tuple[float, float]
    length_m: float
    height_m: float

    def quads(
        self, start: NDArray[np.float64], low: NDArray[np.float64], width: float, height: float
    ) -> NDArray[np.float64]:
        """(N, 4, 3) rectangles with lower left corners (start, low) on the wall."""
        run = start[:, None] + np.array([0.0, width, width, 0.0])
        rise = low[:, None] + np.array([0.0, 0.0, height, height])
        x, y, z = self.corner
        return np.stack([x + run * self.along[0], y + rise, z + run * self.along[1]], axis=2)


@dataclass(frozen=True, slots=True)
class _Look:
    storeys: int
    storey_m: float
    bay_m: float
    window_m: tuple[float, float]
    has_pitched_roof: bool
    has_frames: bool
    has_shop: bool
    has_balconies: bool
    texture: int
    lit_share: float

    @property
    def height_m(self) -> float:
        return self.storeys * self.storey_m + 0.8


def building(draws: Draws, generator: np.random.Generator, domain: Domain, style: Style, plot: Plot) -> Solid:
    """A building with the materials of a style; `generator` decides which windows are lit."""
    look = _sample_look(draws, domain, style)
    sign, x, near, far = plot.sign, plot.x_m, plot.near_m, plot.far_m
    front = _Wall((x, 0, far), (0, -1), far - near, look.height_m)
    gable = _Wall((min(x, x + sign * plot.depth_m), 0, near), (1, 0), plot.depth_m, look.height_m)
    blocks = _roof(plot, look)
    for wall, shade in ((gable, 0.74), (front, 1.0)):
        blocks.append(_block(wall.quads(np.zeros(1), np.zeros(1), wall.length_m, look.height_m), FRONT, shade, look.texture))
        blocks += _wall_details(wall, look, generator, shade, is_near=near < _DETAIL_END_M, is_front=wall is front)
    return _solid(blocks, _palette(draws, domain, style), far)


def _sample_look(draws: Draws, domain: Domain, style: Style) -> _Look:
    is_target = domain == "target"
    return _Look(
        storeys=draws.integer(*style.storeys),
        storey_m=draws.uniform(2.9, 3.5),
        bay_m=draws.uniform(2.2, 3.6),
        window_m=(draws.uniform(0.9, 1.5), draws.uniform(1.3, 1.9)),
        has_pitched_roof=draws.chance(0.45),
        has_frames=is_target or draws.chance(0.3),
        has_shop=draws.chance(style.shop),
        has_balconies=draws.chance(style.balcony),
        texture=MASONRY if draws.chance(style.brick) else FACADE,
        lit_share=draws.uniform(0.1, 0.45),
    )


def _palette(draws: Draws, domain: Domain, style: Style) -> NDArray[np.float32]:
    base = draws.pick(style.facades)
    tint = draws.uniform(0.85, 1.12)
    facade: Colour = (base[0] * tint, base[1] * tint * draws.uniform(0.96, 1.04), base[2] * tint)
    light = 0.9 if domain == "source" else 0.7
    trim = (light, light * 0.98, light * 0.93) if draws.chance(0.6) else tuple(0.6 * channel for channel in facade)
    glass = (0.24, 0.36, 0.48) if domain == "source" else (0.15, 0.17, 0.19)
    door = (draws.uniform(0.15, 0.5), draws.uniform(0.12, 0.3), draws.uniform(0.1, 0.3))
    shade = (0.2, 0.19, 0.19)
    rows = [facade, trim, draws.pick(style.roofs), glass, (0.98, 0.80, 0.48), door, draws.pick(style.paints), shade]
    return np.array(rows, dtype=np.float32)


def _roof(plot: Plot, look: _Look) -> list[Block]:
    sign, x, near, far = plot.sign, plot.x_m, plot.near_m, plot.far_m
    eave, edge = look.height_m, x - sign * 0.35
    ridge_x, outer = x + sign * plot.depth_m / 2, x + sign * plot.depth_m
    if not look.has_pitched_roof:
        return []
    top = eave + 3.2
    slope = [(edge, eave, far), (edge, eave, near - 0.3), (ridge_x, top, near - 0.3), (ridge_x, top, far)]
    end = [(x, eave, near), (outer, eave, near), (ridge_x, top, near), (ridge_x, top, near)]
    return [
        _block(np.array([end], dtype=np.float64), FRONT, 0.74, look.texture),
        _block(np.array([slope], dtype=np.float64), ROOF, 1.0, MASONRY),
    ]


def _wall_details(
    wall: _Wall, look: _Look, generator: np.random.Generator, shade: float, *, is_near: bool, is_front: bool
) -> list[Block]:
    num_bays = max(1, int(wall.length_m / look.bay_m))
    bay = wall.length_m / num_bays
    width, height = look.window_m
    first = 1 if look.has_shop and is_front else 0
    starts, floors = np.meshgrid((np.arange(num_bays) + 0.5) * bay - width / 2, np.arange(first, look.storeys))
    start, low = starts.ravel(), floors.ravel() * look.storey_m + 1.0
    blocks = []
    if look.has_frames and is_near:
        blocks.append(_block(wall.quads(start - 0.14, low - 0.14, width + 0.28, height + 0.28), TRIM, shade))
    is_lit = generator.random(len(start)) < look.lit_share
    tones = generator.uniform(0.7, 1.35, len(start)).astype(np.float32)
    panes = wall.quads(start, low, width, height)
    emissions = np.where(is_lit, 0.9 * tones, 0.0).astype(np.float32)
    blocks.append(_block(panes, np.where(is_lit, LIT, GLASS), shade * tones, BARE, emissions))
    if is_near:
        blocks.append(_block(wall.quads(start + width / 2 - 0.04, low, 0.08, height), TRIM, shade * 0.9))
    if look.has_balconies and is_front and is_near:
        above = floors.ravel() > 0
        blocks.append(_block(wall.quads(start[above] - 0.3, low[above] - 0.9, width + 0.6, 0.95), SHADE, 1.3))
    band = wall.quads(np.zeros(2), np.array([0.0, look.height_m - 0.4]), wall.length_m, 0.4)
    blocks.append(_block(band, TRIM, 0.85 * shade))
    if is_front and is_near:
        blocks += _ground_floor(wall, look, bay, num_bays, generator)
    return blocks


def _ground_floor(
    wall: _Wall, look: _Look, bay: float, num_bays: int, generator: np.random.Generator
) -> list[Block]:
    door = np.array([int(num_bays * generator.random()) * bay + 0.3])
    if not look.has_shop:
        return [
            _block(wall.quads(door - 0.15, np.zeros(1), 1.5, 2.5), TRIM, 0.9),
            _block(wall.quads(door, np.zeros(1), 1.2, 2.35), DOOR, 1.0),
        ]
    starts = np.arange(num_bays) * bay + 0.2
    lows = np.full(num_bays, 0.5)
    is_lit = generator.random(num_bays) < 0.6
    emissions = np.where(is_lit, 1.1, 0.0).astype(np.float32)
    return [
        _block(wall.quads(starts, lows, bay - 0.4, 2.1), np.where(is_lit, LIT, GLASS), 0.9, BARE, emissions),
        _block(wall.quads(door, np.zeros(1), 1.1, 2.4), DOOR, 0.8),
        _block(wall.quads(np.array([0.1]), np.array([2.65]), wall.length_m - 0.2, 0.6), AWNING, 0.9),
    ]


def _block(
    quads: NDArray[np.float64],
    role: int | NDArray[np.int64],
    shade: float | NDArray[np.float32],
    texture: int = BARE,
    emissions: NDArray[np.float32] | None = None,
) -> Block:
    count = len(quads)
    roles = np.broadcast_to(np.asarray(role), (count,))
    shades = np.broadcast_to(np.asarray(shade, dtype=np.float32), (count,))
    return quads, roles, shades, texture, np.zeros(count, np.float32) if emissions is None else emissions


def _solid(blocks: list[Block], palette: NDArray[np.float32], order_m: float) -> Solid:
    quads, roles, shades, textures, emissions = zip(*blocks, strict=True)
    counts = [len(block) for block in quads]
    role, shade, total = np.concatenate(roles), np.concatenate(shades), sum(counts)
    shape = Shape(
        vertices=np.concatenate(quads).reshape(-1, 3),
        sizes=np.full(total, 4),
        labels=np.full(total, BUILDING, np.uint8),
        roles=role,
        shades=shade,
        textures=np.repeat(textures, counts),
        emissions=np.concatenate(emissions),
        one_sided=np.zeros(total, np.bool_),
    )
    return Solid(order_m, shape.vertices, shape, palette[role] * shade[:, None])
