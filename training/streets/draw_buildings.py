"""Buildings: a front along the street, a gable towards the camera, a roof, and rows of windows on both walls.

A building is a table of rectangles on its two walls. Local axes: the front lies in x = 0 and extends along z, the
house extends to positive x; mirror it for the left side of the street.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.streets.classes import BUILDING
from training.streets.draws import Draws
from training.streets.shapes import Shape
from training.streets.styles import STYLES, Colour, Style
from training.streets.textures import BARE, FACADE, MASONRY, Domain

__all__ = ["NUM_BUILDING_FORMS", "building", "building_palette"]

NUM_BUILDING_FORMS = 80
_DEPTH_M = 11.0
FRONT, TRIM, ROOF, GLASS, LIT, DOOR, AWNING, RAILING = range(8)

Table = NDArray[np.float64]
Cells = float | NDArray[np.floating[Any]] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Look:
    length_m: float
    storeys: int
    storey_m: float
    bay_m: float
    window_m: tuple[float, float]
    roof_m: float
    has_frames: bool
    has_shop: bool
    has_balconies: bool
    texture: int
    lit_share: float

    @property
    def height_m(self) -> float:
        return self.storeys * self.storey_m + 0.8


@cache
def building(domain: Domain, form: int, *, is_detailed: bool) -> tuple[Shape, float]:
    """A building of one of `NUM_BUILDING_FORMS` forms, and its length along the street in metres.

    Without detail it keeps its walls, roof and window panes, which is all that is seen from afar.
    """
    generator = np.random.default_rng([7, form])
    look = _sample_look(Draws(generator), domain, STYLES[domain])
    length = look.length_m
    front = _wall_table(look, generator, length, is_detailed=is_detailed, is_front=True)
    gable = _wall_table(look, generator, _DEPTH_M, is_detailed=is_detailed, is_front=False)
    roof, roof_rows = _roof(look)
    quads = [
        roof,
        _quads(gable, (0.0, 0.0), (1.0, 0.0)),
        _quads(front, (0.0, length), (0.0, -1.0)),
    ]
    gable[:, 5] *= 0.74
    return _shape(np.concatenate(quads), np.concatenate([roof_rows, gable[:, 4:], front[:, 4:]])), length


def building_palette(draws: Draws, domain: Domain, style: Style) -> list[Colour]:
    """Colours of a building's roles in a style."""
    red, green, blue = draws.pick(style.facades)
    tint = draws.uniform(0.85, 1.12)
    facade = (red * tint, green * tint * draws.uniform(0.96, 1.04), blue * tint)
    light = 0.9 if domain == "source" else 0.7
    trim = (light, light * 0.98, light * 0.93) if draws.chance(0.6) else (0.6 * red, 0.6 * green, 0.6 * blue)
    glass = (0.24, 0.36, 0.48) if domain == "source" else (0.15, 0.17, 0.19)
    lit = (0.98, draws.uniform(0.72, 0.86), draws.uniform(0.36, 0.6))
    door = (draws.uniform(0.15, 0.5), draws.uniform(0.12, 0.3), draws.uniform(0.1, 0.3))
    return [facade, trim, draws.pick(style.roofs), glass, lit, door, draws.pick(style.paints), (0.2, 0.19, 0.19)]


def _sample_look(draws: Draws, domain: Domain, style: Style) -> _Look:
    is_target = domain == "target"
    return _Look(
        length_m=draws.uniform(9, 22),
        storeys=draws.integer(*style.storeys),
        storey_m=draws.uniform(2.9, 3.5),
        bay_m=draws.uniform(2.2, 3.6),
        window_m=(draws.uniform(0.9, 1.5), draws.uniform(1.3, 1.9)),
        roof_m=draws.uniform(2.2, 4.0) if draws.chance(0.5) else 0.0,
        has_frames=is_target or draws.chance(0.3),
        has_shop=draws.chance(style.shop),
        has_balconies=draws.chance(style.balcony),
        texture=MASONRY if draws.chance(style.brick) else FACADE,
        lit_share=draws.uniform(0.1, 0.4) if is_target else 0.0,
    )


def _wall_table(
    look: _Look, generator: np.random.Generator, length: float, *, is_detailed: bool, is_front: bool
) -> Table:
    """(N, 8) rectangles in painting order: start, low, width, height, role, shade, texture, emission."""
    rows = [_rows(0, 0, length, look.height_m, FRONT, 1, texture=look.texture)]
    num_bays = max(1, int(length / look.bay_m)) if is_front else 2
    bay = length / num_bays
    first = 1 if look.has_shop and is_front else 0
    if is_front or generator.random() < 0.5:
        rows += _windows(look, generator, bay, num_bays, first, is_detailed=is_detailed)
    rows.append(_rows(0, look.height_m - 0.4, length, 0.4, TRIM, 0.85))
    if is_front and is_detailed:
        rows.append(_rows(0, 0, length, 0.45, TRIM, 0.7))
        rows += _ground_floor(look, generator, bay, num_bays)
    return np.concatenate(rows)


