"""All artefacts of an export in one table, kept and refused: for people, for a README, for programs."""

from collections.abc import Sequence
from typing import Any

from export.gates.shares import share_text
from export.gates.verdict import Verdict
from runtime.bundle.manifest import ClassParity, Parity

__all__ = ["gate_document", "gate_markdown", "gate_table"]

HEADINGS = (
    "artefact",
    "MB",
    "engine",
    "agreement",
    "worst class recall",
    "rare recall",
    "logits error",
    "mIoU",
    "change",
    "low precision",
    "verdict",
)
NOTHING = "-"


def gate_table(verdicts: Sequence[Verdict]) -> str:
    """The table as aligned text, and below it a line for each problem and each artefact that was not run."""
    rows = [HEADINGS, *(row for verdict in verdicts for row in _rows(verdict))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *_remarks(verdicts)])


def gate_markdown(verdicts: Sequence[Verdict]) -> str:
    """The same in Markdown."""
    rows = [HEADINGS, [":--" if column in _WORDS else "--:" for column in HEADINGS]]
    rows += [row for verdict in verdicts for row in _rows(verdict)]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    remarks = [f"- {remark}" for remark in _remarks(verdicts)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def gate_document(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The same as JSON values: the manifest's entry of each artefact, refused ones too, with verdict and problems."""
    return [
        {
            **verdict.artefact.model_dump(mode="json"),
            "verdict": verdict.word,
            "problems": list(verdict.problems),
        }
        for verdict in verdicts
    ]


_WORDS = {"artefact", "engine", "worst class recall", "verdict"}


def _rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """A row for each engine; a single one where none ran the artefact."""
    artefact = verdict.artefact
    share = NOTHING if artefact.low_precision_share is None else share_text(artefact.low_precision_share, 3)
    start, end = (artefact.file, f"{artefact.num_bytes / 1e6:.1f}"), (share, verdict.word)
    if not artefact.parity:
        return [(*start, *[NOTHING] * (len(HEADINGS) - len(start) - len(end)), *end)]
    return [(*start, *_figures(parity), *end) for parity in artefact.parity]


def _figures(parity: Parity) -> tuple[str, ...]:
    worst = _worst(parity)
    return (
        parity.engine,
        share_text(parity.label_agreement, 6),
        NOTHING if worst is None else f"{share_text(worst.recall or 0.0, 4)} {worst.name}",
        NOTHING if parity.rare_recall is None else share_text(parity.rare_recall, 4),
        NOTHING if parity.logits_error is None else f"{parity.logits_error:.1e}",
        NOTHING if parity.miou is None else f"{parity.miou:.2f}",
        NOTHING if parity.miou_change is None else f"{round(parity.miou_change, 2) + 0.0:+.2f}",
    )


def _worst(parity: Parity) -> ClassParity | None:
    judged = [entry for entry in parity.classes if entry.recall is not None]
    return min(judged, key=lambda entry: entry.recall or 0.0, default=None)


def _remarks(verdicts: Sequence[Verdict]) -> list[str]:
    remarks = []
    for verdict in verdicts:
        file = verdict.artefact.file
        if verdict.artefact.not_run:
            remarks.append(f"{file} was not run: {verdict.artefact.not_run}")
        remarks += [f"{file} is refused: {problem}" for problem in verdict.problems]
    return remarks


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if heading in _WORDS else cell.rjust(width)
        for cell, heading, width in zip(row, HEADINGS, widths, strict=True)
    ]
