"""Opens an artefact in every engine of this machine that runs it, so that the gate compares like with like."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from export.forms import Form
from export.tensorrt.backend import TensorRtBackend, why_not_run
from export.torchscript_from_torch import load_torchscript
from runtime.backends import Backend, open_backend
from runtime.errors import BackendError
from runtime.manifest import EngineInfo
from runtime.settings import CpuConfig
from runtime.tail import Tail
from training.frame_network import FrameNetwork

__all__ = ["Opened", "TorchBackend", "inner_tensors", "open_engines"]

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Open = Callable[[], Backend]


@dataclass(frozen=True, slots=True)
class Opened:
    """An artefact in its engines, by the engine's name as the manifest gives it.

    `refusals` says, in a sentence each, which engine ought to have taken it and did not; `not_run` why there is no
    engine for it on this machine.
    """

    backends: Mapping[str, Backend]
    refusals: tuple[str, ...] = ()
    not_run: str | None = None


@contextmanager
def open_engines(
    path: Path, form: Form, network: FrameNetwork, *, engine: EngineInfo | None = None
) -> Iterator[Opened]:
    """Open an artefact in every engine of this machine that runs it, and close them when the block ends.

    ONNX goes through the runtime's own backends, as in the vehicle: ONNX Runtime, and OpenVINO where it is installed.

    Args:
        path: the artefact.
        form: what it is.
        network: what it was made from, which gives its sizes.
        engine: what an engine was built with; only for TensorRT.
    """
    reason = _why_not_run(form, engine)
    with ExitStack() as stack:
        backends, refusals = {}, []
        for name, open_one in ({} if reason else _ways(path, form, network, engine)).items():
            try:
                backends[name] = backend = open_one()
            except BackendError as error:
                refusals.append(f"{name} does not open it: {error}")
            else:
                stack.callback(backend.close)
        yield Opened(backends, tuple(refusals), reason)


class TorchBackend:
    """A module on the CPU, traced or not: frames in, `(labels, confidence)` out. Never a GPU: TF32 is not fp32."""

    def __init__(self, module: torch.nn.Module) -> None:
        """Wrap a module that is on the CPU and in evaluation mode."""
        self._module = module

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        with torch.inference_mode():
            labels, confidence = self._module(torch.from_numpy(frame))
        return labels.numpy(), confidence.numpy()

    def close(self) -> None:
        """Nothing to give back."""


def inner_tensors(model: bytes) -> Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.floating]]]:
    """Every output of an ONNX model that is no label map, as a function of a frame (1, H, W, 3).

    ONNX Runtime computes them; where it lacks a type, as bfloat16 on CPUs, OpenVINO does.

    Raises:
        BackendError: neither takes the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        if find_spec("openvino") is None:
            raise BackendError(f"ONNX Runtime does not open the graph with its inner tensors: {error}") from error
        return _OpenVinoModel(model, "f32").floats
    names = [output.name for output in session.get_outputs() if output.type != "tensor(uint8)"]

    def run(frame: NDArray[np.uint8]) -> Mapping[str, NDArray[np.floating]]:
        return dict(zip(names, session.run(names, {"frame": frame}), strict=True))

    return run


def _why_not_run(form: Form, engine: EngineInfo | None) -> str | None:
    """Why no engine of this machine runs an artefact; None where one does."""
    if form.format == "tensorrt":
        assert engine is not None
        return why_not_run(engine)
    if form.format == "onnx" and form.precision == "bf16" and find_spec("openvino") is None:
        return "ONNX Runtime has no bfloat16 convolution for CPUs, and OpenVINO is not installed"
    return None


def _ways(path: Path, form: Form, network: FrameNetwork, engine: EngineInfo | None) -> Mapping[str, Open]:
    """The engines that run an artefact, by name, each with the way to open it."""
    match form.format:
        case "onnx":
            return _onnx_ways(path, form, network)
        case "torchscript":
            return {"torch": lambda: TorchBackend(load_torchscript(path))}
        case "pt2":
            return {"torch": lambda: TorchBackend(_load_pt2(path))}
        case "tensorrt":
            assert engine is not None
            return {engine.library: lambda: TensorRtBackend(path, network.frame_hw, engine)}
        case _:
            assert_never(form.format)


def _onnx_ways(path: Path, form: Form, network: FrameNetwork) -> Mapping[str, Open]:
    ways: dict[str, Open] = {}
    if form.precision != "bf16":
        ways["onnxruntime"] = lambda: (
            _onnxruntime(path, network) if form.tail == "labels" else _LogitsBackend(path, network)
        )
    # In fp16 OpenVINO computes what the runtime never asks of it: CPUs gain nothing by that type.
    if form.precision != "fp16" and form.tail == "labels" and find_spec("openvino") is not None:
        ways["openvino"] = lambda: _OpenVinoModel(path.read_bytes(), "bf16" if form.precision == "bf16" else "f32")
    return ways


def _onnxruntime(path: Path, network: FrameNetwork) -> Backend:
    height, width = network.frame_hw
    return open_backend(CpuConfig(), path, frame_height=height, frame_width=width)


def _load_pt2(path: Path) -> torch.nn.Module:
    return torch.export.load(path).module()


class _LogitsBackend:
    """An ONNX model of tail `logits` in ONNX Runtime, with the tail that the vehicle's processor computes."""

    def __init__(self, path: Path, network: FrameNetwork) -> None:
        self._logits = inner_tensors(path.read_bytes())
        self._network = network
        self._tail: Tail | None = None

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        (logits,) = self._logits(frame)["logits"]
        if self._tail is None:
            num_classes, height, width = logits.shape
            aligned = self._network.network.align_corners
            self._tail = Tail((height, width), self._network.frame_hw, num_classes, align_corners=aligned)
        labels, confidence = self._tail(logits)
        return labels[np.newaxis], confidence[np.newaxis]

    def close(self) -> None:
        """Nothing to give back before the object itself goes."""


class _OpenVinoModel:
    """An ONNX model in OpenVINO on the CPU, in the stated type: its own choice would be bfloat16, without a word."""

    def __init__(self, model: bytes, precision: str) -> None:
        import openvino

        core = openvino.Core()
        try:
            settings = {"INFERENCE_PRECISION_HINT": precision}
            self._compiled: Any = core.compile_model(core.read_model(model), "CPU", settings)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO {openvino.__version__} refuses the model: {error}") from error

    def infer(self, frame: NDArray[np.uint8]) -> Maps:
        """Labels and confidence of one frame; see `runtime.backends.Backend`."""
        outputs = self._compiled(frame)
        return outputs["labels"], outputs["confidence"]

    def floats(self, frame: NDArray[np.uint8]) -> Mapping[str, NDArray[np.floating]]:
        """Every output that is no label map."""
        outputs = self._compiled(frame)
        return {port.get_any_name(): array for port, array in outputs.items() if array.dtype != np.uint8}

    def close(self) -> None:
        """Give back the model's memory."""
        self._compiled = None
