"""The `export` section of a run file: one closed tree."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from runtime.config import StrictModel
from training.data.config import FramesConfig

__all__ = ["ArtefactFormat", "ExportConfig", "TensorRtConfig"]

ArtefactFormat = Literal["onnx", "torchscript", "tensorrt"]
ComputeCapability = Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-9]$")]


class TensorRtConfig(StrictModel):
    """How a TensorRT engine is built."""

    compute_capabilities: tuple[ComputeCapability, ...] = Field(default=("8.0", "8.6", "8.9", "12.0"), min_length=1)
    """GPUs the engine is for. TensorRT-RTX alone reads it; TensorRT builds for the GPU it runs on."""
    workspace_mib: PositiveInt = 2048
    """GPU memory that the layers may use beside weights and activations."""


class ExportConfig(StrictModel):
    """Everything `python -m export` needs for one bundle."""

    checkpoint: Path
    """A network file, as `train-source` and `adapt` write it."""
    factory: str | None = None
    """The function that a network file of your own `nn.Module` may call; it must be the file's `model.factory`."""
    bundle: Path
    """Folder of the bundle; a bundle already there is replaced when the new one is complete."""
    frames: FramesConfig
    """Unlabelled target frames, on which every artefact is compared with PyTorch."""
    frame_hw: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width of the camera's frames; None takes those of the first frame."""
    artefacts: tuple[ArtefactFormat, ...] = Field(default=("onnx", "torchscript"), min_length=1)
    num_parity_frames: PositiveInt = 20
    """Spread evenly over `frames`; a data set with fewer is taken whole."""
    num_golden_frames: PositiveInt = 2
    """Of the parity frames, kept in the bundle for the runtime to repeat."""
    min_label_agreement: float = Field(default=0.9999, gt=0.0, le=1.0)
    """Smallest share of pixels with PyTorch's label."""
    max_confidence_difference: int = Field(default=2, ge=0, le=255)
    """Largest difference at any pixel, of 255."""
    tensorrt: TensorRtConfig = TensorRtConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "ExportConfig":
        if len(set(self.artefacts)) != len(self.artefacts):
            raise ValueError(f"artefacts={self.artefacts}: each at most once")
        if "tensorrt" in self.artefacts and "onnx" not in self.artefacts:
            raise ValueError("artefacts: tensorrt is built from onnx; add onnx")
        if self.num_golden_frames > self.num_parity_frames:
            raise ValueError(
                f"num_golden_frames={self.num_golden_frames} must not exceed num_parity_frames={self.num_parity_frames}"
            )
        return self
