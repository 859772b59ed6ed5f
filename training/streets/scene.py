"""What stands where: fills a street plan with buildings, plants, roadside things, vehicles and people."""

from dataclasses import dataclass, field

import numpy as np

from training.streets.camera import View
from training.streets.draw_buildings import NUM_BUILDING_FORMS, building, building_palette
from training.streets.draw_ground import ground
from training.streets.draws import Draws
from training.streets.roadside import boundary, distant_trees, gap_trees, roadside, verge_plants
from training.streets.shapes import Solid, place
from training.streets.street import Side, Street, sample_street
from training.streets.styles import STYLES, Style
from training.streets.textures import Domain
from training.streets.traffic import people, traffic

__all__ = ["Scene", "sample_scene"]

_END_M = 110.0
_DETAIL_END_M = 48.0


@dataclass(frozen=True, slots=True)
class Scene:
    """All solids of a street and the view onto it, free of any image size."""

    view: View
    street: Street
    solids: list[Solid] = field(repr=False)


def sample_scene(domain: Domain, seed: np.random.SeedSequence) -> Scene:
    """Draw one street; the seed decides all of it."""
    draws, style = Draws(np.random.default_rng(seed)), STYLES[domain]
    view = View(
        height_m=draws.uniform(1.25, 1.6),
        pitch=draws.uniform(-0.03, 0.03),
        yaw=draws.uniform(-0.06, 0.06),
        curvature=draws.uniform(-1, 1) * draws.uniform(0, 1 / 160),
    )
    has_tram = draws.chance(0.22)
    street = sample_street(draws, style, has_tracks=has_tram or draws.chance(0.06))
    solids = [ground(draws, domain, style, street)]
    solids += _skyline(draws, domain, style)
    for side in street.sides:
        solids += _frontage(draws, domain, style, street, side)
        solids += roadside(draws, street, side)
        solids += verge_plants(draws, style, street, side)
    solids += traffic(draws, domain, style, street, has_tram=has_tram)
    solids += people(draws, domain, style, street)
    return Scene(view, street, solids)


def _skyline(draws: Draws, domain: Domain, style: Style) -> list[Solid]:
    """Distant blocks across the whole view, with gaps, where the street ends for the eye."""
    solids, x = [], -130.0
    while x < 130:
        near, width = draws.uniform(135, 190), draws.uniform(11, 24)
        if draws.chance(style.building_share):
            solids.append(_house(draws, domain, style, x, near, 1, wide=width / 11)[0])
        else:
            solids += distant_trees(draws, style, x, near, width)
        x += width
    return solids


def _frontage(draws: Draws, domain: Domain, style: Style, street: Street, side: Side) -> list[Solid]:
    """Houses and open plots in a row; a crossing street cuts it."""
    solids: list[Solid] = []
    near = draws.uniform(-14, 0)
    while near < _END_M:
        if draws.chance(style.building_share):
            x = side.at(side.front_m + draws.uniform(0, 1.2))
            house, length = _house(draws, domain, style, x, near, side.sign)
            plot = [house, *(boundary(draws, style, side, near, length) if side.yard_m > 2.5 else [])]
        else:
            length = draws.uniform(9, 22)
            plot = [*boundary(draws, style, side, near, length), *gap_trees(draws, style, side, near, length)]
        if street.junction and near < street.junction[1] + 2 and near + length > street.junction[0] - 2:
            near = street.junction[1] + 2 if near > street.junction[0] - 8 else near + 4
            continue
        solids += plot
        near += length + (draws.uniform(1, 5) if draws.chance(0.15) else 0)
    return solids


def _house(
    draws: Draws, domain: Domain, style: Style, x: float, near: float, sign: int, *, wide: float = 1.0
) -> tuple[Solid, float]:
    shape, length = building(domain, draws.integer(0, NUM_BUILDING_FORMS - 1), is_detailed=near < _DETAIL_END_M)
    palette = building_palette(draws, domain, style)
    return place(shape, palette, (x, near), scale=(sign * wide, 1, 1), order_m=near + length), length
