"""The bundle beside its peers as a table: Markdown for its page, aligned text for a terminal."""

from pathlib import Path

from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.samples import MIN_SAMPLES
from benchmarks.tables import change, markdown_table, number, share, text_table, with_interval

__all__ = ["peers_legend", "peers_page", "peers_text"]


def peers_page(document: PeersDocument, bundle: Path, document_name: str, picture_name: str) -> str:
    """The whole page, in Markdown.

    Args:
        document: what was measured.
        bundle: named in the title.
        document_name: file of the document, beside the page.
        picture_name: file of the picture, beside the page.
    """
    table = markdown_table(_header(document), [_cells(document, row) for row in document.rows])
    lines = [
        f"# `{bundle}` beside its peers",
        "",
        f"![Median time of each, and the floor under it]({picture_name})",
        "",
        *table,
        "",
        *(f"- {line}" for line in peers_legend(document)),
        "",
        "From frame to labels:",
        "",
        *(f"- {row.name}: {row.path}" for row in document.rows),
        "",
        *document.environment.table(),
        "",
        f"Document, with every sample: [{document_name}]({document_name})",
    ]
    return "\n".join(lines) + "\n"


def peers_text(document: PeersDocument) -> str:
    """Table and legend for a terminal."""
    table = text_table(_header(document), [_cells(document, row) for row in document.rows], num_left=1)
    return "\n".join([table, *peers_legend(document)])


def _percentiles(document: PeersDocument) -> list[str]:
    """Those that the rounds are enough for, but for the median."""
    return [name for name, needed in MIN_SAMPLES.items() if name != "p50" and document.num_rounds >= needed]


def _header(document: PeersDocument) -> list[str]:
    return [
        "from a decoded frame to its label map",
        "computes in",
        "label agreement",
        *(["mIoU", "change"] if document.num_test_frames else []),
        "median ms",
        *(f"{name} ms" for name in _percentiles(document)),
        "max ms",
        "first ms",
        "ours is faster, x",
        "share of the floor",
        "",
    ]


def _cells(document: PeersDocument, row: PeerRow) -> list[str]:
    return [
        f"**{row.name}**" if row.is_ours else row.name,
        row.precision,
        share(row.label_agreement, 4),
        *([number(row.miou, 2), change(row.miou_change, row.miou_change_interval)] if document.num_test_frames else []),
        number(row.percentiles_ms.get("p50"), 2),
        *(number(row.percentiles_ms.get(name), 2) for name in _percentiles(document)),
        number(row.max_ms, 2),
        number(row.first_inference_ms, 0),
        with_interval(row.ours_is_faster),
        share(row.floor_share, 0),
        _remark(row),
    ]


def _remark(row: PeerRow) -> str:
    if row.not_run is not None:
        return f"not run: {' '.join(row.not_run.split())}"
    return "" if row.refusal is None else f"no score: {row.refusal}"


def peers_legend(document: PeersDocument) -> list[str]:
    """What the figures mean, a sentence or two each, and which demands they do not meet."""
    peak = ", ".join(
        f"{name} {found / 1e9:.0f} billion operations a second"
        for name, found in document.peak.operations_per_s.items()
    )
    frame, seen = (f"{height} x {width}" for height, width in (document.frame_hw, document.network_hw))
    given = ", each engine's own default" if document.config.get("threads") is None else ""
    lines = [
        f"Network: {document.network}, which sees frames of {frame} pixels (height x width) at {seen}.",
        f"Latency: {document.scenario}. Median of {document.num_rounds} frames each, taking turns in an order drawn "
        f"anew; none dropped; CPU threads: {document.environment.threads}{given}. First: the first frame after "
        "loading; that of a bundle comes after its warm-up and golden frames.",
        "Ours: the first bold row, the runtime's own choice; with 95 % bootstrap interval within this run.",
        f"Label agreement: share of pixels with the label of PyTorch eager in float32, on {document.num_compared} of "
        "the timed frames.",
        f"Floor: {document.work.operations / 1e9:.1f} billion operations of convolutions and matrix products a frame, "
        f"at the best that a large matrix product reached here ({peak}), or the weights at the speed of a large copy "
        f"({document.peak.bytes_per_s / 1e9:.0f} GB a second), whichever takes longer. Resizing and argmax are free.",
    ]
    if document.num_test_frames:
        lines.append(
            f"mIoU: percent, over {document.num_test_frames} labelled frames and the classes they have; change in "
            "points against PyTorch eager, with a 95 % bootstrap interval over these frames."
        )
    if document.benchmark_app_ms is not None:
        lines.append(
            f"OpenVINO's benchmark_app gives a median of {document.benchmark_app_ms:.2f} ms for its own conversion: "
            "the engine alone, one request at a time, on random numbers, without what comes before and after."
        )
    if any((row.floor_share or 0.0) > 1.0 for row in document.rows):
        lines.append(
            "A share above 100 % says that the peak was measured too low, as on a machine that did other work beside "
            "this, or that an engine needs fewer operations than are counted, as Winograd's convolutions do."
        )
    return [*lines, *(f"Not met: {unmet}." for unmet in document.unmet)]
