"""All peers, in the order of the table."""

from benchmarks.peers.onnxruntime import ONNXRUNTIME_PEERS
from benchmarks.peers.openvino import openvino_peers
from benchmarks.peers.peer import Peer
from benchmarks.peers.pytorch import PYTORCH_PEERS
from benchmarks.peers.ultralytics import ULTRALYTICS

__all__ = ["peers_here"]


def peers_here() -> tuple[Peer, ...]:
    """Every peer; PyTorch eager in float32, which all are compared with, is not among them."""
    return (*PYTORCH_PEERS, *ONNXRUNTIME_PEERS, *openvino_peers(), ULTRALYTICS)
