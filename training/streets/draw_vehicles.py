"""Cars, trucks, buses and trams: tapered boxes with glass, wheels, lights and a shadow; rear at low z."""

from functools import cache

from training.streets.classes import BUS, CAR, ROAD, TRAIN, TRUCK
from training.streets.shapes import Quad, Shape, ShapeBuilder

__all__ = ["NUM_CAR_FORMS", "bus", "car", "tram", "truck", "vehicle_palette"]

BODY, SECOND_BODY, GLASS, TYRE, RIM, TAIL_LIGHT, HEAD_LIGHT, PLATE, TRIM, SHADOW, SIGNAL = range(11)

# Half width, length, height; then where bonnet and boot end and where the roof begins and ends, as shares of the
# length; and the height of the belt line.
_CAR_FORMS = (
    (0.88, 4.0, 1.48, 0.02, 0.76, 0.10, 0.58, 0.92),
    (0.90, 4.6, 1.45, 0.14, 0.74, 0.28, 0.56, 0.92),
    (0.95, 4.6, 1.72, 0.02, 0.76, 0.07, 0.60, 1.05),
    (0.93, 4.7, 1.50, 0.01, 0.73, 0.08, 0.56, 0.93),
    (0.95, 4.9, 1.95, 0.00, 0.86, 0.02, 0.72, 1.08),
    (0.82, 3.5, 1.52, 0.01, 0.80, 0.06, 0.62, 0.93),
)
NUM_CAR_FORMS = len(_CAR_FORMS)


def vehicle_palette(
    body: tuple[float, float, float], second_body: tuple[float, float, float], glass: tuple[float, float, float]
) -> list[tuple[float, float, float]]:
    """Colour of each vehicle role, for the given paint and glass."""
    return [
        *(body, second_body, glass, (0.07, 0.07, 0.08), (0.55, 0.56, 0.58), (0.72, 0.06, 0.05)),
        *((0.95, 0.94, 0.86), (0.88, 0.88, 0.84), (0.14, 0.14, 0.15), (0.13, 0.13, 0.14), (0.95, 0.62, 0.1)),
    ]


@cache
def car(form: int) -> Shape:
    """A car of one of `NUM_CAR_FORMS` forms: hatchback, saloon, off-roader, estate, van, small car."""
    half, length, height, boot, bonnet, roof_start, roof_end, belt = _CAR_FORMS[form]
    rear, front = -length / 2, length / 2
    shape = ShapeBuilder(CAR)
    _shadow(shape, half + 0.12, rear - 0.25, front + 0.25)
    lower = shape.frustum((half * 0.96, 0.24, rear + 0.06, front - 0.06), (half, 0.6, rear, front), BODY, 0.92)
    for end in ("rear", "front"):
        shape.detail(lower[end], (0, 0, 1, 0.35), TRIM)
        shape.detail(lower[end], (0.35, 0.55, 0.65, 0.9), PLATE)
    for side in ("left", "right"):
        shape.detail(lower[side], (0, 0, 1, 0.2), TRIM)
        for seam in (0.42, 0.66):
            shape.detail(lower[side], (seam, 0.2, seam + 0.008, 1), BODY, 0.45)
    upper = shape.frustum((half, 0.6, rear, front), (half * 0.94, belt, rear + 0.07, front - 0.28), BODY)
    shape.detail(upper["front"], (0.26, 0.08, 0.74, 0.6), TRIM)
    for end, light in (("rear", TAIL_LIGHT), ("front", HEAD_LIGHT)):
        _end_lights(shape, upper[end], light, 0.15, 0.75)
    _wheels(shape, half, (rear + 0.18 * length, front - 0.2 * length), 0.33)
    base = (half * 0.91, belt, rear + boot * length, rear + bonnet * length)
    roof = (half * 0.74, height, rear + roof_start * length, rear + roof_end * length)
    cabin = shape.frustum(base, roof, BODY, 0.95)
    for end in ("rear", "front"):
        shape.detail(cabin[end], (0.08, 0.1, 0.92, 0.88), GLASS)
        shape.detail(cabin[end], (0.08, 0.62, 0.92, 0.88), GLASS, 1.5)
    for side in ("left", "right"):
        for start, stop in ((0.08, 0.34), (0.38, 0.62), (0.66, 0.92)):
            shape.detail(cabin[side], (start, 0.08, stop, 0.85), GLASS, 0.9)
    return shape.build()


