"""What a bundle's manifest says of its artefacts, as Markdown."""

from collections.abc import Sequence

from benchmarks.tables import ABSENT, markdown_table, number
from runtime.bundle.manifest import Artefact

__all__ = ["artefact_table", "quantization_lines"]

MEGABYTE = 1e6


def artefact_table(artefacts: Sequence[Artefact]) -> list[str]:
    """A row for each artefact and engine that ran it; a column that no row has a figure for is left out."""
    header = [
        "file",
        "precision",
        "MB",
        "engine",
        "frames compared",
        "label agreement",
        "confidence off by at most",
        "logits' error",
        "rare-class recall",
        "mIoU",
        "change",
        "low precision",
        "SHA-256",
    ]
    rows = [row for artefact in artefacts for row in _artefact_rows(artefact)]
    is_kept = [any(row[column] != ABSENT for row in rows) for column in range(len(header))]
    kept = [[cell for cell, keep in zip(row, is_kept, strict=True) if keep] for row in (header, *rows)]
    return markdown_table(kept[0], kept[1:])


def _artefact_rows(artefact: Artefact) -> list[list[str]]:
    start = [artefact.file, artefact.precision, f"{artefact.num_bytes / MEGABYTE:.1f}"]
    share = artefact.low_precision_share
    end = [ABSENT if share is None else f"{share:.1%}", f"`{artefact.sha256[:12]}`"]
    if not artefact.parity:
        return [[*start, f"not run: {artefact.not_run}", *[ABSENT] * 7, *end]]
    return [
        [
            *start,
            parity.engine,
            str(parity.num_frames),
            f"{parity.label_agreement:.6f}",
            str(parity.max_confidence_difference),
            number(parity.logits_error, 5),
            number(parity.rare_recall, 4),
            number(parity.miou, 2),
            number(parity.miou_change, 2, is_signed=True),
            *end,
        ]
        for parity in artefact.parity
    ]


def quantization_lines(artefacts: Sequence[Artefact]) -> list[str]:
    """How each INT8 artefact got its integers."""
    lines = []
    for artefact in artefacts:
        if found := artefact.quantization:
            kept = (
                f"; in float: {', '.join(f'`{layer}`' for layer in found.float_layers)}" if found.float_layers else ""
            )
            trained = f"; {found.trained_iterations} iterations of training" if found.trained_iterations else ""
            lines.append(
                f"- {artefact.file}: {found.scheme}, ranges by {found.range_method} on {found.num_calibration_frames} "
                f"frames{trained}{kept}"
            )
    return [*lines, ""] if lines else []
