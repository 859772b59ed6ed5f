"""The bundle's manifest: everything a vehicle needs to run a network, and everything an auditor asks.

A bundle is a folder with `manifest.json` and the files it lists, each with its SHA-256. The manifest is
written last, so a folder without one is not a bundle. JSON, never pickle: reading it runs no code. Beside it there may
be `manifest.sig`, the signature of its bytes.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from runtime.config import StrictModel
from runtime.drift.features import describe
from runtime.drift.reference import Reference
from runtime.labels import ClassInfo

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "Artefact",
    "BundleFile",
    "ClassParity",
    "EngineInfo",
    "Format",
    "Golden",
    "InputConvention",
    "Manifest",
    "Parity",
    "Precision",
    "Quantization",
    "Scheme",
    "Tail",
]

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION: Literal[3] = 3

Format = Literal["onnx", "torchscript", "pt2", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Tail = Literal["labels", "logits"]
Scheme = Literal["u8s8", "s8s8"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class InputConvention(StrictModel):
    """How pixel values become network input: reorder channels, subtract `mean`, divide by `std`.

    `mean` and `std` are in 0..255 units and in the order of `channel_order`.
    """

    channel_order: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class BundleFile(StrictModel):
    """A file of the bundle, by name and content."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    num_bytes: PositiveInt


class ClassParity(StrictModel):
    """How one class fared in an artefact, over all gate frames.

    `share` is the class's share of PyTorch's pixels, `recall` the share of those that the artefact gives the class too,
    `iou_change` the difference of IoU to PyTorch's in percentage points; None where there is no such pixel or no label.
    """

    name: str
    share: Share
    recall: Share | None = None
    iou_change: float | None = None


class Parity(StrictModel):
    """How an artefact compared with the PyTorch network in float32 on held-out target frames.

    `engine` names what ran it. `logits_error` is the root mean square difference of the logits, relative to their
    deviation; `rare_recall` the smallest recall among rare classes; `miou_change` is in percentage points.
    """

    engine: str
    num_frames: PositiveInt
    label_agreement: Share
    max_confidence_difference: Annotated[int, Field(ge=0, le=255)]
    logits_error: float | None = None
    rare_recall: Share | None = None
    miou: float | None = None
    miou_change: float | None = None
    classes: tuple[ClassParity, ...] = ()


class Quantization(StrictModel):
    """How an INT8 artefact got its integers.

    `scheme` is `u8s8`, unsigned activations with a zero point, for CPUs, or `s8s8`, symmetric, for TensorRT.
    `float_layers` stayed in float32; `trained_iterations` is 0 unless the network learnt with its integers.
    """

    scheme: Scheme
    range_method: str
    calibration_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    num_calibration_frames: PositiveInt
    float_layers: tuple[str, ...] = ()
    trained_iterations: NonNegativeInt = 0


class EngineInfo(StrictModel):
    """What a TensorRT engine was built from and with; `fingerprint` is the hash of all of it.

    An engine loads only where library, version and GPU are those it was built for; `hardware_compatible` and
    `version_compatible` widen that as TensorRT defines.
    """

    library: Literal["tensorrt", "tensorrt_rtx"]
    version: str
    compute_capabilities: tuple[str, ...]
    gpu: str | None = None
    driver: str | None = None
    onnx_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    profile: dict[str, tuple[int, ...]]
    flags: tuple[str, ...] = ()
    hardware_compatible: bool = False
    version_compatible: bool = False
    workspace_mib: PositiveInt
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")


class Artefact(BundleFile):
    """One frozen form of the network.

    Tail `labels` gives `labels` and `confidence` as the manifest says; tail `logits` gives `logits`
    (1, C, h, w) float32, which the host turns into the same labels and confidence.

    `parity` holds one entry an engine that ran it; empty where none could on the exporting machine: `not_run` then
    says why, and the runtime refuses to serve it. `low_precision_share` is the share of multiply-accumulates whose
    operands have the stated precision, counted in the file itself. `golden_agreement` is the share of golden pixels
    with PyTorch's label, at export.
    """

    format: Format
    precision: Precision
    tail: Tail = "labels"
    parity: tuple[Parity, ...] = ()
    not_run: str | None = None
    low_precision_share: Share | None = None
    golden_agreement: Share | None = None
    quantization: Quantization | None = None
    engine: EngineInfo | None = None

    @model_validator(mode="after")
    def _run_or_explained(self) -> "Artefact":
        if bool(self.parity) == (self.not_run is not None):
            raise ValueError("give either parity, or not_run with the reason")
        if (self.quantization is not None) != (self.precision == "int8"):
            raise ValueError(f"precision {self.precision}: quantization belongs to int8, and only there")
        return self


class Golden(StrictModel):
    """Frames with the labels PyTorch gave them; the runtime repeats them before it says it is ready.

    `frames` is an .npy file (N, H, W, 3) uint8 RGB, `labels` one of (N, H, W) uint8.
    """

    frames: BundleFile
    labels: BundleFile
    num_frames: PositiveInt


class Manifest(StrictModel):
    """Contract between export and runtime.

    Every artefact takes `frame` (1, frame_height, frame_width, 3) uint8 RGB. `labels` and `confidence` are both
    (1, frame_height, frame_width) uint8; confidence 255 is certainty. `align_corners` says how logits lie on pixels.
    `reference` is what the target frames looked like to the network, against which a vehicle notices a change.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    frame_height: PositiveInt
    frame_width: PositiveInt
    network_height: PositiveInt
    network_width: PositiveInt
    align_corners: bool
    input: InputConvention
    classes: tuple[ClassInfo, ...] = Field(min_length=2)
    artefacts: tuple[Artefact, ...] = Field(min_length=1)
    golden: Golden
    reference: Reference
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _reference_is_of_its_classes(self) -> "Manifest":
        expected = [feature.key for feature in describe([one.name for one in self.classes])]
        if list(self.reference.features) != expected:
            raise ValueError(f"reference.features must be, in this order, {', '.join(expected)}")
        return self

    @property
    def frame_hw(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self.frame_height, self.frame_width

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """Every file the bundle must hold besides the manifest."""
        return (*self.artefacts, self.golden.frames, self.golden.labels)
