"""Where vehicles, riders and people are: in lanes, parked at the kerb, on sidewalks and crossings."""

import math

from training.streets.draw_people import NUM_POSES, bicycle, motorcycle, person, person_palette, rider
from training.streets.draw_vehicles import NUM_CAR_FORMS, bus, car, tram, truck, vehicle_palette
from training.streets.draws import Draws
from training.streets.order import outer_first
from training.streets.shapes import Shape, Solid, place
from training.streets.street import Side, Street
from training.streets.styles import Colour, Style
from training.streets.textures import Domain

__all__ = ["people", "traffic"]

_END_M = 62.0
_LARGE_SHARE = 0.17


def traffic(draws: Draws, domain: Domain, style: Style, street: Street, *, has_tram: bool) -> list[Solid]:
    """Moving and parked vehicles and two-wheelers; each lane is filled from near to far without overlap."""
    solids: list[Solid] = []
    for lane in street.lanes_ahead:
        start = draws.uniform(9, 26) if lane == street.lanes_ahead[0] else draws.uniform(5, 18)
        solids += _lane(draws, domain, style, street, lane, start, is_oncoming=False)
    for lane in street.lanes_oncoming:
        start = draws.uniform(6, 22)
        if has_tram and lane in street.tracks:
            sections = draws.integer(2, 4)
            half = sections * 4.1
            centre = start + half + 2
            solids.append(
                _vehicle(draws, domain, style, tram(sections, is_oncoming=True), lane, centre, is_oncoming=True)
            )
            start = centre + half + 6
            has_tram = False
        solids += _lane(draws, domain, style, street, lane, start, is_oncoming=True)
    if has_tram:
        solids.append(
            _vehicle(
                draws,
                domain,
                style,
                tram(2, is_oncoming=False),
                street.tracks[0],
                draws.uniform(22, 34),
                is_oncoming=False,
            )
        )
    for side in street.sides:
        solids += _parked(draws, domain, style, street, side)
    return outer_first([*solids, *_crossing_traffic(draws, domain, style, street)])


def people(draws: Draws, domain: Domain, style: Style, street: Street) -> list[Solid]:
    """Persons on sidewalks and crossings, riders near the kerb, and parked two-wheelers."""
    solids = []
    for _ in range(_count(draws, style.num_persons)):
        side = draws.pick(street.sides)
        inner = side.kerb_m + side.verge_m
        x, ahead = side.at(inner + draws.uniform(0.5, side.walk_m - 0.1)), _near_biased(draws, 6, 45)
        for companion in range(2 if draws.chance(0.3) else 1):
            solids.append(_person(draws, style, x + 0.6 * companion, ahead + 0.2 * companion))
    for crossing in street.crossings:
        for _ in range(draws.integer(0, 4)):
            x = draws.uniform(-street.left.kerb_m, street.right.kerb_m)
            solids.append(_person(draws, style, x, crossing + draws.uniform(0.4, 2.8)))
    for _ in range(_count(draws, style.num_riders)):
        solids += _rider(draws, style, street)
    for _ in range(_count(draws, style.num_bicycles)):
        solids += _parked_two_wheelers(draws, style, draws.pick(street.sides))
    return solids


def _lane(
    draws: Draws, domain: Domain, style: Style, street: Street, lane: float, start: float, *, is_oncoming: bool
) -> list[Solid]:
    solids, near = [], start
    while near < _END_M:
        shape, length = _moving_shape(draws, is_oncoming=is_oncoming)
        if not _blocks(street, near, length):
            x = lane + draws.uniform(-0.3, 0.3)
            solids.append(_vehicle(draws, domain, style, shape, x, near + length / 2, is_oncoming=is_oncoming))
        near += length + draws.uniform(*style.lane_gap_m)
    return solids


def _blocks(street: Street, near: float, length: float) -> bool:
    return any(near - 1 < crossing + 3.2 and near + length > crossing - 1 for crossing in street.crossings)


def _moving_shape(draws: Draws, *, is_oncoming: bool) -> tuple[Shape, float]:
    if not draws.chance(_LARGE_SHARE):
        return car(draws.integer(0, NUM_CAR_FORMS - 1)), 4.8
    if draws.chance(0.5):
        return truck(draws.chance(0.7), is_oncoming=is_oncoming), 8.4
    return bus(draws.chance(0.25)), 11.8


def _vehicle(
    draws: Draws, domain: Domain, style: Style, shape: Shape, x: float, ahead: float, *, is_oncoming: bool
) -> Solid:
    size = draws.uniform(0.95, 1.06)
    yaw = (math.pi if is_oncoming else 0.0) + draws.uniform(-0.03, 0.03)
    colours = _vehicle_colours(draws, domain, style)
    return place(shape, colours, (x, ahead), yaw=yaw, scale=(size, size, 1))


