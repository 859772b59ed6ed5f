"""How far runs agree on one figure."""

from collections.abc import Sequence

from benchmarks.stability.document import Estimate, Figure

__all__ = ["figure_of"]


def figure_of(by_run: Sequence[Estimate | None]) -> Figure:
    """The figure with its spread between runs; intervals on a line that overlap in pairs all have a value in common."""
    found = [estimate for estimate in by_run if estimate is not None]
    if len(found) < 2:
        return Figure(by_run=tuple(by_run), spread_percent=None, is_stable=None)
    values = [estimate.value for estimate in found]
    return Figure(
        by_run=tuple(by_run),
        spread_percent=100 * (max(values) / min(values) - 1),
        is_stable=max(estimate.low for estimate in found) <= min(estimate.high for estimate in found),
    )
