"""The street as a plan: where its lanes, kerbs, sidewalks, crossing, junction and tracks lie."""

from dataclasses import dataclass

from training.streets.draws import Draws
from training.streets.styles import Style

__all__ = ["Side", "Street", "sample_street"]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the street, outwards from its kerb; `sign` is -1 on the left, metres are counted from the middle.

    Order outwards: kerb, verge (grass), sidewalk, yard (grass), front of the buildings.
    """

    sign: int
    kerb_m: float
    verge_m: float
    walk_m: float
    yard_m: float
    has_parking: bool

    @property
    def front_m(self) -> float:
        """Distance of the building line."""
        return self.kerb_m + self.verge_m + self.walk_m + self.yard_m

    def at(self, distance_m: float) -> float:
        """Position right of the camera of what is `distance_m` from it on this side."""
        return self.sign * distance_m


@dataclass(frozen=True, slots=True)
class Street:
    """A straight plan; the view bends it. Positions are metres right of the camera, or ahead of it."""

    left: Side
    right: Side
    lane_m: float
    lanes_ahead: tuple[float, ...]
    lanes_oncoming: tuple[float, ...]
    tracks: tuple[float, ...]
    crossings: tuple[float, ...]
    junction: tuple[float, float] | None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left and right."""
        return self.left, self.right

    def is_in_junction(self, ahead_m: float, margin_m: float = 0.0) -> bool:
        """Whether a crossing street passes there."""
        if self.junction is None:
            return False
        return self.junction[0] - margin_m < ahead_m < self.junction[1] + margin_m


def sample_street(draws: Draws, style: Style, *, has_tracks: bool) -> Street:
    """Draw a plan with the widths and frequencies of a style."""
    lane = draws.uniform(*style.lane_m)
    drift = draws.uniform(-0.35, 0.35)
    ahead = [drift, *([drift + lane] if draws.chance(style.second_lane) else [])]
    num_oncoming = (2 if draws.chance(style.second_lane) else 1) if draws.chance(0.85) else 0
    oncoming = [drift - lane * (1 + lane_number) for lane_number in range(num_oncoming)]
    tracks = [oncoming[0] if oncoming else drift, *([drift] if draws.chance(0.5) else [])] if has_tracks else []
    left = _sample_side(draws, style, -1, -min([*oncoming, drift]) + lane / 2)
    right = _sample_side(draws, style, 1, max(ahead) + lane / 2)
    junction = None
    if draws.chance(style.junction):
        start = draws.uniform(16, 45)
        junction = (start, start + draws.uniform(8, 12))
    crossings = [junction[0] - 4.5] if junction and draws.chance(0.7) else []
    if junction is None and draws.chance(style.crossing):
        crossings = [draws.uniform(8, 28)]
    return Street(
        left, right, lane, tuple(ahead), tuple(oncoming), tuple(dict.fromkeys(tracks)), tuple(crossings), junction
    )


def _sample_side(draws: Draws, style: Style, sign: int, edge_m: float) -> Side:
    has_parking = draws.chance(style.parking)
    return Side(
        sign=sign,
        kerb_m=edge_m + (2.2 if has_parking else 0.4),
        verge_m=draws.uniform(0.8, 2.2) if draws.chance(style.verge) else 0.0,
        walk_m=draws.uniform(*style.walk_m),
        yard_m=draws.uniform(2.0, 6.0) if draws.chance(style.yard) else 0.0,
        has_parking=has_parking,
    )
