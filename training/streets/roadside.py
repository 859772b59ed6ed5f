"""Where plants, boundaries, poles, lamps, lights and signs stand beside the road."""

from training.streets.draw_plants import NUM_PLANT_FORMS, bush, conifer, hedge, tree
from training.streets.draw_roadside import NUM_SIGNS, fence, lamp, post, roadside_palette, sign, traffic_light, wall
from training.streets.draws import Draws
from training.streets.shapes import Solid, place
from training.streets.street import Side, Street
from training.streets.styles import Colour, Style

__all__ = ["boundary", "distant_trees", "gap_trees", "roadside", "verge_plants"]

_END_M = 70.0


def boundary(draws: Draws, style: Style, side: Side, near: float, length: float) -> list[Solid]:
    """A wall, fence or hedge between sidewalk and plot, at times none."""
    x, kind = side.at(side.kerb_m + side.verge_m + side.walk_m + 0.25), draws.unit()
    order = near + length
    if kind < 0.34:
        red, green, blue = draws.pick(style.facades)
        palette = roadside_palette((0.4, 0.4, 0.4), (0.9 * red, 0.9 * green, 0.9 * blue), (0.1, 0.1, 0.1))
        scale = (0.3, draws.uniform(1.1, 2.6), length)
        return [place(wall(), palette, (x, near), scale=scale, order_m=order)]
    if kind < 0.68:
        return [_fence(draws, x, near, length, order)]
    if kind < 0.88:
        scale = (1.0, draws.uniform(0.8, 2.0), length)
        form = draws.integer(0, NUM_PLANT_FORMS - 1)
        return [place(hedge(form), _leaves(draws, style), (x, near), scale=scale, order_m=order)]
    return []


def gap_trees(draws: Draws, style: Style, side: Side, near: float, length: float) -> list[Solid]:
    """Trees and bushes on a plot without a building, in two rows."""
    solids = []
    for row in (12.0, 4.0):
        ahead = near + draws.uniform(0, 4)
        while ahead < near + length:
            x = side.at(side.front_m + row + draws.uniform(-1.5, 1.5))
            solids.append(_plant(draws, style, x, ahead, draws.uniform(0.7, 1.15)))
            ahead += draws.uniform(3, 7)
    return solids


def distant_trees(draws: Draws, style: Style, left: float, ahead: float, width: float) -> list[Solid]:
    """A clump of trees far away."""
    spots = (left + width * (number + draws.unit()) / 3 for number in range(3))
    return [_plant(draws, style, x, ahead + draws.uniform(0, 9), draws.uniform(1.2, 1.9)) for x in spots]


def verge_plants(draws: Draws, style: Style, street: Street, side: Side) -> list[Solid]:
    """A row of street trees beside the kerb, and bushes where there is a verge."""
    solids = []
    if draws.chance(0.7):
        x = side.at(side.kerb_m + (side.verge_m / 2 if side.verge_m else 0.7))
        ahead, gap = draws.uniform(7, 18), draws.uniform(*style.tree_gap_m)
        size = draws.uniform(0.65, 1.0)
        while ahead < _END_M:
            if not street.is_in_junction(ahead, 3):
                solids.append(_plant(draws, style, x, ahead, size * draws.uniform(0.85, 1.15)))
            ahead += gap * draws.uniform(0.8, 1.3)
    for _ in range(draws.integer(0, 4) if side.verge_m or side.yard_m else 0):
        distance = side.kerb_m + side.verge_m / 2 if side.verge_m else side.front_m - side.yard_m / 2
        palette, scale = _leaves(draws, style), draws.uniform(0.6, 1.3)
        form = draws.integer(0, NUM_PLANT_FORMS - 1)
        ahead = draws.uniform(7, 50)
        if not street.is_in_junction(ahead, 2):
            solids.append(place(bush(form), palette, (side.at(distance), ahead), scale=(scale, scale, scale)))
    return solids


def roadside(draws: Draws, street: Street, side: Side) -> list[Solid]:
    """Lamps in a row, signs, bollards, and traffic lights at crossings."""
    metal = draws.pick(((0.45, 0.46, 0.48), (0.28, 0.30, 0.31), (0.58, 0.58, 0.56), (0.30, 0.36, 0.32)))
    housing = draws.pick(((0.09, 0.09, 0.1), (0.1, 0.1, 0.1), (0.12, 0.22, 0.16), (0.75, 0.6, 0.12)))
    palette = roadside_palette(metal, (0.5, 0.5, 0.5), housing)
    x = side.at(side.kerb_m + 0.45)
    solids = _lamps(draws, palette, street, side)
    for _ in range(draws.integer(0, 4)):
        height = draws.uniform(0.85, 1.15)
        spot = (side.at(side.kerb_m + draws.uniform(0.35, 0.7)), draws.uniform(6, 40))
        if not street.is_in_junction(spot[1], 1):
            solids.append(place(sign(draws.integer(0, NUM_SIGNS - 1)), palette, spot, scale=(1.1, height, 1)))
    if draws.chance(0.2):
        first = draws.uniform(6, 20)
        solids += [place(post(), palette, (x, first + 1.8 * number)) for number in range(draws.integer(3, 8))]
    for crossing in street.crossings:
        if draws.chance(0.9 if street.junction else 0.45):
            light = traffic_light(draws.pick((0, 2, 0, 1)), side.sign > 0 and draws.chance(0.4))
            solids.append(place(light, palette, (x, crossing + draws.uniform(-0.6, 3.6)), scale=(1.15, 1.1, 1)))
    return solids


def _lamps(draws: Draws, palette: list[Colour], street: Street, side: Side) -> list[Solid]:
    if draws.chance(0.35):
        return []
    shape, gap, ahead = lamp(draws.chance(0.6)), draws.uniform(16, 28), draws.uniform(5, 22)
    solids = []
    while ahead < _END_M:
        if not street.is_in_junction(ahead, 1):
            spot = (side.at(side.kerb_m + 0.5), ahead)
            solids.append(place(shape, palette, spot, scale=(side.sign, 1, 1)))
        ahead += gap
    return solids


def _fence(draws: Draws, x: float, near: float, length: float, order: float) -> Solid:
    paint = draws.pick(((0.36, 0.26, 0.17), (0.85, 0.85, 0.82), (0.2, 0.22, 0.22), (0.5, 0.5, 0.48), (0.3, 0.4, 0.3)))
    palette = roadside_palette((0.4, 0.4, 0.4), paint, (0.1, 0.1, 0.1))
    shape = fence(min(40, max(4, int(length * 2))), draws.chance(0.55))
    return place(shape, palette, (x, near), scale=(1.2, draws.uniform(1.0, 1.9), length), order_m=order)


def _plant(draws: Draws, style: Style, x: float, ahead: float, size: float) -> Solid:
    form = draws.integer(0, NUM_PLANT_FORMS - 1)
    shape = conifer(form) if draws.chance(0.12) else tree(form)
    mirror = 1 if draws.chance(0.5) else -1
    return place(shape, _leaves(draws, style), (x, ahead), scale=(mirror * size, size * draws.uniform(0.9, 1.15), size))


def _leaves(draws: Draws, style: Style) -> list[Colour]:
    red, green, blue = draws.pick(style.leaves)
    tint = draws.uniform(0.8, 1.2)
    bark = draws.uniform(0.8, 1.2)
    leaf = (red * tint * draws.uniform(0.85, 1.2), green * tint, blue * tint)
    return [(0.30 * bark, 0.23 * bark, 0.17 * bark), leaf]
