"""ONNX -> engine: one strongly-typed path for TensorRT 10 and 11 and for TensorRT-RTX."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.config import TensorRtConfig
from export.tensorrt.cache import attach_timings, keep_engine, keep_timings, reuse_engine
from export.tensorrt.fingerprint import engine_info
from export.tensorrt.network import add_static_profile, parse, require_precision
from export.tensorrt.progress import build_progress
from runtime.backends.tensorrt.gpu import AMPERE
from runtime.backends.tensorrt.library import EngineLibrary, find_engine_library, said
from runtime.bundle.manifest import EngineInfo, Precision
from runtime.command import say
from runtime.errors import BackendError, ConfigError
from runtime.files import replacing, sha256_of

__all__ = ["build_engine"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """The GPUs an engine is for. TensorRT-RTX builds without looking at any, so `gpu` and `driver` are None there."""

    compute_capabilities: tuple[str, ...]
    gpu: str | None = None
    driver: str | None = None


def build_engine(model: Path, path: Path, precision: Precision, config: TensorRtConfig) -> EngineInfo:
    """Build an engine from an ONNX artefact and write it, or copy it from the cache where nothing has changed.

    The types in the ONNX are the types of the engine; TF32 is off, because fp32 is what the manifest says.

    Args:
        model: a self-contained ONNX file of fixed shapes.
        path: where the engine goes.
        precision: what the file computes in; one that computes in something else is refused.
        config: GPUs, workspace, compatibility and cache.

    Returns:
        What the engine was built from and with.

    Raises:
        ConfigError: the library here cannot do what the config asks.
        BackendError: no TensorRT is installed, it has no GPU to build for, or it refuses the model.
        GateError: the model is not of this precision.
    """
    library = find_engine_library()
    _require_offered(library, config)
    target = _target(library, config)
    trt, logger = library.module, library.logger()
    builder = _builder(library, logger)
    network = parse(library, logger, builder, model)
    require_precision(library, network, model, precision)
    settings = _settings(library, builder, config, target)
    profile = add_static_profile(library, builder, settings, network, model)
    info = engine_info(
        library,
        precision,
        compute_capabilities=target.compute_capabilities,
        gpu=target.gpu,
        driver=target.driver,
        onnx_sha256=sha256_of(model),
        profile=profile,
        flags=("STRONGLY_TYPED", *_flags_set(trt, settings)),
        hardware_compatible=config.hardware_compatible,
        version_compatible=config.version_compatible,
        workspace_mib=config.workspace_mib,
    )
    if config.cache is not None and reuse_engine(config.cache, path, info, precision):
        return info
    engine = _build(library, logger, builder, network, settings, model, path, config.cache, target)
    with replacing(path) as temporary:
        temporary.write_bytes(engine)
    if config.cache is not None:
        keep_engine(config.cache, path, info, precision)
        keep_timings(library, settings, config.cache, target.compute_capabilities[0])
    return info


def _require_offered(library: EngineLibrary, config: TensorRtConfig) -> None:
    asked = {
        "hardware_compatible": (config.hardware_compatible, "list the GPUs in export.tensorrt.compute_capabilities"),
        "version_compatible": (config.version_compatible, "export again with each version that is to load the engine"),
    }
    for name, (is_asked, instead) in asked.items():
        if is_asked and library.name == "tensorrt_rtx":
            raise ConfigError(
                f"export.tensorrt.{name}=true: {library.title} has no such engines; {instead}, or install TensorRT"
            )


def _target(library: EngineLibrary, config: TensorRtConfig) -> Target:
    if library.name == "tensorrt_rtx":
        return Target(tuple(sorted(set(config.compute_capabilities), key=_numbers)))
    if not torch.cuda.is_available():
        raise BackendError(
            f"{library.title} builds for the GPU it runs on, and torch sees none here; export on the target machine, "
            "install TensorRT-RTX instead, or remove the engines from export.artefacts"
        )
    capability = torch.cuda.get_device_capability()
    if config.hardware_compatible and capability < AMPERE:
        raise ConfigError(
            f"export.tensorrt.hardware_compatible=true needs a GPU of compute capability 8.0 (Ampere) or later to "
            f"build on, and this one is of {capability[0]}.{capability[1]}; set it to false, or export elsewhere"
        )
    return Target((f"{capability[0]}.{capability[1]}",), torch.cuda.get_device_name(), _driver())


def _driver() -> str | None:
    """Version of the NVIDIA driver; None where nvidia-smi cannot tell, as on some Jetsons."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)  # noqa: S603  fixed arguments
    return (done.stdout.strip() or None) if done.returncode == 0 else None


def _builder(library: EngineLibrary, logger: Any) -> Any:
    try:
        return library.module.Builder(logger)
    except TypeError as error:  # pybind11's way to say that the C++ side returned nothing
        raise BackendError(f"{library.title} cannot start a builder: {said(logger)}") from error


def _settings(library: EngineLibrary, builder: Any, config: TensorRtConfig, target: Target) -> Any:
    trt = library.module
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib * MIB)
    settings.clear_flag(trt.BuilderFlag.TF32)
    if config.version_compatible:
        settings.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if config.hardware_compatible:
        settings.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if library.name == "tensorrt_rtx":
        _set_capabilities(library, settings, target.compute_capabilities)
    return settings


def _set_capabilities(library: EngineLibrary, settings: Any, capabilities: tuple[str, ...]) -> None:
    trt = library.module
    settings.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        value = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
        if value is None or not settings.set_compute_capability(value, index):
            known = [name for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
            raise ConfigError(
                f"export.tensorrt.compute_capabilities: {library.title} cannot build for {capability}; it knows "
                f"{', '.join(known)}; correct it, or build with TensorRT on the target machine"
            )


def _flags_set(trt: Any, settings: Any) -> tuple[str, ...]:
    """Names of the builder flags that are on, as the library itself reports them."""
    return tuple(sorted(name for name, flag in trt.BuilderFlag.__members__.items() if settings.get_flag(flag)))


def _build(
    library: EngineLibrary,
    logger: Any,
    builder: Any,
    network: Any,
    settings: Any,
    model: Path,
    path: Path,
    cache: Path | None,
    target: Target,
) -> Any:
    capability = target.compute_capabilities[0]
    # Held until the build has ended, because the library only borrows it.
    timings = None if cache is None else attach_timings(library, settings, cache, capability)
    logger.lines.clear()
    with build_progress(library, f"building {path.name}") as monitor:
        settings.progress_monitor = monitor
        engine = builder.build_serialized_network(network, settings)
        settings.progress_monitor = None
    del timings
    if engine is None:
        raise BackendError(f"{library.title} cannot build {model.name}: {said(logger)}")
    for line in dict.fromkeys(logger.lines):
        say(f"{library.title} on {path.name}: {line}")
    return engine


def _numbers(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))
