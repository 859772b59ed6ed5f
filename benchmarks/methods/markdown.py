"""`methods.md`: the tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.methods.summary import RowFigures, Summary
from benchmarks.methods.tables import Table

__all__ = ["NAMES", "digits_of", "markdown"]

PUBLISHED_NOTE = (
    "The column *published* is the paper's (arXiv 2306.01598): mIoU of GTA5 -> Cityscapes with DeepLabV2-ResNet-101, "
    "single runs. It is another benchmark and another network: compare the order of rows with it, not the values."
)
NAMES = {
    "miou": "mIoU, percent",
    "mirror_agreement": "mirror agreement",
    "entropy": "entropy, nats",
    "neighbourhood_density": "neighbourhood density",
    "num_classes": "classes predicted",
}


def markdown(tables: Sequence[Table], figures: Mapping[str, Sequence[RowFigures]], document: Mapping[str, Any]) -> str:
    """All tables as one Markdown page.

    Args:
        tables: their headings, in order.
        figures: rows by table name.
        document: what `methods.json` says besides the tables.
    """
    seeds, shown = document["seeds"], document["measures"]
    parts = [
        "# Comparison",
        f"{document['done']} of {document['cells']} cells done, {document['failed']} failed; seeds "
        f"{', '.join(map(str, seeds))}; {document['iterations']} steps unless the row says otherwise; "
        f"source network {document['source_sha256'][:12]}.",
        document["note"],
        "Mean +- sample standard deviation over the seeds that are done, then each seed's value; - where there is "
        "none. Gains are differences of the same seed.",
    ]
    if shown[0] == "miou":
        parts.append(PUBLISHED_NOTE)
    else:
        parts.append(
            "No labelled test set is configured: what follows are label-free scores, each of which alone can be fooled."
        )
    for table in tables:
        rows = figures[table.name]
        parts.append(f"## {table.heading}")
        for measure in shown:
            parts.append(_table(rows, measure, seeds, gain_over="source only" if table.has_baselines else "all"))
        parts += [f"Failed: {row.title}, seed {seed}: {why}" for row in rows for seed, why in row.failed.items()]
        if table.has_baselines and any(row.iou for row in rows):
            parts += [f"### {table.heading}: IoU of each class, percent", _per_class(rows)]
    return "\n\n".join(parts) + "\n"


def digits_of(measure: str) -> int:
    """Digits behind the point that are shown of a measure."""
    return 1 if measure in ("miou", "num_classes") else 3


def _table(rows: Sequence[RowFigures], measure: str, seeds: Sequence[int], *, gain_over: str) -> str:
    has_published = measure == "miou" and any(row.published is not None for row in rows)
    heads = ["row", NAMES[measure], *(f"seed {seed}" for seed in seeds), f"gain over {gain_over}"]
    lines = []
    for row in rows:
        cells = [row.title, _told(row.summary[measure], measure)]
        cells += [_number(row.values[measure].get(seed), measure) for seed in seeds]
        cells.append(_told(row.gain[measure], measure, signed=True))
        lines.append([*cells, _number(row.published, measure)] if has_published else cells)
    return _grid([*heads, "published"] if has_published else heads, lines)


def _per_class(rows: Sequence[RowFigures]) -> str:
    names = next(list(row.iou) for row in rows if row.iou)
    lines = [[name, *(_number(row.iou[name].mean if row.iou else None, "miou") for row in rows)] for name in names]
    return _grid(["class", *(row.title for row in rows)], lines)


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines))


def _told(summary: Summary, measure: str, *, signed: bool = False) -> str:
    mean = _number(summary.mean, measure, signed=signed)
    return mean if summary.spread is None else f"{mean} +- {_number(summary.spread, measure)}"


def _number(value: float | None, measure: str, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    digits = digits_of(measure)
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
