"""Road, markings, kerbs, sidewalks and grass: strips along the street, cut fine enough to follow its bend."""

from collections.abc import Sequence

from training.streets.classes import ROAD, SIDEWALK, TERRAIN
from training.streets.draws import Draws
from training.streets.shapes import ShapeBuilder, Solid, place
from training.streets.street import Side, Street
from training.streets.styles import Style
from training.streets.textures import ASPHALT, BARE, GRASS, PAVING, Domain

__all__ = ["ground"]

TAR, SLABS, KERB, LAWN, PAINT, PATCH, RAIL = range(7)
_CUTS_M = (1.2, 4.0, 5.5, 7.5, 10.0, 13.5, 18.0, 24.0, 32.0, 43.0, 58.0, 78.0, 105.0, 300.0)
_KERB_M = 0.12


def ground(draws: Draws, domain: Domain, style: Style, street: Street) -> Solid:
    """Everything that lies flat, painted before all else."""
    shape = ShapeBuilder(TERRAIN, GRASS)
    _strip(shape, -400, 400, LAWN)
    for side in street.sides:
        _sidewalk(shape, side)
    shape.label, shape.texture = ROAD, ASPHALT
    _strip(shape, street.left.at(street.left.kerb_m), street.right.kerb_m, TAR)
    if street.junction:
        _rectangle(shape, (-70, 70), street.junction, TAR)
    shape.texture = BARE
    for _ in range(draws.integer(3, 8) if domain == "target" else 0):
        _patch(shape, draws, street)
    _markings(shape, draws, street)
    for track in street.tracks:
        for rail in (track - 0.72, track + 0.72):
            _strip(shape, rail - 0.09, rail + 0.09, PATCH)
            _strip(shape, rail - 0.035, rail + 0.035, RAIL)
    for side in street.sides:
        _kerb(shape, side, street)
    tar, slabs = draws.pick(style.asphalt), draws.pick(style.paving)
    paint = (0.9, 0.9, 0.88) if domain == "source" else (0.62, 0.61, 0.57)
    kerb = tuple(min(1.0, channel * 1.12) for channel in slabs)
    patch = tuple(channel * draws.uniform(0.7, 0.85) for channel in tar)
    palette = [tar, slabs, kerb, draws.pick(style.grass), paint, patch, (0.55, 0.53, 0.5)]
    return place(shape.build(), palette, (0, 0), order_m=1e6)


def _strip(
    shape: ShapeBuilder,
    one_edge: float,
    other_edge: float,
    role: int,
    *,
    height: float = 0.0,
    reach: tuple[float, float] = (0, 1e3),
) -> None:
    left, right = min(one_edge, other_edge), max(one_edge, other_edge)
    cuts = _cuts(reach)
    near_to_far = [(right, height, cut) for cut in cuts]
    shape.polygon([*((left, height, cut) for cut in reversed(cuts)), *near_to_far], role)


def _cuts(reach: tuple[float, float]) -> list[float]:
    near, far = reach
    return [near, *(cut for cut in _CUTS_M if near < cut < far), min(far, _CUTS_M[-1])]


def _rectangle(shape: ShapeBuilder, across: Sequence[float], ahead: Sequence[float], role: int) -> None:
    (left, right), (near, far) = across, ahead
    shape.polygon(((left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)), role)


def _sidewalk(shape: ShapeBuilder, side: Side) -> None:
    inner = side.kerb_m + side.verge_m
    shape.label, shape.texture = SIDEWALK, PAVING
    _strip(shape, side.at(side.kerb_m), side.at(inner + side.walk_m), SLABS, height=_KERB_M)
    if side.verge_m:
        shape.label, shape.texture = TERRAIN, GRASS
        _strip(shape, side.at(side.kerb_m + 0.2), side.at(inner), LAWN, height=_KERB_M)


def _kerb(shape: ShapeBuilder, side: Side, street: Street) -> None:
    shape.label, shape.texture = SIDEWALK, BARE
    reaches = [(0.0, 1e3)] if street.junction is None else [(0.0, street.junction[0]), (street.junction[1], 1e3)]
    for reach in reaches:
        x = side.at(side.kerb_m)
        cuts = _cuts(reach)
        low = [(x, 0.0, cut) for cut in cuts]
        shape.polygon([*low, *((x, _KERB_M, cut) for cut in reversed(cuts))], KERB, 0.7)
        _strip(shape, x, x + side.sign * 0.16, KERB, height=_KERB_M, reach=reach)


def _patch(shape: ShapeBuilder, draws: Draws, street: Street) -> None:
    x = draws.uniform(-street.left.kerb_m, street.right.kerb_m - 1.5)
    near = draws.uniform(3, 30)
    _rectangle(shape, (x, x + draws.uniform(0.4, 1.5)), (near, near + draws.uniform(1, 8)), PATCH)


def _markings(shape: ShapeBuilder, draws: Draws, street: Street) -> None:
    half = street.lane_m / 2
    lanes = sorted((*street.lanes_oncoming, *street.lanes_ahead))
    start, dash, gap = draws.uniform(-9, 0), draws.uniform(2.5, 4.0), draws.uniform(4.0, 7.0)
    reaches = _clear_reaches(street)
    has_edges = draws.chance(0.6)
    for lane in lanes[:-1]:
        for dash_number in range(12):
            near = start + dash_number * (dash + gap)
            if near > 0.5 and any(low < near and near + dash < high for low, high in reaches):
                _rectangle(shape, (lane + half - 0.08, lane + half + 0.08), (near, near + dash), PAINT)
    for reach in reaches if has_edges else ():
        for edge in (lanes[0] - half, lanes[-1] + half):
            _strip(shape, edge - 0.07, edge + 0.07, PAINT, reach=reach)
    for crossing in street.crossings:
        _zebra(shape, street, crossing)


def _clear_reaches(street: Street) -> list[tuple[float, float]]:
    blocked = [(crossing - 2.5, crossing + 3.5) for crossing in street.crossings]
    blocked += [street.junction] if street.junction else []
    reaches, start = [], 0.0
    for low, high in sorted(blocked):
        if low > start:
            reaches.append((start, low))
        start = max(start, high)
    return [*reaches, (start, 130.0)]


def _zebra(shape: ShapeBuilder, street: Street, ahead_m: float) -> None:
    x = -street.left.kerb_m + 0.3
    while x + 0.5 < street.right.kerb_m:
        _rectangle(shape, (x, x + 0.5), (ahead_m, ahead_m + 3.2), PAINT)
        x += 1.0
    for lane in street.lanes_ahead:
        half = street.lane_m / 2 - 0.2
        _rectangle(shape, (lane - half, lane + half), (ahead_m - 1.6, ahead_m - 1.2), PAINT)
