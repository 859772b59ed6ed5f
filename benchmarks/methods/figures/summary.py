"""From the results of cells to the figures of tables: mean, spread over seeds, and gain of the same seed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any

from benchmarks.methods.cells.results import CellResult, Cost, Figures
from benchmarks.methods.rows.row import Row
from benchmarks.methods.rows.tables import PUBLISHED_SOURCE

__all__ = ["NOTHING", "RowFigures", "Summary", "baseline_figures", "measures", "row_figures", "summarise"]

SCORES = ("mirror_agreement", "entropy", "neighbourhood_density", "num_classes")


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and sample standard deviation of some values; None where there are too few of them."""

    mean: float | None
    spread: float | None


NOTHING = Summary(None, None)


@dataclass(frozen=True, slots=True)
class RowFigures:
    """One row of a table. `values` and `gain` are per measure; a seed that failed or has not run is not in `values`."""

    title: str
    changes: Mapping[str, Any]
    values: Mapping[str, Mapping[int, float]]
    summary: Mapping[str, Summary]
    gain: Mapping[str, Summary]
    """Over the row compared with, seed by seed."""
    iou: Mapping[str, Summary] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    over_best: Summary = NOTHING
    """Gain over the best row without a gradient step, in mIoU; this and what follows only beside such rows."""
    recovered: Summary = NOTHING
    """Percent of the way from the source network to the oracle's mean; that of the oracle is 100."""
    recovered_of_blend: Summary = NOTHING
    """The same from the blend of statistics that cells start from."""
    costs: Sequence[Cost] = ()
    note: str = ""
    published: float | None = None
    setting: tuple[str, float] | None = None
    is_baseline: bool = False
    """Without a gradient step, hence without seeds."""
    is_oracle: bool = False
    """Learnt from the target's training labels."""
    needs_source: bool = False
    """Learns from labelled source frames too."""
    is_configured: bool = False
    """Its cells are those of the row `all`."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into `methods.json`."""
        return {**asdict(self), "costs": [cost.model_dump() for cost in self.costs]}


def measures(*, has_labels: bool) -> tuple[str, ...]:
    """What tables show: mIoU, or, without target labels, the label-free scores; the first one is drawn."""
    return ("miou",) if has_labels else SCORES


def summarise(values: Sequence[float]) -> Summary:
    """Mean of one value or more, and sample standard deviation (n - 1) of two or more."""
    return Summary(
        mean=_rounded(fmean(values)) if values else None,
        spread=_rounded(stdev(values)) if len(values) > 1 else None,
    )


def row_figures(
    row: Row,
    results: Mapping[int, CellResult],
    shown: Sequence[str],
    compared_with: Mapping[str, Mapping[int, float]],
    *,
    is_configured: bool = False,
    is_oracle: bool = False,
    needs_source: bool = False,
) -> RowFigures:
    """Figures of a row.

    Args:
        row: title, changes and published figure.
        results: of the seeds that have run.
        shown: the measures.
        compared_with: per measure, the values of the row that gains are over, by seed.
        is_configured: whether the row changes nothing.
        is_oracle: whether it learns from the target's labels.
        needs_source: whether it learns from labelled source frames.
    """
    done = {seed: result.figures for seed, result in results.items() if result.figures is not None}
    values = {measure: _values(done, measure) for measure in shown}
    return RowFigures(
        title=row.title,
        changes=dict(row.changes),
        values=values,
        summary={measure: summarise(list(found.values())) for measure, found in values.items()},
        gain={measure: _gain(found, compared_with.get(measure, {})) for measure, found in values.items()},
        iou=_iou(list(done.values())),
        failed={seed: result.failed for seed, result in results.items() if result.failed is not None},
        costs=[result.cost for result in results.values() if result.cost is not None],
        note="; ".join(filter(None, [row.note, _veto_note(results)])),
        published=row.published,
        setting=row.setting,
        is_configured=is_configured,
        is_oracle=is_oracle,
        needs_source=needs_source,
    )


def baseline_figures(title: str, figures: Figures, shown: Sequence[str], source: Figures) -> RowFigures:
    """Figures of a row that no seed changes: one value, no spread, and the gain over the source network."""
    values, over = ({measure: _value(one, measure) for measure in shown} for one in (figures, source))
    return RowFigures(
        title=title,
        changes={},
        values={measure: {} for measure in shown},
        summary={measure: Summary(value, None) for measure, value in values.items()},
        gain={
            measure: summarise([value - other] if value is not None and (other := over[measure]) is not None else [])
            for measure, value in values.items()
        },
        iou=_iou([figures]),
        published=PUBLISHED_SOURCE if title == "source only" else None,
        is_baseline=True,
    )


def _veto_note(results: Mapping[int, CellResult]) -> str:
    """That figures are of a row's start, where they are; empty otherwise."""
    vetoed = [str(seed) for seed, result in sorted(results.items()) if result.is_vetoed]
    return f"lost too many classes and was vetoed with seed {', '.join(vetoed)}: figures of its start" if vetoed else ""


def _values(figures: Mapping[int, Figures], measure: str) -> dict[int, float]:
    found = {seed: _value(one, measure) for seed, one in figures.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _value(figures: Figures, measure: str) -> float | None:
    return figures.miou if measure == "miou" else figures.scores.get(measure)


def _gain(values: Mapping[int, float], others: Mapping[int, float]) -> Summary:
    return summarise([value - others[seed] for seed, value in values.items() if seed in others])


def _iou(figures: Sequence[Figures]) -> dict[str, Summary]:
    names = figures[0].iou if figures else {}
    found = {name: [one.iou.get(name) for one in figures] for name in names}
    return {name: summarise([value for value in values if value is not None]) for name, values in found.items()}


def _rounded(value: float) -> float:
    return round(value, 4)
