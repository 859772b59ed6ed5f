"""The tutorial's ONNX Runtime: a plain export, a float image, scores of the frame's size, argmax in numpy."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from benchmarks.contenders import Frame, NotRun, Segment
from benchmarks.peers.peer import Given, Peer
from benchmarks.peers.plain_onnx import Host, export_plainly
from runtime.backends.packages import import_onnxruntime

__all__ = ["ONNXRUNTIME_PEERS"]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PATH = "plain torch.onnx.export; numpy normalises to float32 on the host; float scores out; numpy argmax on the host"
INT8_PATH = "the same after ONNX Runtime's quant_pre_process and quantize_static on the frames: QDQ, per channel"


def _on(provider: str, path: Path, given: Given) -> Segment | NotRun:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    if given.threads is not None:
        options.intra_op_num_threads = given.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    if session.get_providers()[0] != provider:
        return NotRun(f"ONNX Runtime fell back from {provider} to {session.get_providers()[0]}")
    host = Host.of(given)

    def segment(frame: Frame) -> Frame:
        (scores,) = session.run(None, {"image": host.image(frame)})
        return host.labels(scores)

    return segment


def _on_cpu(given: Given, stack: ExitStack) -> Segment | NotRun:
    return _on(CPU, export_plainly(given), given)


def _int8_on_cpu(given: Given, stack: ExitStack) -> Segment | NotRun:
    """Unsigned activations and a scale for each channel: faster here than its default, mIoU within 0.05 of that."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, frames: Sequence[Frame]) -> None:
            self._frames, self._host = iter(frames), Host.of(given)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            frame = next(self._frames, None)
            return None if frame is None else {"image": self._host.image(frame)}

    whole, prepared, path = (given.folder / f"plain-{name}.onnx" for name in ("whole", "prepared", "int8"))
    # In one file: quant_pre_process loses sight of weights that lie beside the graph.
    onnx.save(onnx.load(export_plainly(given)), whole)
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True, skip_onnx_shape=True)
    quantize_static(str(prepared), str(path), Reader(given.frames), per_channel=True, activation_type=QuantType.QUInt8)
    return _on(CPU, path, given)


def _on_cuda(given: Given, stack: ExitStack) -> Segment | NotRun:
    if CUDA not in import_onnxruntime().get_available_providers():
        return NotRun("this ONNX Runtime has no CUDA")
    return _on(CUDA, export_plainly(given), given)


ONNXRUNTIME_PEERS = (
    Peer("ONNX Runtime, as in tutorials", PATH, "fp32", _on_cpu),
    Peer("ONNX Runtime INT8, quantize_static", INT8_PATH, "int8", _int8_on_cpu),
    Peer("ONNX Runtime CUDA, as in tutorials", PATH, "fp32", _on_cuda),
)
