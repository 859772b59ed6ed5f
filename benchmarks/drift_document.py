"""`drift.json`: what one run of the command found, order by order, and the same for a terminal."""

from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.tables import ABSENT, text_table
from runtime.bundle.manifest import Share
from runtime.config import StrictModel

__all__ = ["DriftDocument", "DriftRow", "drift_text"]


class DriftRow(StrictModel):
    """One order of the frames.

    `num_looks` frames within the domain raised `num_false_alarms` and were looked at under an alarm for
    `share_alarmed` of the time. Frames beyond it were then noticed after `delay` looks, None where they were not, or
    where `is_already_alarmed`; frames within it ended the alarm after `looks_until_clear`, None where they did not.
    """

    is_shuffled: bool
    num_looks: PositiveInt
    num_false_alarms: NonNegativeInt
    share_alarmed: Share
    delay: PositiveInt | None
    is_already_alarmed: bool
    told: str
    looks_until_clear: PositiveInt | None


class DriftDocument(StrictModel):
    """All orders of one bundle; `bound` is the share of frames beyond an end of a feature that the test bets against.

    `features_ms` is the median time to compute a frame's features.
    """

    schema_version: Literal[1] = 1
    manifest_sha256: str
    artefact: str | None
    num_within: PositiveInt
    num_beyond: PositiveInt
    num_reference: PositiveInt
    num_independent: float
    bound: Share
    features_ms: float
    rows: tuple[DriftRow, ...]
    config: dict[str, Any]


def drift_text(document: DriftDocument) -> str:
    """A line an order, and the sentence of the first alarm."""
    header = ("order", "looks within", "false alarms", "delay", "looks until clear")
    rows = [
        (
            "shuffled" if row.is_shuffled else "as they come",
            str(row.num_looks),
            str(row.num_false_alarms),
            ABSENT if row.delay is None else str(row.delay),
            ABSENT if row.looks_until_clear is None else str(row.looks_until_clear),
        )
        for row in document.rows
    ]
    told = next((row.told for row in document.rows if row.told), "no frame beyond the domain was noticed")
    return "\n".join(
        (
            text_table(header, rows),
            f"{document.num_within} frames within, {document.num_beyond} beyond, shown again and again; the reference "
            f"has {document.num_reference}, worth {document.num_independent:.0f} independent ones: a share beyond an "
            f"end of a range counts as its own up to {document.bound:.1%}",
            told,
            f"features of a frame: {document.features_ms:.2f} ms",
        )
    )
