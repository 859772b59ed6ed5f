"""Ultralytics' exporter, which does not take networks that are not Ultralytics' own."""

from contextlib import ExitStack

from benchmarks.contenders import NotRun
from benchmarks.peers.peer import Given, Peer

__all__ = ["ULTRALYTICS"]


def _refused(given: Given, stack: ExitStack) -> NotRun:
    """Read in `ultralytics/engine/exporter.py` of 8.4.190, not run."""
    return NotRun(
        "its exporter takes a YOLO module: it reads `model.task`, `model.yaml` and the class of `model.model[-1]`, "
        "which a DeepLabV2 or any other nn.Module does not have (8.4.190)"
    )


ULTRALYTICS = Peer("Ultralytics' exporter", "YOLO(...).export(format='onnx')", "fp32", _refused)
