"""What the runs say together, in sentences."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from benchmarks.stability.document import Figure, StabilityDocument, StabilityRow
from benchmarks.stability.facts import differences

__all__ = ["middle_spread", "verdict"]

FigureOf = Callable[[StabilityRow], Figure]


def verdict(document: StabilityDocument) -> list[str]:
    """Whether ratios moved less than milliseconds, which figures are stable, and in what the runs differ."""
    return list(_sentences(document))


def middle_spread(rows: Sequence[StabilityRow], figure: FigureOf) -> float | None:
    """Percent: the median over rows of how far a figure moved between runs; None where no row tells."""
    spreads = [spread for row in rows if (spread := figure(row).spread_percent) is not None]
    return median(spreads) if spreads else None


def _sentences(document: StabilityDocument) -> Iterator[str]:
    # Of the same rows, so that the two can be compared.
    rows = [row for row in document.rows if row.ours_is_faster.spread_percent is not None]
    if not rows:
        yield "No row has a ratio in two of the runs: nothing can be said of how stable they are."
    else:
        yield _moved(rows, len(document.runs))
        yield f"Stable ratios, whose intervals overlap: {_stable(rows, _ratio)}."
        yield f"Stable medians, whose intervals overlap: {_stable(rows, _median)}."
    ours = document.ours_median_ms
    names = {run.ours for run in document.runs}
    if ours.spread_percent is not None and len(names) == 1:
        yield f"The bundle's own median, which every ratio is over, moved by {ours.spread_percent:.1f} %."
    if len(names) > 1:
        yield (
            "The runtime did not choose the same in every run, so that each run's ratios are over another time of "
            f"ours: {', then '.join(run.ours for run in document.runs)}."
        )
    if different := differences(document.runs):
        yield f"The runs differ in: {', '.join(different)}."


def _ratio(row: StabilityRow) -> Figure:
    return row.ours_is_faster


def _median(row: StabilityRow) -> Figure:
    return row.median_ms


def _moved(rows: Sequence[StabilityRow], num_runs: int) -> str:
    ratios, medians = middle_spread(rows, _ratio), middle_spread(rows, _median)
    assert ratios is not None
    assert medians is not None
    # As they are shown: of two equal numbers none is said to be less.
    shown = round(ratios, 1), round(medians, 1)
    than = "as much as" if shown[0] == shown[1] else "less than" if shown[0] < shown[1] else "more than"
    return (
        f"Over {num_runs} runs, ratios moved {than} milliseconds: by {shown[0]} % against {shown[1]} % in the middle "
        f"of {len(rows)} rows, at most by {_most(rows, _ratio)} against {_most(rows, _median)}."
    )


def _most(rows: Sequence[StabilityRow], figure: FigureOf) -> str:
    row = max(rows, key=lambda row: figure(row).spread_percent or 0.0)
    return f"{figure(row).spread_percent:.1f} % ({row.name})"


def _stable(rows: Sequence[StabilityRow], figure: FigureOf) -> str:
    names = [row.name for row in rows if figure(row).is_stable]
    listed = f" ({'; '.join(names)})" if names else ""
    return f"{len(names)} of {len(rows)}{listed}"
