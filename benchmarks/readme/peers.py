"""The bundle beside its peers, as docs/benchmarks.md and README.md show it."""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.readme.figures import document_of
from benchmarks.tables import ABSENT, change, markdown_table, number, share
from runtime.errors import DataError

__all__ = ["peers_brief", "peers_of", "peers_results"]


def peers_of(document: Mapping[str, Any]) -> PeersDocument:
    """The document of `python -m benchmarks peers`.

    Raises:
        DataError: it is none of that command, or the runtime's choice has no score in it.
    """
    found = document_of(document, PeersDocument, "peers", "peers.json")
    if not any(row.is_ours for row in found.rows) or not found.chosen.samples_ns:
        raise DataError(
            "the document has no score for the runtime's choice, so there is nothing to tell; run `peers` again"
        )
    return found


def peers_results(document: PeersDocument) -> str:
    """The rows that ran, the slowest first, and what the table is of."""
    ran = [row for row in document.rows if row.samples_ns]
    header = [
        "from a decoded frame to its label map",
        "computes in",
        "labels as PyTorch's",
        "mIoU",
        "median ms",
        "ours is faster",
        "of the machine's peak",
    ]
    rows = [_cells(row) for row in sorted(ran, key=lambda row: -(row.percentiles_ms["p50"] or 0.0))]
    absent = [row for row in document.rows if row.not_run is not None]
    return "\n".join((*markdown_table(header, rows), "", _caption(document, absent)))


def peers_brief(document: PeersDocument) -> str:
    """The runtime's choice and how it stands to every peer that ran, the slowest first."""
    ours = document.chosen
    ran = [row for row in document.rows if row.ours_is_faster is not None and not row.is_ours]
    rows = [
        [
            row.name,
            row.precision,
            change(row.miou_change, None),
            number(row.percentiles_ms["p50"], 1),
            f"{row.ours_is_faster.value:.2f}x",
        ]
        for row in sorted(ran, key=lambda row: -(row.percentiles_ms["p50"] or 0.0))
        if row.ours_is_faster is not None
    ]
    own = [ours.name, ours.precision, change(ours.miou_change, None)]
    moved = "" if ours.miou_change is None else f", {change(ours.miou_change, ours.miou_change_interval)} mIoU"
    return "\n".join(
        (
            *markdown_table(
                ["from a decoded frame to its label map", "computes in", "mIoU", "median ms", "ours is faster"],
                [*rows, [f"**{text}**" for text in (*own, number(ours.percentiles_ms["p50"], 1))] + [ABSENT]],
            ),
            "",
            f"`{document.network}`, {_sizes(document)}, {document.environment.threads} threads of "
            f"{document.environment.cpu}. Ours has {share(ours.label_agreement, 2)} of PyTorch's "
            f"labels{moved}; each mIoU is a change against PyTorch in float32.",
        )
    )


def _cells(row: PeerRow) -> list[str]:
    ratio = row.ours_is_faster
    return [
        f"**{row.name}**, of the bundle" if row.is_ours else row.name,
        row.precision,
        share(row.label_agreement, 2),
        number(row.miou, 1) if row.miou_change is None else change(row.miou_change, row.miou_change_interval),
        number(row.percentiles_ms["p50"], 1),
        ABSENT if ratio is None or ratio.value == 1.0 else f"{ratio.value:.2f}x ({ratio.low:.2f} to {ratio.high:.2f})",
        share(row.floor_share, 0),
    ]


def _caption(document: PeersDocument, absent: list[PeerRow]) -> str:
    environment = document.environment
    labelled = f"; change of mIoU on {document.num_test_frames} labelled frames" if document.num_test_frames else ""
    return (
        f"`{document.network}`, {_sizes(document)}. "
        f"Medians of {document.num_rounds} frames each, taking turns in one run, none dropped; {environment.threads} "
        f"threads of {environment.cpu}; torch {environment.torch}, ONNX Runtime {environment.onnxruntime}, OpenVINO "
        f"{environment.openvino}; 95 % intervals within the run{labelled}. Peak: the largest rate of a matrix product "
        f"measured here in the row's type, for the {document.work.operations / 1e9:.0f} billion operations of a frame. "
        f"Not run: {', '.join(row.name for row in absent) or 'none'}."
    )


def _sizes(document: PeersDocument) -> str:
    sizes = [f"{width}x{height}" for height, width in dict.fromkeys((document.frame_hw, document.network_hw))]
    return f"frames of {' seen at '.join(sizes)}"