def _vehicle_colours(draws: Draws, domain: Domain, style: Style) -> list[Colour]:
    tint = draws.uniform(0.75, 1.1)
    body, second = (
        (min(1.0, red * tint), min(1.0, green * tint), min(1.0, blue * tint))
        for red, green, blue in (draws.pick(style.paints), draws.pick(style.paints))
    )
    glass = (0.16, 0.24, 0.30) if domain == "source" else (0.12, 0.13, 0.14)
    return vehicle_palette(body, second, glass)


def _parked(draws: Draws, domain: Domain, style: Style, street: Street, side: Side) -> list[Solid]:
    if not side.has_parking:
        return []
    solids, centre = [], draws.uniform(3, 9)
    while centre < _END_M:
        is_free = street.is_in_junction(centre, 4) or _blocks(street, centre - 3, 6)
        if draws.chance(style.parked_share) and not is_free:
            shape = car(draws.integer(0, NUM_CAR_FORMS - 1))
            x = side.at(side.kerb_m - 1.1 + draws.uniform(-0.1, 0.1))
            yaw_flip = side.sign < 0 and draws.chance(0.8)
            solids.append(_vehicle(draws, domain, style, shape, x, centre, is_oncoming=yaw_flip))
        centre += draws.uniform(5.2, 6.6)
    return solids


def _crossing_traffic(draws: Draws, domain: Domain, style: Style, street: Street) -> list[Solid]:
    if street.junction is None or not draws.chance(0.55):
        return []
    shape, _ = _moving_shape(draws, is_oncoming=False)
    ahead = (street.junction[0] + street.junction[1]) / 2
    yaw = math.pi / 2 * draws.pick((-1, 1))
    x = draws.uniform(-14, 14)
    return [place(shape, _vehicle_colours(draws, domain, style), (x, ahead), yaw=yaw)]


def _rider(draws: Draws, style: Style, street: Street) -> list[Solid]:
    """A rider at the side of a lane or crossing the street, painted over the two-wheeler."""
    colours, size = _person_colours(draws, style), draws.uniform(0.95, 1.08)
    has_motor = draws.chance(0.45)
    machine = motorcycle(draws.chance(0.4)) if has_motor else bicycle()
    if draws.chance(0.7):
        x, yaw = street.right.kerb_m - (2.4 if street.right.has_parking else 0.6) - draws.uniform(0, 0.5), 0.0
    elif street.lanes_oncoming:
        x, yaw = -street.left.kerb_m + (2.4 if street.left.has_parking else 0.6) + draws.uniform(0, 0.5), math.pi
    else:
        x, yaw = draws.uniform(-5, 5), math.pi / 2 * draws.pick((-1, 1))
    spot, yaw = (x, _near_biased(draws, 7, 32)), yaw + draws.uniform(-0.5, 0.5)
    person_on = rider(not has_motor and draws.chance(0.5), has_motor or draws.chance(0.4))
    order = spot[1] - 1.0
    return [
        place(machine, colours, spot, yaw=yaw, scale=(size, size, size), order_m=order + 0.01),
        place(person_on, colours, spot, yaw=yaw, scale=(size, size, size), order_m=order),
    ]


def _parked_two_wheelers(draws: Draws, style: Style, side: Side) -> list[Solid]:
    x, ahead = side.at(side.kerb_m + side.verge_m + draws.uniform(0.4, 0.9)), _near_biased(draws, 5, 34)
    yaw = draws.pick((0.9, 1.3, 1.6, -1.2)) + draws.uniform(-0.2, 0.2)
    has_motor = draws.chance(0.3)
    solids = []
    for number in range(draws.integer(1, 1 if has_motor else 4)):
        machine = motorcycle(draws.chance(0.5)) if has_motor else bicycle()
        solids.append(place(machine, _person_colours(draws, style), (x, ahead + 0.7 * number), yaw=yaw))
    return solids


def _person(draws: Draws, style: Style, x: float, ahead: float) -> Solid:
    size, mirror = draws.uniform(0.9, 1.1) * (0.68 if draws.chance(0.08) else 1.0), draws.pick((-1, 1))
    shape = person(draws.integer(0, NUM_POSES - 1))
    return place(shape, _person_colours(draws, style), (x, ahead), scale=(mirror * size, size, size))


def _person_colours(draws: Draws, style: Style) -> list[Colour]:
    skin = draws.pick(((0.86, 0.66, 0.54), (0.72, 0.52, 0.40), (0.48, 0.32, 0.24), (0.92, 0.74, 0.64)))
    hair = draws.pick(((0.10, 0.08, 0.07), (0.30, 0.20, 0.12), (0.62, 0.50, 0.30), (0.50, 0.50, 0.50)))
    return person_palette(skin, draws.pick(style.clothes), draws.pick(style.clothes), hair, draws.pick(style.paints))


def _near_biased(draws: Draws, near: float, far: float) -> float:
    """A depth of which the near part of the range gets more: what is far covers few pixels."""
    share: float = draws.unit() ** 1.5
    return near + (far - near) * share


def _count(draws: Draws, between: tuple[float, float]) -> int:
    return round(draws.uniform(*between))
