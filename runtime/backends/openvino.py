"""OpenVINO on the CPU, in the precision asked for: its own choice is the fastest type the CPU has, without a word."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import read_only
from runtime.backends.cores import usable_cores
from runtime.backends.packages import import_openvino
from runtime.backends.signal_stack import kept_signal_stack
from runtime.backends.tensors import LogitsLayout, Tensors, check_tensors, read_model
from runtime.errors import BackendError

__all__ = ["OpenVinoEngine"]

TYPES = {"u8": "uint8", "f32": "float32"}
HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """An OpenVINO model whose input and outputs live in buffers shared with it once, at opening.

    Args:
        model: a self-contained ONNX file.
        frame_hw: frame size that the model must take.
        logits: what the model gives instead of labels and confidence; None where it gives those.
        precision: type of whatever the model has in float; integers stay integers.
        threads: CPU threads; None takes one for each physical core that the opening thread may use.

    Attributes:
        outputs: see `Engine.outputs`.

    Raises:
        BackendError: OpenVINO is missing, cannot do what was asked, or refuses the model.
    """

    def __init__(
        self,
        model: Path,
        frame_hw: tuple[int, int],
        logits: LogitsLayout | None = None,
        *,
        precision: Literal["fp32", "bf16"],
        threads: int | None = None,
    ) -> None:
        openvino = import_openvino()
        with kept_signal_stack():
            compiled = _compile(openvino, model, precision, threads)
        check_tensors(model, _tensors((*compiled.inputs, *compiled.outputs)), frame_hw, logits)
        self._request: Any = compiled.create_infer_request()
        self._frame = np.zeros((1, *frame_hw, 3), dtype=np.uint8)
        self._request.set_tensor("frame", openvino.Tensor(self._frame, shared_memory=True))
        self.outputs: Mapping[str, NDArray[Any]] = {
            name: _bind_output(openvino, self._request, name, dtype, shape)
            for name, (dtype, shape) in _tensors(compiled.outputs).items()
        }

    def run(self, frame: NDArray[np.uint8]) -> None:
        """Compute the outputs of one frame; see `Engine.run`."""
        if self._request is None:
            raise BackendError("the backend is closed; open the bundle again to segment more frames")
        np.copyto(self._frame, frame, casting="no")
        try:
            # The results that `infer` returns would else be copies of all outputs.
            self._request.infer(share_outputs=True)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed on a frame: {error}; open the bundle again") from error

    def close(self) -> None:
        """Give back the model's memory; see `Engine.close`."""
        with kept_signal_stack():
            self._request = None


def _compile(openvino: Any, model: Path, precision: Literal["fp32", "bf16"], threads: int | None) -> Any:
    content = read_model(model)
    hint = HINTS[precision]
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
        # Tied threads compute sooner after a pause, but every engine ties its own from the first core on: two of one
        # thread each would share a core and leave the other idle.
        settings["ENABLE_CPU_PINNING"] = threads >= len(usable_cores())
    try:
        core = openvino.Core()
        _require_precision(core, precision)
        compiled = core.compile_model(core.read_model(content), "CPU", settings)
        taken = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    except RuntimeError as error:
        raise BackendError(
            f"OpenVINO {openvino.__version__} cannot open {model}: {error}; export the bundle again, or choose "
            "another backend.provider"
        ) from error
    if taken != hint:
        raise BackendError(
            f"OpenVINO computes {model} in {taken} instead of {hint}; set backend.precision to what this CPU has, or "
            "choose another backend.provider"
        )
    return compiled


def _require_precision(core: Any, precision: Literal["fp32", "bf16"]) -> None:
    offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision.upper() not in offered:
        raise BackendError(
            f"backend.precision={precision} was asked for, but OpenVINO offers only {', '.join(offered)} on this CPU; "
            "set it to fp32, or use a CPU with AVX-512 BF16 or AMX"
        )


def _tensors(ports: Iterable[Any]) -> Tensors:
    return {port.get_any_name(): (_type_of(port), _shape_of(port)) for port in ports}


def _type_of(port: Any) -> str:
    name: str = port.get_element_type().get_type_name()
    return TYPES.get(name, name)


def _shape_of(port: Any) -> tuple[int | str, ...]:
    shape = port.get_partial_shape()
    return (str(shape),) if shape.is_dynamic else tuple(shape.to_shape())


def _bind_output(openvino: Any, request: Any, name: str, dtype: str, shape: tuple[int | str, ...]) -> NDArray[Any]:
    """Share host memory with an output and return a read-only view of it; only the engine writes there."""
    buffer: NDArray[Any] = np.zeros([int(size) for size in shape], dtype=dtype)
    request.set_tensor(name, openvino.Tensor(buffer, shared_memory=True))
    return read_only(buffer)
