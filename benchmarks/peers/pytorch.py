"""PyTorch as it is used without an exporter: compiled, traced, or eager in a faster type."""

import copy
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.contenders import Frame, NotRun, Segment
from benchmarks.peers.peer import Given, Peer
from export.torchscript_from_torch import load_torchscript, torchscript_from_torch
from training.device import Compute

__all__ = ["PYTORCH_PEERS"]

CPU = torch.device("cpu")


def _segment(module: Callable[[Tensor], tuple[Tensor, Tensor]], compute: Compute) -> Segment:
    def segment(frame: Frame) -> Frame:
        with torch.no_grad(), compute.autocast():
            labels, confidence = module(torch.from_numpy(frame)[None].to(compute.device))
        confidence.cpu()
        found: Frame = labels[0].cpu().numpy()
        return found

    return segment


def _eager_bf16(given: Given, stack: ExitStack) -> Segment:
    compute = Compute(CPU, "bf16")
    return _segment(compute.place(copy.deepcopy(given.graph)), compute)


def _compiled(given: Given, stack: ExitStack) -> Segment:
    """Inductor compiles at the first frame, so that its time is the row's first inference."""
    compute = Compute(CPU, "fp32")
    # A graph that was compiled for another size or by another run would be counted as this one's.
    torch.compiler.reset()
    stack.callback(torch.compiler.reset)
    return _segment(torch.compile(compute.place(copy.deepcopy(given.graph))), compute)


def _torchscript(given: Given, stack: ExitStack) -> Segment:
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "network.torchscript"
        torchscript_from_torch(given.graph, path, {})
        module = load_torchscript(path)
    with warnings.catch_warnings():
        # PyTorch deprecates TorchScript as a whole; whoever deploys it today calls this.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return _segment(torch.jit.optimize_for_inference(module), Compute(CPU, "fp32"))


def _eager_cuda(given: Given, stack: ExitStack) -> Segment | NotRun:
    if not torch.cuda.is_available():
        return NotRun("torch sees no CUDA device")
    compute = Compute(torch.device("cuda"), "fp16")
    return _segment(compute.place(copy.deepcopy(given.graph)), compute)


PYTORCH_PEERS = (
    Peer(
        "PyTorch eager bf16",
        "deploy graph in eager mode under bf16 autocast, channels last",
        "bf16",
        _eager_bf16,
    ),
    Peer("torch.compile", "deploy graph compiled by Inductor, default mode, channels last", "fp32", _compiled),
    Peer("TorchScript", "deploy graph traced, frozen, optimize_for_inference", "fp32", _torchscript),
    Peer("PyTorch eager fp16, CUDA", "deploy graph in eager mode under fp16 autocast on the GPU", "fp16", _eager_cuda),
)
