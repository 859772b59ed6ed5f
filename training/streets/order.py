"""Painting order of long solids side by side, which the depth of their near ends alone does not settle."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.streets.shapes import Solid

__all__ = ["outer_first"]

_STEP_M = 0.01
_MAX_LINKS = 4


@dataclass(slots=True)
class _Extent:
    """Where a solid lies along the street, and the order it gets."""

    solid: Solid
    x_m: float
    near_m: float
    far_m: float
    order_m: float


def outer_first(solids: Sequence[Solid]) -> list[Solid]:
    """Lower `order_m` where needed, so that of two solids side by side the one nearer to the camera's path is last.

    A line of sight leads outwards, so what lies farther out never hides what lies farther in. Of solids that are not
    side by side the nearer stays last.
    """
    extents = [_extent(solid) for solid in solids]
    pairs = [(inner, outer) for inner in extents for outer in extents if _may_hide(inner, outer)]
    # An order handed down a row of vehicles takes one pass per link; longer rows than this do not occur side by side.
    for _ in range(_MAX_LINKS):
        for inner, outer in pairs:
            inner.order_m = min(inner.order_m, outer.order_m - _STEP_M)
    return [extent.solid._replace(order_m=extent.order_m) for extent in extents]


def _extent(solid: Solid) -> _Extent:
    low, high = solid.vertices.min(axis=0).tolist(), solid.vertices.max(axis=0).tolist()
    return _Extent(solid, (low[0] + high[0]) / 2, low[2], high[2], solid.order_m)


def _may_hide(inner: _Extent, outer: _Extent) -> bool:
    """Whether `inner` lies beside `outer` on the same side, or before it in the same lane."""
    across = abs(outer.x_m) - abs(inner.x_m)
    if across > 1:
        is_same_side = outer.x_m * inner.x_m > 0 or abs(inner.x_m) < 1.3
        return is_same_side and outer.near_m < inner.far_m and inner.near_m < outer.far_m
    return abs(outer.x_m - inner.x_m) < 1 and inner.near_m < outer.near_m
