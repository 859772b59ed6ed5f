"""What a document of measurements needs beside its rows, where nothing was measured."""

from typing import Any

from benchmarks.environment import Environment
from benchmarks.floor.peak import Peak
from benchmarks.floor.work import Work
from benchmarks.peers.document import PeerRow, PeersDocument

__all__ = ["ENVIRONMENT", "peers_document"]

ENVIRONMENT = Environment(
    cpu="Some CPU @ 2 GHz",
    cores=4,
    threads=2,
    governor=None,
    load_average=0.5,
    system="Linux",
    python="3.11",
    numpy="2.0",
    torch="2.11",
    onnxruntime="1.22",
    revision="0123456789abcdef",
)


def peers_document(*rows: PeerRow, **values: Any) -> PeersDocument:
    """A document of `peers` with these rows; `values` take the place of the fields they name."""
    told: dict[str, Any] = {
        "created_unix_s": 345_600,
        "network": "deeplab_v2 resnet18",
        "frame_hw": (128, 256),
        "network_hw": (128, 256),
        "scenario": "single stream",
        "benchmark_app_ms": None,
        "work": Work(operations=10**9, num_weights=10**6, num_edge_bytes=10**5),
        "peak": Peak(operations_per_s={"fp32": 1e11}, bytes_per_s=1e10),
        "unmet": (),
        "num_rounds": 64,
        "num_compared": 20,
        "num_test_frames": 8,
        "manifest_sha256": "a" * 64,
        "checkpoint_sha256": "e" * 64,
        "frames": ("a", "b"),
        "environment": ENVIRONMENT,
        "config": {},
    }
    return PeersDocument(rows=rows, **{**told, **values})
