"""ONNX Runtime with one execution provider, exactly as asked: a fallback is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import read_only
from runtime.backends.cores import Placement, place_threads, tied_to, usable_cores
from runtime.backends.ort_providers import Provider
from runtime.backends.packages import import_onnxruntime
from runtime.backends.tensors import LogitsLayout, Tensors, check_tensors, read_model
from runtime.errors import BackendError, MissingPackageError

__all__ = ["OnnxRuntimeEngine"]

TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntimeEngine:
    """An ONNX Runtime session whose input and outputs live in buffers bound once, at opening.

    Args:
        model: a self-contained ONNX file.
        frame_hw: frame size that the model must take.
        logits: what the model gives instead of labels and confidence; None where it gives those.
        provider: what computes.
        threads: CPU threads; None takes one for each physical core that the opening thread may use.
        is_spinning: whether idle threads keep their cores busy for a while.

    Attributes:
        outputs: see `Engine.outputs`.

    Raises:
        BackendError: ONNX Runtime is missing, cannot do what was asked, or refuses the model.
    """

    def __init__(
        self,
        model: Path,
        frame_hw: tuple[int, int],
        logits: LogitsLayout | None = None,
        *,
        provider: Provider,
        threads: int | None = None,
        is_spinning: bool = False,
    ) -> None:
        ort = import_onnxruntime(provider.extra)
        _require_offered(ort, provider)
        placement = place_threads(usable_cores(), threads)
        # A GPU's launches are quick wherever the thread is.
        self._caller = placement.caller if provider.cuda_device_id is None else ()
        options = _options(ort, provider, placement, is_spinning=is_spinning)
        self._session: Any = _open_session(ort, model, options, provider)
        check_tensors(model, _tensors((*self._session.get_inputs(), *self._session.get_outputs())), frame_hw, logits)
        # A frame bound as a numpy array would be copied to a GPU once, at binding, and stay the first frame
        # for ever; a value on the device is overwritten for each frame instead, the same way on both devices.
        device = ("cpu", 0) if provider.cuda_device_id is None else ("cuda", provider.cuda_device_id)
        self._frame: Any = ort.OrtValue.ortvalue_from_shape_and_type((1, *frame_hw, 3), np.uint8, *device)
        self._binding: Any = self._session.io_binding()
        self._binding.bind_ortvalue_input("frame", self._frame)
        self.outputs: Mapping[str, NDArray[Any]] = {
            name: _bind_output(ort, self._binding, name, dtype, shape)
            for name, (dtype, shape) in _tensors(self._session.get_outputs()).items()
        }

    def run(self, frame: NDArray[np.uint8]) -> None:
        """Compute the outputs of one frame; see `Engine.run`."""
        if self._session is None:
            raise BackendError("the backend is closed; open the bundle again to segment more frames")
        # update_inplace compares bytes, not types: a float frame of the same byte count would become noise.
        assert frame.dtype == np.uint8
        try:
            self._frame.update_inplace(frame)
            with tied_to(self._caller):
                self._session.run_with_iobinding(self._binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise BackendError(f"ONNX Runtime failed on a frame: {error}; open the bundle again") from error

    def close(self) -> None:
        """Give back the session's memory; see `Engine.close`."""
        self._binding = self._frame = self._session = None


def _require_offered(ort: Any, provider: Provider) -> None:
    available = ort.get_available_providers()
    if provider.name not in available:
        raise MissingPackageError(
            f"provider {provider.title} was asked for, but this ONNX Runtime offers only {', '.join(available)}; run "
            f"`pip uninstall onnxruntime` and `pip install 'iapc[{provider.extra}]'`, or set backend.provider to cpu"
        )


def _options(ort: Any, provider: Provider, placement: Placement, *, is_spinning: bool) -> Any:
    options = ort.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = placement.threads
    if placement.workers:
        options.add_session_config_entry("session.intra_op_thread_affinities", placement.affinities)
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(is_spinning)))
    if provider.cuda_device_id is not None:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _open_session(ort: Any, model: Path, options: Any, provider: Provider) -> Any:
    content = read_model(model)
    providers = [(provider.name, dict(provider.options(content)))]
    try:
        session = ort.InferenceSession(content, options, providers=providers, enable_fallback=False)
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise BackendError(
            f"ONNX Runtime cannot open {model} with {provider.name}: {error}; {provider.needs}export the bundle again, "
            "or choose another backend.provider"
        ) from error
    if session.get_providers()[0] != provider.name:
        raise BackendError(
            f"ONNX Runtime opened {model} with {', '.join(session.get_providers())} instead of {provider.name}; "
            f"{provider.needs}choose another backend.provider"
        )
    return session


def _tensors(nodes: Any) -> Tensors:
    return {node.name: (TYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes}


def _bind_output(ort: Any, binding: Any, name: str, dtype: str, shape: tuple[int | str, ...]) -> NDArray[Any]:
    """Bind an output to host memory and return a read-only view of it; only the engine writes there."""
    buffer: NDArray[Any] = np.zeros([int(size) for size in shape], dtype=dtype)
    binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(buffer))
    return read_only(buffer)
