"""The bundle beside what people use instead, on the same frames in the same run, and the floor of the machine."""

from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.peers.measure import DOCUMENT_NAME
from benchmarks.peers.page import peers_legend
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from benchmarks.report.shares import against_pytorch, floored
from benchmarks.tables import ABSENT, number

__all__ = ["SECTION", "read_peers"]


def read_peers(run: Run) -> PeersDocument:
    """What `peers` measured.

    Raises:
        NotThereError: it did not run yet.
        DataError: its document is damaged.
    """
    document: PeersDocument = run.document(run.config.output / DOCUMENT_NAME, PeersDocument, "make peers")
    return document


def build(run: Run) -> Content:
    """A bar for each way from frame to labels, with the floor under it; what has no score says why."""
    found = read_peers(run)
    # A floor above all medians, as of a machine that was busy when its peak was measured, is shown as it is.
    floors = [row.floor.ms for row in found.rows if row.floor is not None]
    top = max([1e-9, *floors, *(row.percentiles_ms.get("p50") or 0.0 for row in found.rows)])
    values = {
        "found": found,
        "rows": [_row(row, top) for row in found.rows],
        "legend": peers_legend(found),
        "paths": [(row.name, row.path) for row in found.rows],
    }
    path = run.config.output / DOCUMENT_NAME
    return Content(values, (path,), run.stale(found.manifest_sha256, "make peers"))


def _row(row: PeerRow, top: float) -> dict[str, object]:
    median, ratio = row.percentiles_ms.get("p50"), row.ours_is_faster
    return {
        "name": row.name,
        "is_ours": row.is_ours,
        "precision": row.precision,
        "median": number(median, 2),
        "width": 100 * (median or 0.0) / top,
        "floor": None if row.floor is None else 100 * row.floor.ms / top,
        "floor_ms": "" if row.floor is None else f"floor {row.floor.ms:.2f} ms",
        "agreement": ABSENT if row.label_agreement is None else floored(row.label_agreement, 2),
        "miou": number(row.miou, 2),
        "change": against_pytorch(row.miou_change, row.miou_change_interval),
        "ratio": ABSENT if ratio is None else f"{ratio.value:.2f}x",
        "interval": "" if ratio is None else f"95 % interval {ratio.low:.2f} to {ratio.high:.2f}",
        "why_not": row.refusal or (None if row.not_run is None else f"not run: {row.not_run}"),
    }


SECTION = Section("peers", "Beside its peers", "make peers", build)
