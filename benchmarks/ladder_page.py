"""The ladder as a table: Markdown for its page, aligned text for a terminal."""

from pathlib import Path

from benchmarks.document import LadderDocument, LadderRow, Ratio
from benchmarks.samples import MIN_SAMPLES
from benchmarks.tables import change, markdown_table, number, share, text_table

__all__ = ["ladder_page", "ladder_text"]

MEGABYTE = 1e6


def ladder_page(document: LadderDocument, bundle: Path, document_name: str) -> str:
    """The whole page, in Markdown.

    Args:
        document: what was measured.
        bundle: named in the title.
        document_name: file of the document, beside the page.
    """
    lines = [
        f"# Every artefact of `{bundle}`",
        "",
        *markdown_table(_header(document), [_cells(document, row) for row in document.rows]),
        "",
        *(f"- {line}" for line in _legend(document)),
        "",
        *document.environment.table(),
        "",
        f"Document, with every sample: [{document_name}]({document_name})",
    ]
    return "\n".join(lines) + "\n"


def ladder_text(document: LadderDocument) -> str:
    """Table and legend for a terminal."""
    table = text_table(_header(document), [_cells(document, row) for row in document.rows], num_left=2)
    return "\n".join([table, *_legend(document)])


def _header(document: LadderDocument) -> list[str]:
    return [
        "artefact",
        "engine",
        "MB",
        "label agreement",
        *(["mIoU", "change"] if document.num_test_frames else []),
        "median ms",
        *(["p90 ms"] if _has_p90(document) else []),
        "x fp32, same engine",
        "x ONNX Runtime fp32",
        "",
    ]


def _cells(document: LadderDocument, row: LadderRow) -> list[str]:
    is_reference = row.artefact is None
    accuracy = (
        [number(row.miou, 2), change(row.miou_change, row.miou_change_interval)] if document.num_test_frames else []
    )
    return [
        row.artefact or "checkpoint",
        row.engine,
        f"{row.num_bytes / MEGABYTE:.1f}",
        "reference" if is_reference else share(row.label_agreement, 4),
        *accuracy,
        number(row.median_ms, 2),
        *([number(row.p90_ms, 2)] if _has_p90(document) else []),
        _times(row.faster_than_fp32),
        _times(row.faster_than_onnxruntime),
        _remark(row),
    ]


def _remark(row: LadderRow) -> str:
    if row.not_run is not None:
        return f"not run: {' '.join(row.not_run.split())}"
    return "" if row.refusal is None else "no score"


def _times(ratio: Ratio | None) -> str:
    return number(None if ratio is None else ratio.value, 2)


def _has_p90(document: LadderDocument) -> bool:
    return document.num_rounds >= MIN_SAMPLES["p90"]


def _legend(document: LadderDocument) -> list[str]:
    """What the columns mean, and what is missing."""
    lines = [
        f"Label agreement: share of pixels with the label of PyTorch in float32, on {document.num_compared} frames.",
        f"Latency: {document.scenario}. Median of {document.num_rounds} samples each, taking turns; none dropped; "
        f"CPU threads: {document.environment.threads}. x: how many times as fast, by the medians of this run.",
    ]
    if document.num_test_frames:
        lines.insert(
            1,
            f"mIoU: percent, over {document.num_test_frames} labelled frames and the classes they have; change in "
            "points against PyTorch, with a 95 % bootstrap interval over these frames.",
        )
    refusals = [
        f"No score for {row.artefact} in {row.engine}: {' '.join(row.refusal.split())}."
        for row in document.rows
        if row.refusal is not None
    ]
    return [*lines, *document.notes, *refusals]
