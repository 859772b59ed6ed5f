"""Opens an artefact in every engine of this machine that runs it, so that the gate compares like with like."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from export.forms import Form
from export.frozen import Frozen
from export.pt2_from_torch import load_pt2
from export.tensorrt.gpu import why_not_run
from export.torchscript_from_torch import load_torchscript
from runtime.backends.config import BackendConfig, CpuConfig, OpenVinoConfig, TensorRtConfig
from runtime.backends.open import Backend, open_backend
from runtime.backends.packages import import_onnxruntime, import_openvino
from runtime.backends.tensors import LogitsLayout
from runtime.bundle.manifest import EngineInfo, Precision
from runtime.errors import BackendError

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
def open_engines(path: Path, form: Form, frozen: Frozen, *, engine: EngineInfo | None = None) -> Iterator[Opened]:
    """Open an artefact in every engine of this machine that runs it, and close them when the block ends.

    ONNX and engines of TensorRT go through the runtime's own backends, as in the vehicle; ONNX through ONNX Runtime,
    and through OpenVINO where it is installed.

    Args:
        path: the artefact.
        form: what it is.
        frozen: what it was made from, which gives its sizes.
        engine: what an engine was built with; only for TensorRT.
    """
    reason = _why_not_run(form, engine)
    with ExitStack() as stack:
        backends, refusals = {}, []
        for name, open_one in ({} if reason else _ways(path, form, frozen, engine)).items():
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
        """Labels and confidence of one frame; see `runtime.backends.open.Backend`."""
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
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        if not _has_openvino():
            raise BackendError(f"ONNX Runtime does not open the graph with its inner tensors: {error}") from error
        return _inner_tensors_by_openvino(model)
    names = [output.name for output in session.get_outputs() if output.type != "tensor(uint8)"]

    def run(frame: NDArray[np.uint8]) -> Mapping[str, NDArray[np.floating]]:
        return dict(zip(names, session.run(names, {"frame": frame}), strict=True))

    return run


def _inner_tensors_by_openvino(model: bytes) -> Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.floating]]]:
    openvino = import_openvino()
    core = openvino.Core()
    try:
        given = core.read_model(model)
        outputs = openvino.preprocess.PrePostProcessor(given)
        for place, port in enumerate(given.outputs):
            # numpy has no bfloat16: OpenVINO would give its bits as something else.
            if port.get_element_type().is_real():
                outputs.output(place).tensor().set_element_type(openvino.Type.f32)
        # In float32 but for what the graph itself rounds to another type.
        compiled = core.compile_model(outputs.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise BackendError(f"OpenVINO does not open the graph with its inner tensors: {error}") from error

    def run(frame: NDArray[np.uint8]) -> Mapping[str, NDArray[np.floating]]:
        given = compiled(frame).items()
        return {port.get_any_name(): array for port, array in given if array.dtype != np.uint8}

    return run


def _has_openvino() -> bool:
    return find_spec("openvino") is not None


def _why_not_run(form: Form, engine: EngineInfo | None) -> str | None:
    """Why no engine of this machine runs an artefact; None where one does."""
    if form.format == "tensorrt":
        assert engine is not None
        return why_not_run(engine)
    if form.format == "onnx" and form.precision == "bf16":
        return _why_no_bfloat16()
    return None


def _why_no_bfloat16() -> str | None:
    if not _has_openvino():
        return "ONNX Runtime has no bfloat16 convolution for CPUs, and OpenVINO is not installed"
    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "the exporting machine's CPU has no bfloat16"
    return None


def _ways(path: Path, form: Form, frozen: Frozen, engine: EngineInfo | None) -> Mapping[str, Open]:
    """The engines that run an artefact, by name, each with the way to open it."""
    match form.format:
        case "onnx":
            return {
                name: partial(_open_served, config, path, form, frozen)
                for name, config in _onnx_engines(form.precision).items()
            }
        case "torchscript":
            return {"torch": lambda: TorchBackend(load_torchscript(path))}
        case "pt2":
            return {"torch": lambda: TorchBackend(load_pt2(path))}
        case "tensorrt":
            assert engine is not None
            return {engine.library: partial(_open_served, TensorRtConfig(), path, form, frozen, engine)}
        case _:
            assert_never(form.format)


def _onnx_engines(precision: Precision) -> Mapping[str, BackendConfig]:
    engines: dict[str, BackendConfig] = {}
    if precision != "bf16":
        engines["onnxruntime"] = CpuConfig()
    # OpenVINO in fp16 would prove nothing: it computes such a graph in float32 on a CPU.
    if precision != "fp16" and _has_openvino():
        engines["openvino"] = OpenVinoConfig(precision="bf16" if precision == "bf16" else "fp32")
    return engines


def _open_served(
    config: BackendConfig, path: Path, form: Form, frozen: Frozen, engine: EngineInfo | None = None
) -> Backend:
    layout = None
    if form.tail == "logits":
        layout = LogitsLayout(frozen.spec.label_space.num_classes, frozen.network.network.align_corners)
    return open_backend(config, path, frozen.network.frame_hw, layout, engine_info=engine)
