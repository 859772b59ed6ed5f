"""The Markdown tables of one block of rows: figures, differences, cost, classes."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from benchmarks.methods.figures.blocks import Block
from benchmarks.methods.figures.significance import Difference
from benchmarks.methods.figures.summary import RowFigures, Summary
from benchmarks.tables import ABSENT, markdown_table, number

__all__ = [
    "NAMES",
    "base_of",
    "costs_table",
    "differences_table",
    "digits_of",
    "figures_table",
    "per_class_table",
    "told",
]

NAMES = {
    "miou": "mIoU, percent",
    "mirror_agreement": "mirror agreement",
    "entropy": "entropy, nats",
    "neighbourhood_density": "neighbourhood density",
    "num_classes": "classes predicted",
}


def digits_of(measure: str) -> int:
    """Digits behind the point that are shown of a measure."""
    return 1 if measure in ("miou", "num_classes") else 3


def told(summary: Summary, measure: str, *, is_signed: bool = False) -> str:
    """Mean and spread in the digits of a measure."""
    digits = digits_of(measure)
    mean = number(summary.mean, digits, is_signed=is_signed)
    return mean if summary.spread is None else f"{mean} +- {number(summary.spread, digits)}"


def base_of(block: Block) -> str:
    """The row that gains of a block are over."""
    return "source only" if block.table.has_baselines else "all"


def figures_table(block: Block, measure: str, seeds: Sequence[int], notes: Mapping[str, int]) -> str:
    """Value, seeds and gain of every row, then the columns of which there are any figures."""
    rows, digits = block.rows, digits_of(measure)
    head = ["row", NAMES[measure], *(f"seed {seed}" for seed in seeds), f"gain over {base_of(block)}"]
    lines = [
        [
            f"{row.title} ({notes[row.title]})" if row.title in notes else row.title,
            told(row.summary[measure], measure),
            *(number(row.values[measure].get(seed), digits) for seed in seeds),
            told(row.gain[measure], measure, is_signed=True),
        ]
        for row in rows
    ]
    more = {
        "gain over the best without a step": [told(row.over_best, measure, is_signed=True) for row in rows],
        "source to oracle, %": [_percent(row.recovered) for row in rows],
        "blend to oracle, %": [_percent(row.recovered_of_blend) for row in rows],
        "published": [number(row.published, digits) for row in rows],
    }
    for name, cells in more.items():
        if measure == "miou" and any(cell != ABSENT for cell in cells):
            head.append(name)
            lines = [[*line, cell] for line, cell in zip(lines, cells, strict=True)]
    return "\n".join(markdown_table(head, lines))


def _percent(summary: Summary) -> str:
    mean = number(summary.mean, 0)
    return mean if summary.spread is None else f"{mean} +- {number(summary.spread, 0)}"


def differences_table(block: Block) -> str:
    """How far every row is behind the leading one, and how sure that is."""
    head = ["row", "seeds", "difference", "95 % over seeds", "p", "p (Holm)", "95 % over frames"]
    return "\n".join(markdown_table(head, [_difference(one) for one in block.differences]))


def _difference(one: Difference) -> list[str]:
    why_not = f"({one.why_not})" if one.why_not else ABSENT
    return [
        one.title,
        str(one.num_seeds),
        number(one.mean, 1, is_signed=True),
        why_not if one.interval is None else _interval(one.interval),
        _probability(one.p),
        _probability(one.p_holm),
        ABSENT if one.interval_of_frames is None else _interval(one.interval_of_frames),
    ]


def _interval(ends: tuple[float, float]) -> str:
    low, high = (number(end, 1, is_signed=True) for end in ends)
    return f"{low} to {high}"


def _probability(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else number(p, 3)


def costs_table(block: Block) -> str:
    """Time and memory of every row that learnt something, mean and peak over its cells."""
    lines = [
        [
            row.title,
            number(fmean(cost.seconds for cost in row.costs), 0),
            number(fmean(cost.step_seconds for cost in row.costs), 3),
            number(max(cost.peak_mib for cost in row.costs), 0),
        ]
        for row in block.rows
        if row.costs
    ]
    return "\n".join(markdown_table(["row", "seconds", "seconds per step", "MiB at most"], lines))


def per_class_table(rows: Sequence[RowFigures]) -> str:
    """IoU of each class, a row of the table each."""
    names = next(list(row.iou) for row in rows if row.iou)
    lines = [[row.title, *(number(row.iou[name].mean if row.iou else None, 1) for name in names)] for row in rows]
    return "\n".join(markdown_table(["row", *names], lines))
