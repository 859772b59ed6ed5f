"""`methods.md`: the tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.methods.figures.blocks import Block, StudyFigures
from benchmarks.methods.page.block_tables import (
    NAMES,
    base_of,
    costs_table,
    differences_table,
    figures_table,
    per_class_table,
    told,
)
from benchmarks.tables import text_table

__all__ = ["markdown", "summary_text"]

PUBLISHED_NOTE = (
    "The column *published* is each paper's own: mIoU of GTA5 -> Cityscapes, single runs, as a rule with "
    "DeepLabV2-ResNet-101. It is another benchmark and another network: compare the order of rows with it, not values."
)
SIGNIFICANCE_NOTE = (
    "Differences are of equal seeds, from the row with the highest mean, which is chosen by the same figures and "
    "therefore flattered. Interval and p: Student's t over the seeds, which another source network would not obey; "
    "p (Holm) is corrected for the rows of the block. The last column resamples test frames, in runs of neighbours, "
    "seeds as they are."
)
COST_NOTE = (
    "Seconds are of all steps and of settling statistics, without labels and importance, which methods share, and "
    "without the evaluation; a cell that was interrupted counts from where it was resumed. Memory is the peak of the "
    "cell's process, of a GPU what was allocated on it."
)


def markdown(figures: Sequence[StudyFigures], document: Mapping[str, Any]) -> str:
    """All tables as one Markdown page.

    Args:
        figures: by data set.
        document: what `methods.json` says besides the tables.
    """
    seeds, environment = document["seeds"], document["environment"]
    machine = environment["gpu"] or environment["cpu"]
    parts = [
        "# Methods",
        f"{document['done']} of {document['cells']} cells done, {document['failed']} failed; seeds "
        f"{', '.join(map(str, seeds))}; {document['workers']} at a time, CPU threads of each: "
        f"{environment['threads']}; on {machine}.",
        document["note"],
        "Mean +- sample standard deviation over the seeds that are done, then each seed's value; - where there is "
        "none. Gains are differences of the same seed.",
    ]
    for one in figures:
        parts += _study(one, seeds)
    return "\n\n".join(parts) + "\n"


def summary_text(figures: Sequence[StudyFigures]) -> str:
    """The first measure of every row, for a terminal."""
    parts = []
    for one in figures:
        measure = one.measures[0]
        for block in one.blocks:
            heading = ", ".join(
                part for part in (one.study.comparison.name, block.table.heading, block.heading) if part
            )
            rows = [
                [row.title, told(row.summary[measure], measure), told(row.gain[measure], measure, is_signed=True)]
                for row in block.rows
            ]
            parts.append(f"{heading}\n" + text_table(["row", NAMES[measure], f"gain over {base_of(block)}"], rows))
    return "\n\n".join(parts)


def _study(figures: StudyFigures, seeds: Sequence[int]) -> list[str]:
    comparison, measures = figures.study.comparison, figures.measures
    adaptation = comparison.config.adaptation
    parts = [
        f"## {comparison.name}",
        f"{adaptation.iterations} steps of {adaptation.batch_size} crops unless the row says otherwise; source network "
        f"{comparison.source_sha256[:12]}; {comparison.compute.device.type}, {comparison.compute.precision}.",
    ]
    if measures[0] != "miou":
        parts.append(
            "No labelled test set is configured: what follows are label-free scores, each of which alone can be fooled."
        )
    if any(row.published is not None for block in figures.blocks for row in block.rows) and measures[0] == "miou":
        parts.append(PUBLISHED_NOTE)
    if figures.study.why_no_oracle is not None and any(block.table.has_baselines for block in figures.blocks):
        parts.append(f"No oracle: {figures.study.why_no_oracle}.")
    for place, block in enumerate(figures.blocks):
        if place == 0 or figures.blocks[place - 1].table is not block.table:
            parts.append(f"### {block.table.heading}")
        parts += _block(block, measures, seeds)
    return parts


def _block(block: Block, measures: Sequence[str], seeds: Sequence[int]) -> list[str]:
    notes = {row.title: place for place, row in enumerate((row for row in block.rows if row.note), start=1)}
    parts = [f"#### {block.heading}"] if block.heading else []
    parts += [figures_table(block, measure, seeds, notes) for measure in measures]
    noted = [f"{place}. {row.note}" for row in block.rows if (place := notes.get(row.title))]
    parts += ["\n".join(noted)] if noted else []
    parts += [f"Failed: {row.title}, seed {seed}: {why}" for row in block.rows for seed, why in row.failed.items()]
    if block.differences:
        parts += [f"Differences from {block.differences[0].leader}. {SIGNIFICANCE_NOTE}", differences_table(block)]
    if any(row.costs for row in block.rows):
        parts += [f"Cost. {COST_NOTE}", costs_table(block)]
    if block.table.has_baselines and any(row.iou for row in block.rows):
        parts += ["IoU of each class, percent, mean over seeds:", per_class_table(block.rows)]
    return parts
