"""The tutorial's ONNX Runtime: a plain export, a float image, scores of the frame's size, argmax in numpy."""

from contextlib import ExitStack

from benchmarks.contenders import Frame, NotRun, Segment
from benchmarks.peers.peer import Given, Peer
from benchmarks.peers.plain_onnx import Host, export_plainly
from runtime.backends.packages import import_onnxruntime

__all__ = ["ONNXRUNTIME_PEERS"]

CUDA = "CUDAExecutionProvider"
PATH = "plain torch.onnx.export; numpy normalises to float32 on the host; float scores out; numpy argmax on the host"


def _on(provider: str, given: Given) -> Segment | NotRun:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    if given.threads is not None:
        options.intra_op_num_threads = given.threads
    session = onnxruntime.InferenceSession(str(export_plainly(given)), options, providers=[provider])
    if session.get_providers()[0] != provider:
        return NotRun(f"ONNX Runtime fell back from {provider} to {session.get_providers()[0]}")
    host = Host.of(given)

    def segment(frame: Frame) -> Frame:
        (scores,) = session.run(None, {"image": host.image(frame)})
        return host.labels(scores)

    return segment


def _on_cpu(given: Given, stack: ExitStack) -> Segment | NotRun:
    return _on("CPUExecutionProvider", given)


def _on_cuda(given: Given, stack: ExitStack) -> Segment | NotRun:
    if CUDA not in import_onnxruntime().get_available_providers():
        return NotRun("this ONNX Runtime has no CUDA")
    return _on(CUDA, given)


ONNXRUNTIME_PEERS = (
    Peer("ONNX Runtime, as in tutorials", PATH, "fp32", _on_cpu),
    Peer("ONNX Runtime CUDA, as in tutorials", PATH, "fp32", _on_cuda),
)