def _windows(
    look: _Look, generator: np.random.Generator, bay: float, num_bays: int, first: int, *, is_detailed: bool
) -> list[Table]:
    width, height = look.window_m
    starts, floors = np.meshgrid((np.arange(num_bays) + 0.5) * bay - width / 2, np.arange(first, look.storeys))
    start, low = starts.ravel(), floors.ravel() * look.storey_m + 1.0
    is_lit = generator.random(len(start)) < look.lit_share
    tones = generator.uniform(0.7, 1.35, len(start))
    emissions = np.where(is_lit, 0.8 * tones, 0.0)
    panes = _rows(start, low, width, height, np.where(is_lit, LIT, GLASS), tones, emission=emissions)
    if not is_detailed:
        return [panes]
    rows = [panes, _rows(start + width / 2 - 0.04, low, 0.08, height, TRIM, 0.9)]
    if look.has_frames:
        rows.insert(0, _rows(start - 0.14, low - 0.14, width + 0.28, height + 0.28, TRIM, 1))
    if look.has_balconies:
        is_above = floors.ravel() > 0
        rows.append(_rows(start[is_above] - 0.3, low[is_above] - 0.9, width + 0.6, 0.95, RAILING, 1.3))
        rows.append(_rows(start[is_above] - 0.35, low[is_above] - 1.0, width + 0.7, 0.14, TRIM, 0.9))
    return rows


def _ground_floor(look: _Look, generator: np.random.Generator, bay: float, num_bays: int) -> list[Table]:
    door = int(num_bays * generator.random()) * bay + 0.3
    if not look.has_shop:
        return [_rows(door - 0.15, 0, 1.5, 2.5, TRIM, 0.9), _rows(door, 0, 1.2, 2.35, DOOR, 1)]
    starts = np.arange(num_bays) * bay + 0.2
    is_lit = generator.random(num_bays) < 2 * look.lit_share
    role, emission = np.where(is_lit, LIT, GLASS), np.where(is_lit, 0.9, 0.0)
    return [
        _rows(starts, 0.5, bay - 0.4, 2.1, role, 0.9, emission=emission),
        _rows(starts + 0.3 * bay, 0.5, 0.08, 2.1, TRIM, 0.6),
        _rows(starts + 0.1, 0.5, bay - 0.6, generator.uniform(0.3, 0.9, num_bays), AWNING, 0.55),
        _rows(door, 0, 1.1, 2.4, DOOR, 0.8),
        _rows(0.1, 2.65, num_bays * bay - 0.2, 0.6, AWNING, 0.9),
    ]


def _roof(look: _Look) -> tuple[NDArray[np.float64], Table]:
    """A roof whose ridge runs along the street, with its gable; nothing of a flat roof is seen from below."""
    if not look.roof_m:
        return np.empty((0, 4, 3)), np.empty((0, 4))
    eave, top, middle, length = look.height_m, look.height_m + look.roof_m, _DEPTH_M / 2, look.length_m
    gable = [(0, eave, 0), (_DEPTH_M, eave, 0), (middle, top, 0), (middle, top, 0)]
    slope = [(-0.35, eave, length), (-0.35, eave, -0.2), (middle, top, -0.2), (middle, top, length)]
    rows = [(FRONT, 0.74, look.texture, 0), (ROOF, 1, MASONRY, 0)]
    return np.array([gable, slope], dtype=np.float64), np.array(rows, dtype=np.float64)


def _rows(
    start: Cells,
    low: Cells,
    width: float,
    height: Cells,
    role: Cells,
    shade: Cells,
    *,
    texture: int = BARE,
    emission: Cells = 0.0,
) -> Table:
    """Rectangles of a wall as table rows; single values hold for all."""
    columns = (start, low, width, height, role, shade, texture, emission)
    return np.stack(np.broadcast_arrays(*map(np.atleast_1d, columns)), axis=1).astype(np.float64)


def _quads(table: Table, corner: tuple[float, float], along: tuple[float, float]) -> NDArray[np.float64]:
    """(N, 4, 3) corners of a wall's rectangles; the wall starts at `corner` (x, z)."""
    start, low, width, height = table[:, :4].T[:, :, None]
    run = start + width * np.array([0, 1, 1, 0])
    rise = low + height * np.array([0, 0, 1, 1])
    return np.stack([corner[0] + run * along[0], rise, corner[1] + run * along[1]], axis=2)


def _shape(quads: NDArray[np.float64], rows: Table) -> Shape:
    roles, shades, textures, emissions = rows.T
    return Shape(
        vertices=quads.reshape(-1, 3),
        sizes=np.full(len(quads), 4),
        labels=np.full(len(quads), BUILDING, np.uint8),
        roles=roles.astype(np.int64),
        shades=shades.astype(np.float32),
        textures=textures.astype(np.int64),
        emissions=emissions.astype(np.float32),
        one_sided=np.zeros(len(quads), np.bool_),
    )
