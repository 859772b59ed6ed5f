"""Which artefact of a bundle an engine serves, and how many golden labels it must repeat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, assert_never

from runtime.backends.config import (
    BackendConfig,
    CpuConfig,
    CudaConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TensorRtEpConfig,
)
from runtime.bundle.manifest import Artefact, Format, Manifest, Precision
from runtime.errors import BundleError

__all__ = [
    "agreement_margin",
    "choose_artefact",
    "format_served",
    "why_not_served",
]

DEFAULT_ARTEFACTS: Mapping[Format, str] = {"onnx": "fp32.onnx", "tensorrt": "fp32.engine"}

# Engines round differently, and a pixel on the border of two classes may flip; in float32 one in ten thousand may.
FP32_MARGIN = 1e-4
# With eight bits or fewer of mantissa a difference in rounding is a thousand times as large, and engines are free in
# the order of sums and in where they requantize: the border that flips is wider. Measured with INT8 of a
# trained ResNet-18 on pairs of frames: ONNX Runtime and OpenVINO agree with PyTorch to within 0.0024 of each other.
LOW_PRECISION_MARGIN = 5e-3
# An engine told to compute a float32 artefact in bf16 does what was not done at export: it has to do what the export
# asks of bf16 by default. Measured: 99.68 % of the labels of a trained ResNet-18, 99.0 % of those of random weights.
LOWERED_MARGIN = 1e-2


def choose_artefact(bundle: Path, manifest: Manifest, name: str | None, backend: BackendConfig) -> Artefact:
    """The artefact to serve.

    Args:
        bundle: for the message.
        manifest: what the bundle holds.
        name: the artefact's file; None takes the one in float32.
        backend: the engine.

    Raises:
        BundleError: it is not there, or the engine does not serve it; the message lists what there is.
    """
    name = name or DEFAULT_ARTEFACTS[format_served(backend)]
    reasons = {artefact.file: why_not_served(artefact, backend) for artefact in manifest.artefacts}
    for artefact in manifest.artefacts:
        if artefact.file == name and reasons[name] is None:
            return artefact
    problem = f"cannot serve {name}: {reasons[name]}" if name in reasons else f"has no artefact {name}"
    served = ", ".join(file for file, reason in reasons.items() if reason is None)
    others = "; ".join(f"{file}: {reason}" for file, reason in reasons.items() if reason is not None and file != name)
    raise BundleError(
        f"bundle {bundle} {problem}. With backend.provider={backend.provider} it serves "
        f"{served or 'none of its artefacts'}{f' (not {others})' if others else ''}; set runtime.artefact to one that "
        "is served, choose another backend, or export the bundle again with the artefact you need, on a machine that "
        "can run it"
    )


def format_served(backend: BackendConfig) -> Literal["onnx", "tensorrt"]:
    """The format of the artefacts that an engine takes."""
    return "tensorrt" if isinstance(backend, TensorRtConfig) else "onnx"


def why_not_served(artefact: Artefact, backend: BackendConfig) -> str | None:
    """Why an engine does not serve an artefact; None where it does."""
    if artefact.format != format_served(backend):
        served = "engines of TensorRT" if isinstance(backend, TensorRtConfig) else "ONNX"
        return f"the backend serves {served}, and this is {artefact.format}"
    if not artefact.parity:
        return f"it was never compared with its network ({artefact.not_run})"
    match backend:
        case CpuConfig():
            if artefact.precision == "bf16":
                return "ONNX Runtime has no bf16 convolution for CPUs"
            return None
        case CudaConfig():
            return None
        case TensorRtEpConfig():
            if artefact.quantization is not None and artefact.quantization.scheme == "u8s8":
                return "its integers are unsigned (u8s8), and TensorRT takes signed ones (s8s8)"
            return None
        case TensorRtConfig():
            return "the manifest does not say what built it" if artefact.engine is None else None
        case OpenVinoConfig():
            return _why_not_openvino(artefact.precision, backend.precision)
        case _:
            assert_never(backend)


def agreement_margin(artefact: Artefact, backend: BackendConfig | None = None) -> float:
    """How far below its label agreement at export an artefact may stay, as a share of the pixels.

    Args:
        artefact: what is served.
        backend: the engine; None stands for one that computes in the artefact's own precision.
    """
    is_lowered = isinstance(backend, OpenVinoConfig) and backend.precision == "bf16"
    if is_lowered and artefact.precision != "bf16":
        return LOWERED_MARGIN
    return FP32_MARGIN if artefact.precision == "fp32" else LOW_PRECISION_MARGIN


def _why_not_openvino(stored: Precision, computed: str) -> str | None:
    """OpenVINO computes in its own precision whatever the graph's types are: it must be the one the artefact names."""
    if stored == "fp16":
        return "OpenVINO does not compute in fp16 on CPUs"
    if stored == "bf16" and computed != "bf16":
        return f"backend.precision={computed}, set it to bf16"
    return None
