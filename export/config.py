"""The `export` section of a run file: one closed tree."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from export.forms import ArtefactName
from runtime.bundle.manifest import Precision
from runtime.config import StrictModel
from training.data.config import FramesConfig

__all__ = ["Budget", "Budgets", "ExportConfig", "Int8Config", "QuantizationAwareConfig", "TensorRtConfig"]

ComputeCapability = Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-9]$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TensorRtConfig(StrictModel):
    """How a TensorRT engine is built."""

    compute_capabilities: tuple[ComputeCapability, ...] = Field(default=("8.0", "8.6", "8.9", "12.0"), min_length=1)
    """GPUs the engine is for. TensorRT-RTX alone reads it; TensorRT builds for the GPU it runs on."""
    workspace_mib: PositiveInt = 2048
    """GPU memory that the layers may use beside weights and activations."""
    hardware_compatible: bool = False
    """Let the engine run on every GPU from Ampere on, at some cost in speed. TensorRT alone."""
    version_compatible: bool = False
    """Let the engine run on later versions of TensorRT too. TensorRT alone."""
    cache: Path | None = None
    """Folder in which engines and timings are kept between exports; None builds anew."""


class Budget(StrictModel):
    """What an artefact may lose against PyTorch in float32 on the gate's frames; classes are PyTorch's."""

    min_label_agreement: Share = 0.9999
    """Smallest share of pixels with PyTorch's label."""
    max_confidence_difference: int | None = Field(default=2, ge=0, le=255)
    """Largest difference at any pixel, of 255; None does not look."""
    max_logits_error: NonNegativeFloat = 1e-3
    """Largest root mean square difference of the logits, relative to their deviation."""
    min_class_recall: Share = 0.999
    """Smallest share of any class's pixels that keep their label; classes of too few pixels are not judged."""
    min_rare_recall: Share = 0.998
    """The same for rare classes."""
    max_miou_drop: NonNegativeFloat = 0.05
    """Largest loss of mIoU in percentage points, where `test` has labels."""
    max_class_iou_drop: NonNegativeFloat = 0.2
    """Largest loss of any class's IoU in percentage points, where `test` has labels."""


class Fp16Budget(Budget):
    """Budget of fp16."""

    min_label_agreement: Share = 0.998
    max_confidence_difference: int | None = Field(default=None, ge=0, le=255)
    max_logits_error: NonNegativeFloat = 0.01
    min_class_recall: Share = 0.98
    min_rare_recall: Share = 0.97
    max_miou_drop: NonNegativeFloat = 0.1
    max_class_iou_drop: NonNegativeFloat = 0.5


class Bf16Budget(Fp16Budget):
    """Budget of bf16, which keeps eight bits."""

    min_label_agreement: Share = 0.99
    max_logits_error: NonNegativeFloat = 0.05
    min_class_recall: Share = 0.95
    min_rare_recall: Share = 0.93
    max_miou_drop: NonNegativeFloat = 0.3
    max_class_iou_drop: NonNegativeFloat = 2.0


class Int8Budget(Fp16Budget):
    """Budget of INT8."""

    min_label_agreement: Share = 0.98
    max_logits_error: NonNegativeFloat = 0.05
    min_class_recall: Share = 0.90
    min_rare_recall: Share = 0.85
    max_miou_drop: NonNegativeFloat = 0.3
    max_class_iou_drop: NonNegativeFloat = 1.5


class Budgets(StrictModel):
    """A budget for each precision."""

    fp32: Budget = Budget()
    fp16: Fp16Budget = Fp16Budget()
    bf16: Bf16Budget = Bf16Budget()
    int8: Int8Budget = Int8Budget()

    def of(self, precision: Precision) -> Budget:
        """The budget of a precision."""
        return {"fp32": self.fp32, "fp16": self.fp16, "bf16": self.bf16, "int8": self.int8}[precision]


