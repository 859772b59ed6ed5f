"""How far a row gets between what costs no gradient step and what labels would have given."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.methods.figures.summary import NOTHING, RowFigures, Summary, summarise

__all__ = ["placed"]


def placed(rows: Sequence[RowFigures], oracle: RowFigures | None) -> list[RowFigures]:
    """Rows by what lies around them: the source network, the best row without a gradient step, and the oracle.

    Args:
        rows: those without a gradient step among them.
        oracle: the row that learnt from the target's labels; None where there is none.
    """
    without = {row.title: mean for row in rows if row.is_baseline and (mean := _mean(row)) is not None}
    best, source, blend = max(without.values(), default=None), without.get("source only"), without.get("BN as chosen")
    goal = None if oracle is None else _mean(oracle)
    return [
        replace(
            row,
            over_best=_shares(row, best, None),
            recovered=NOTHING if goal is None else _shares(row, source, goal),
            recovered_of_blend=NOTHING if goal is None else _shares(row, blend, goal),
        )
        for row in (*rows, *([] if oracle is None else [oracle]))
    ]


def _mean(row: RowFigures) -> float | None:
    return row.summary["miou"].mean if "miou" in row.summary else None


def _shares(row: RowFigures, start: float | None, goal: float | None) -> Summary:
    """How far above the start a row's seeds are, in points, or in percent of the way to the goal."""
    mean = _mean(row)
    if mean is None or start is None or (goal is not None and goal <= start):
        return NOTHING
    unit = 1.0 if goal is None else (goal - start) / 100
    return summarise([(value - start) / unit for value in row.values["miou"].values() or [mean]])