@cache
def truck(is_box: bool, *, is_oncoming: bool) -> Shape:
    """A lorry with a closed box, or a tipper with an open bed; the nearer part is painted last."""
    shape = ShapeBuilder(TRUCK)
    _shadow(shape, 1.3, -4.2, 4.2)
    shape.frustum((1.0, 0.5, -4.0, 3.9), (1.0, 1.0, -4.0, 3.9), TRIM)
    if is_oncoming:
        _truck_bed(shape, is_box)
        _truck_cab(shape, is_box)
    else:
        _truck_cab(shape, is_box)
        _truck_bed(shape, is_box)
    _wheels(shape, 1.18, (-2.9, -1.8, 2.9), 0.48)
    return shape.build()


@cache
def bus(is_double: bool) -> Shape:
    """A city bus, one or two decks high: rows of large panes over a low skirt."""
    height, half_length = (4.2, 5.3) if is_double else (3.05, 5.8)
    shape = ShapeBuilder(BUS)
    _shadow(shape, 1.4, -half_length - 0.2, half_length + 0.2)
    body = shape.frustum((1.26, 0.3, -half_length, half_length), (1.24, height, -half_length, half_length - 0.1), BODY)
    bands = ((0.26, 0.5), (0.62, 0.86)) if is_double else ((0.4, 0.78),)
    for side in ("left", "right"):
        shape.detail(body[side], (0, 0, 1, 0.14 if is_double else 0.2), SECOND_BODY)
        for low, high in bands:
            _panes(shape, body[side], 7, (low, high))
        door = 0.04 if side == "left" else 0.84
        for start in (door, 0.45):
            shape.detail(body[side], (start, 0.03, start + 0.1, bands[0][1]), GLASS, 0.75)
            shape.detail(body[side], (start + 0.047, 0.03, start + 0.053, bands[0][1]), TRIM)
    for end, light in (("rear", TAIL_LIGHT), ("front", HEAD_LIGHT)):
        for low, high in bands:
            shape.detail(body[end], (0.08, low, 0.92, high), GLASS, 1.1)
        shape.detail(body[end], (0.2, 0.88, 0.8, 0.97), TRIM)
        shape.detail(body[end], (0.3, 0.9, 0.7, 0.95), SIGNAL, emission=0.8)
        _end_lights(shape, body[end], light, 0.1, 0.18)
    _wheels(shape, 1.26, (-half_length * 0.55, half_length * 0.6), 0.48)
    return shape.build()


@cache
def tram(num_sections: int, *, is_oncoming: bool) -> Shape:
    """A tram of joined sections with slanted ends, a window band and roof boxes; its far end is painted first."""
    length = 8.2
    shape = ShapeBuilder(TRAIN)
    half_length = num_sections * length / 2
    _shadow(shape, 1.3, -half_length, half_length)
    sections = range(num_sections)
    for section in sections if is_oncoming else reversed(sections):
        start = -half_length + section * length
        stop = start + length - 0.35
        first, last = section == 0, section == num_sections - 1
        if not first:
            shape.frustum((1.05, 0.4, start - 0.35, start), (1.05, 3.2, start - 0.35, start), TRIM)
        low = (1.22, 0.25, start, stop)
        high = (1.15, 3.35, start + 0.5 * first, stop - 0.5 * last)
        body = shape.frustum(low, high, BODY)
        for side in ("left", "right"):
            shape.detail(body[side], (0, 0, 1, 0.09), TRIM)
            shape.detail(body[side], (0, 0.1, 1, 0.36), SECOND_BODY)
            shape.detail(body[side], (0.02, 0.42, 0.98, 0.8), TRIM)
            _panes(shape, body[side], 4, (0.45, 0.77))
            shape.detail(body[side], (0.42, 0.08, 0.58, 0.8), GLASS, 0.7)
        _tram_end(shape, body["rear"], TAIL_LIGHT)
        _tram_end(shape, body["front"], HEAD_LIGHT)
        shape.frustum((0.9, 3.35, start + 1.5, stop - 1.5), (0.8, 3.75, start + 1.7, stop - 1.7), TRIM, 2.5)
    return shape.build()


