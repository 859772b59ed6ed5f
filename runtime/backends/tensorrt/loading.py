"""From an engine file to what runs it, and the tensors it has."""

from pathlib import Path
from typing import Any

from runtime.backends.tensorrt.library import EngineLibrary, said
from runtime.backends.tensors import Tensors
from runtime.bundle.manifest import EngineInfo
from runtime.errors import BackendError

__all__ = ["load", "tensors_of"]


def load(library: EngineLibrary, logger: Any, path: Path, info: EngineInfo) -> list[Any]:
    """Runtime, engine and context, each of which needs those before it.

    Raises:
        BackendError: the library refuses the engine.
    """
    runtime = library.module.Runtime(logger)
    # A version-compatible engine carries the code of its own runtime, which TensorRT runs only when told to.
    runtime.engine_host_code_allowed = info.version_compatible
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    context = engine and engine.create_execution_context()
    if not context:
        raise BackendError(f"{library.title} cannot load {path.name}: {said(logger)}; export the bundle again")
    return [runtime, engine, context]


def tensors_of(trt: Any, engine: Any) -> Tensors:
    """Inputs and outputs of an engine."""
    types = {trt.DataType.UINT8: "uint8", trt.DataType.FLOAT: "float32"}
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    described = ((name, engine.get_tensor_dtype(name), tuple(engine.get_tensor_shape(name))) for name in names)
    return {name: (types.get(dtype, str(dtype)), shape) for name, dtype, shape in described}