class QuantizationAwareConfig(StrictModel):
    """How the network learns to live with its integers, on the frames and with the losses of `training`."""

    when: Literal["never", "short", "always"] = "never"
    """`short` trains where INT8 misses its budget on the frames of choice, which have no labels."""
    iterations: PositiveInt = 200
    learning_rate_multiplier: float = Field(default=0.02, gt=0.0)
    """Of the learning rate of `training.adaptation`."""
    likeness: NonNegativeFloat = 100.0
    """Weight of a term that keeps the network to what it predicts in float32; without it the other losses lead on."""


class Int8Config(StrictModel):
    """How integers are chosen: all of it without labels, and never on the gate's frames."""

    num_calibration_frames: PositiveInt = 32
    """Frames whose activations set the ranges, chosen to cover the classes the network predicts."""
    num_choice_frames: PositiveInt = 24
    """Other frames, on which range method and float layers are chosen; rare classes have to occur on them."""
    range_method: Literal["auto", "minmax", "percentile", "entropy"] = "auto"
    """How activations become a range; `auto` measures each."""
    float_layers: Literal["auto"] | tuple[str, ...] = "auto"
    """Layers that stay in float32; `auto` keeps the most sensitive ones, as few as meet the budget safely."""
    max_float_layers: NonNegativeInt = 16
    """The most that `auto` may keep."""
    max_float_share: Share = 0.05
    """The most that `auto` may keep of the multiply-accumulates: float layers cost what INT8 is there to save."""
    layer_report: bool = False
    """Measure what each layer loses even where no layer has to stay in float."""
    reduce_range: bool = False
    """Seven-bit weights, for CPUs without VNNI, whose 16-bit sums would overflow."""
    aware: QuantizationAwareConfig = QuantizationAwareConfig()


class ExportConfig(StrictModel):
    """Everything `python -m export` needs for one bundle."""

    checkpoint: Path
    """A network file, as `train-source` and `adapt` write it."""
    factory: str | None = None
    """The function that a network file of your own `nn.Module` may call; it must be the file's `model.factory`."""
    bundle: Path
    """Folder of the bundle; a bundle already there is replaced when the new one is complete."""
    frames: FramesConfig
    """Unlabelled target frames, in the order in which they were taken where they are of one drive. Some, spread evenly,
    are the gate's; INT8 is calibrated on others."""
    test: FramesConfig | None = None
    """Labelled target frames, if there are any: the gate then judges the change of IoU as well. Frames of `frames` that
    INT8 is calibrated or chosen on are left out."""
    num_test_frames: PositiveInt = 50
    """Spread evenly over the others of `test`."""
    frame_hw: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width of the camera's frames; None takes those of the first frame."""
    network_hw: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width the network sees in the vehicle; None takes those of the checkpoint. Fewer pixels cost less and
    show less: what a size is worth is for `test` and `benchmarks choose` to say."""
    artefacts: tuple[ArtefactName, ...] = Field(default=("fp32.onnx", "fp32.torchscript"), min_length=1)
    num_gate_frames: PositiveInt = 20
    """Frames on which every artefact is compared with PyTorch."""
    num_reference_frames: PositiveInt = 100
    """Spread evenly over `frames`; what they look like tells the vehicle when the world has changed. They should be
    frames that the network was not trained on, of which it would be too sure."""
    num_golden_frames: PositiveInt = 2
    """Of the gate's frames, kept in the bundle for the runtime to repeat."""
    budgets: Budgets = Budgets()
    int8: Int8Config = Int8Config()
    tensorrt: TensorRtConfig = TensorRtConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "ExportConfig":
        if len(set(self.artefacts)) != len(self.artefacts):
            raise ValueError(f"artefacts={self.artefacts}: each at most once")
        if self.num_golden_frames > self.num_gate_frames:
            raise ValueError(
                f"num_golden_frames={self.num_golden_frames} must not exceed num_gate_frames={self.num_gate_frames}"
            )
        return self