def _shadow(shape: ShapeBuilder, half: float, rear: float, front: float) -> None:
    """Dark ground below a vehicle, and the tyres that show below its ends."""
    label, shape.label = shape.label, ROAD
    shape.polygon(((-half, 0, rear), (half, 0, rear), (half, 0, front), (-half, 0, front)), SHADOW)
    shape.label = label
    for z in (front - 0.75, rear + 0.75):
        for x in (0.3 - half, half - 0.3):
            shape.polygon(((x - 0.12, 0, z), (x + 0.12, 0, z), (x + 0.12, 0.5, z), (x - 0.12, 0.5, z)), TYRE)


def _wheels(shape: ShapeBuilder, half: float, axles: tuple[float, ...], radius: float) -> None:
    for axle in axles:
        for side in (-1, 1):
            for role, size, shade in ((TYRE, 1.2, 0.6), (TYRE, 1.0, 1.0), (RIM, 0.6, 1.0)):
                centre = (side * (half + 0.02), radius, axle)
                shape.disc(centre, radius * size, role, shade, across="z", one_sided=side)


def _end_lights(shape: ShapeBuilder, face: Quad, light: int, low: float, high: float) -> None:
    emission = 1.0 if light == TAIL_LIGHT else 2.0
    for start in (0.03, 0.8):
        shape.detail(face, (start, low, start + 0.17, high), light, emission=emission)


def _panes(shape: ShapeBuilder, face: Quad, count: int, band: tuple[float, float]) -> None:
    for pane in range(count):
        start = 0.03 + 0.94 * pane / count
        shape.detail(face, (start, band[0], start + 0.94 / count - 0.012, band[1]), GLASS, emission=0.25)


def _truck_cab(shape: ShapeBuilder, is_box: bool) -> None:
    cab = shape.frustum((1.15, 0.5, 2.1, 4.0), (1.1, 2.9 if is_box else 2.7, 2.1, 3.7), BODY)
    for side, start in (("left", 0.25), ("right", 0.2)):
        shape.detail(cab[side], (start, 0.5, start + 0.55, 0.88), GLASS)
    shape.detail(cab["front"], (0.06, 0.48, 0.94, 0.86), GLASS)
    shape.detail(cab["front"], (0.2, 0.2, 0.8, 0.4), TRIM)
    _end_lights(shape, cab["front"], HEAD_LIGHT, 0.06, 0.16)


def _truck_bed(shape: ShapeBuilder, is_box: bool) -> None:
    top = 3.6 if is_box else 1.9
    bed = shape.frustum((1.22, 0.95, -4.0, 1.9), (1.22, top, -4.0, 1.9), SECOND_BODY)
    for side in ("left", "right"):
        for rib in range(1, 8):
            shape.detail(bed[side], (rib / 8, 0.03, rib / 8 + 0.012, 0.97), SECOND_BODY, 0.6)
        if is_box:
            shape.detail(bed[side], (0.1, 0.42, 0.9, 0.62), BODY, 0.8)
    _truck_rear(shape, bed)


def _truck_rear(shape: ShapeBuilder, bed: dict[str, Quad]) -> None:
    shape.detail(bed["rear"], (0.49, 0.02, 0.51, 0.98), TRIM)
    for edge in ((0, 0, 0.03, 1), (0.97, 0, 1, 1), (0, 0.96, 1, 1), (0, 0, 1, 0.06)):
        shape.detail(bed["rear"], edge, SECOND_BODY, 0.55)
    bar = ((-1.15, 0.55, -4.02), (1.15, 0.55, -4.02), (1.15, 0.85, -4.02), (-1.15, 0.85, -4.02))
    shape.polygon(bar, TRIM, one_sided=True)
    _end_lights(shape, bar, TAIL_LIGHT, 0.1, 0.9)
    shape.detail(bar, (0.38, 0.1, 0.62, 0.9), PLATE)


def _tram_end(shape: ShapeBuilder, face: Quad, light: int) -> None:
    shape.detail(face, (0.0, 0.1, 1.0, 0.36), SECOND_BODY)
    shape.detail(face, (0.08, 0.4, 0.92, 0.8), GLASS, 0.9)
    shape.detail(face, (0.25, 0.85, 0.75, 0.95), TRIM)
    shape.detail(face, (0.35, 0.87, 0.65, 0.93), SIGNAL, emission=0.8)
    _end_lights(shape, face, light, 0.22, 0.3)
