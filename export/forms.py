"""The artefacts there are, by the name they have in a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runtime.bundle.manifest import Format, Precision, Scheme, Tail

__all__ = ["FORMS", "ArtefactName", "Form"]

ArtefactName = Literal[
    "fp32.onnx",
    "fp32-logits.onnx",
    "fp16.onnx",
    "bf16.onnx",
    "int8-cpu.onnx",
    "int8-cpu-logits.onnx",
    "int8-gpu.onnx",
    "fp32.torchscript",
    "fp32.pt2",
    "fp32.engine",
    "fp16.engine",
    "bf16.engine",
    "int8.engine",
]


@dataclass(frozen=True, slots=True)
class Form:
    """What an artefact is, and the artefact it is made from; None where that is the PyTorch network."""

    format: Format
    precision: Precision
    made_from: ArtefactName | None = None
    tail: Tail = "labels"
    scheme: Scheme | None = None


# In the order in which they are made.
FORMS: Mapping[ArtefactName, Form] = {
    "fp32.onnx": Form("onnx", "fp32"),
    "fp32-logits.onnx": Form("onnx", "fp32", "fp32.onnx", tail="logits"),
    "fp16.onnx": Form("onnx", "fp16"),
    "bf16.onnx": Form("onnx", "bf16"),
    "int8-cpu.onnx": Form("onnx", "int8", "fp32.onnx", scheme="u8s8"),
    "int8-cpu-logits.onnx": Form("onnx", "int8", "int8-cpu.onnx", tail="logits", scheme="u8s8"),
    "int8-gpu.onnx": Form("onnx", "int8", "fp32.onnx", scheme="s8s8"),
    "fp32.torchscript": Form("torchscript", "fp32"),
    "fp32.pt2": Form("pt2", "fp32"),
    "fp32.engine": Form("tensorrt", "fp32", "fp32.onnx"),
    "fp16.engine": Form("tensorrt", "fp16", "fp16.onnx"),
    "bf16.engine": Form("tensorrt", "bf16", "bf16.onnx"),
    "int8.engine": Form("tensorrt", "int8", "int8-gpu.onnx", scheme="s8s8"),
}
