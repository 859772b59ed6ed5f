"""Who takes part in a race: the engines of this machine, each with every artefact of the bundle that it serves."""

from dataclasses import dataclass
from importlib.util import find_spec

from runtime.backends.config import (
    AutoConfig,
    BackendConfig,
    CpuConfig,
    CudaConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TensorRtEpConfig,
)
from runtime.backends.ort_providers import CUDA, TENSORRT
from runtime.backends.packages import import_onnxruntime
from runtime.bundle.manifest import Artefact, Manifest
from runtime.bundle.serving import format_served, why_not_served

__all__ = ["Contender", "Refusal", "contenders_of", "title_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """An engine and the artefact it would serve; equal to itself alone."""

    backend: BackendConfig
    artefact: Artefact


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine that does not take part, with one artefact or, where that is None, with any."""

    backend: BackendConfig
    artefact: Artefact | None
    reason: str


def contenders_of(
    manifest: Manifest, config: AutoConfig, artefact: str | None
) -> tuple[list[Contender], list[Refusal]]:
    """Who takes part, and who does not and why.

    Args:
        manifest: what the bundle holds.
        config: what every contender has in common.
        artefact: the only artefact to race with; None races with all.
    """
    contenders, refusals = [], []
    for backend in _backends(config):
        named = [entry for entry in manifest.artefacts if artefact in (None, entry.file)]
        fitting = [entry for entry in named if entry.format == format_served(backend)]
        if fitting and (reason := _why_not_offered(backend)):
            refusals.append(Refusal(backend, None, reason))
            continue
        for entry in fitting:
            if reason := why_not_served(entry, backend):
                refusals.append(Refusal(backend, entry, reason))
            else:
                contenders.append(Contender(backend, entry))
    return contenders, refusals


def title_of(backend: BackendConfig) -> str:
    """An engine, for people."""
    return f"openvino {backend.precision}" if isinstance(backend, OpenVinoConfig) else backend.provider


def _backends(config: AutoConfig) -> list[BackendConfig]:
    return [
        CpuConfig(threads=config.threads),
        OpenVinoConfig(precision="fp32", threads=config.threads),
        OpenVinoConfig(precision="bf16", threads=config.threads),
        CudaConfig(device_id=config.device_id),
        TensorRtEpConfig(device_id=config.device_id),
        TensorRtConfig(device_id=config.device_id),
    ]


def _why_not_offered(backend: BackendConfig) -> str | None:
    """Why nothing needs to be opened to know that an engine is not here; None where it may be."""
    match backend:
        case OpenVinoConfig() if find_spec("openvino") is None:
            return "OpenVINO is not installed; `pip install 'iapc[openvino]'` adds it"
        case CudaConfig() if CUDA not in _onnxruntime_providers():
            return "no ONNX Runtime with CUDA is installed; `pip install 'iapc[gpu]'` has it"
        case TensorRtEpConfig() if TENSORRT not in _onnxruntime_providers():
            return "no ONNX Runtime with TensorRT is installed; `pip install 'iapc[gpu]'` has it"
        case _:
            return None


def _onnxruntime_providers() -> list[str]:
    if find_spec("onnxruntime") is None:
        return []
    providers: list[str] = import_onnxruntime().get_available_providers()
    return providers
