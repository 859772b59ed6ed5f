"""ONNX -> TensorRT engine, one strongly-typed path for TensorRT 10 and 11 and for TensorRT-RTX.

TensorRT needs the GPU it builds for. TensorRT-RTX builds ahead of time on a machine without any, and finishes the
engine on the GPU that loads it.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch

from export.config import TensorRtConfig
from runtime.errors import BackendError
from runtime.files import replacing
from runtime.manifest import EngineInfo

__all__ = ["EngineLibrary", "find_engine_library", "tensorrt_from_onnx"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineLibrary:
    """The TensorRT that is installed here."""

    name: Literal["tensorrt", "tensorrt_rtx"]
    module: Any

    def logger(self) -> Any:
        """A logger that keeps warnings and errors in `lines`, because TensorRT says why it failed nowhere else."""
        base: Any = self.module.ILogger

        class Logger(base):  # type: ignore[misc]  # known at run time only
            def __init__(self, warning: Any) -> None:
                super().__init__()
                self.warning = warning
                self.lines: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if int(severity) <= int(self.warning):
                    self.lines.append(message)

        return Logger(self.module.ILogger.Severity.WARNING)


def find_engine_library() -> EngineLibrary:
    """TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        BackendError: neither can be imported.
    """
    reasons = []
    names: tuple[tuple[Literal["tensorrt", "tensorrt_rtx"], str], ...] = (
        ("tensorrt", "tensorrt"),
        ("tensorrt_rtx", "tensorrt_rtx_bindings"),
    )
    for name, module in names:
        try:
            return EngineLibrary(name, import_module(module))
        except ImportError as error:
            reasons.append(str(error))
    raise BackendError(
        f"no TensorRT can be imported ({'; '.join(reasons)}); install it with `pip install 'iapc[tensorrt]'`, or, to "
        "build without a GPU, `pip install --no-deps -r requirements-tensorrt-rtx.txt`, or remove tensorrt from "
        "export.artefacts"
    )


def tensorrt_from_onnx(model: Path, path: Path, config: TensorRtConfig) -> EngineInfo:
    """Build an engine from an ONNX artefact and write it.

    The types in the ONNX are the types of the engine; TF32 is off, because fp32 is what the manifest says.

    Args:
        model: a self-contained ONNX file.
        path: where the engine goes.
        config: workspace, and for TensorRT-RTX the GPUs.

    Returns:
        What the engine was built with.

    Raises:
        BackendError: no TensorRT is installed, it has no GPU to build for, or it refuses the model.
    """
    library = find_engine_library()
    trt, logger = library.module, library.logger()
    capabilities = _capabilities(library, config)
    builder = _builder(trt, logger)
    network = _parse(trt, logger, builder, model)
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib * MIB)
    settings.clear_flag(trt.BuilderFlag.TF32)
    if library.name == "tensorrt_rtx":
        _set_capabilities(trt, settings, capabilities)
    engine = builder.build_serialized_network(network, settings)
    if engine is None:
        raise BackendError(f"{library.name} {trt.__version__} cannot build {model.name}: {_said(logger)}")
    with replacing(path) as temporary:
        temporary.write_bytes(engine)
    return EngineInfo(library=library.name, version=trt.__version__, compute_capabilities=capabilities)


def _capabilities(library: EngineLibrary, config: TensorRtConfig) -> tuple[str, ...]:
    if library.name == "tensorrt_rtx":
        return config.compute_capabilities
    if not torch.cuda.is_available():
        raise BackendError(
            f"tensorrt {library.module.__version__} builds for the GPU it runs on, and torch sees none here; export "
            "on the target machine, install tensorrt-rtx instead, or remove tensorrt from export.artefacts"
        )
    major, minor = torch.cuda.get_device_capability()
    return (f"{major}.{minor}",)


def _builder(trt: Any, logger: Any) -> Any:
    try:
        return trt.Builder(logger)
    except TypeError as error:  # pybind11's way to say that the C++ side returned nothing
        raise BackendError(f"TensorRT {trt.__version__} cannot start a builder: {_said(logger)}") from error


def _parse(trt: Any, logger: Any, builder: Any, model: Path) -> Any:
    # TensorRT 11 knows no other way, and may drop the flag that TensorRT 10 needs to be told so.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        errors = [str(parser.get_error(index)).strip() for index in range(parser.num_errors)]
        raise BackendError(f"TensorRT {trt.__version__} refuses {model.name}: {'; '.join(errors)}")
    return network


def _set_capabilities(trt: Any, settings: Any, capabilities: tuple[str, ...]) -> None:
    settings.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        name = f"SM{capability.replace('.', '')}"
        value = getattr(trt.ComputeCapability, name, None)
        if value is None or not settings.set_compute_capability(value, index):
            known = sorted(known for known in dir(trt.ComputeCapability) if known.startswith("SM"))
            raise BackendError(
                f"TensorRT-RTX {trt.__version__} cannot build for compute capability {capability}; it knows "
                f"{', '.join(known)}; correct export.tensorrt.compute_capabilities"
            )


def _said(logger: Any) -> str:
    return "; ".join(logger.lines) or "it gave no reason"
