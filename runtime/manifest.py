"""The bundle's manifest: everything a vehicle needs to run a network, and everything an auditor asks.

A bundle is a folder with `manifest.json` and the files it lists, each with its SHA-256. The manifest is
written last, so a folder without one is not a bundle. JSON, never pickle: reading it runs no code.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from runtime.config import StrictModel
from runtime.errors import BundleError
from runtime.files import sha256_of

__all__ = [
    "MANIFEST_NAME",
    "Artefact",
    "BundleFile",
    "ClassInfo",
    "EngineInfo",
    "Golden",
    "InputConvention",
    "Manifest",
    "Parity",
    "read_manifest",
    "verified_path",
]

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION: Literal[1] = 1

Channel = Annotated[int, Field(ge=0, le=255)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class InputConvention(StrictModel):
    """How pixel values become network input: reorder channels, subtract `mean`, divide by `std`.

    `mean` and `std` are in 0..255 units and in the order of `channel_order`.
    """

    channel_order: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ClassInfo(StrictModel):
    """One class; its position in the manifest is its train id."""

    name: str
    colour: tuple[Channel, Channel, Channel]


class BundleFile(StrictModel):
    """A file of the bundle, by name and content."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    num_bytes: PositiveInt


class Parity(StrictModel):
    """How an artefact compared with the PyTorch network on real target frames."""

    num_frames: PositiveInt
    label_agreement: Share
    max_confidence_difference: Channel


class EngineInfo(StrictModel):
    """What a TensorRT engine was built with; it loads nowhere else."""

    library: Literal["tensorrt", "tensorrt_rtx"]
    version: str
    compute_capabilities: tuple[str, ...]


class Artefact(BundleFile):
    """One frozen form of the network.

    `parity` is None where the exporting machine could not run the artefact; `not_run` then says why, and
    the runtime refuses to serve it.
    """

    format: Literal["onnx", "torchscript", "tensorrt"]
    precision: Literal["fp32"]
    parity: Parity | None
    not_run: str | None = None
    engine: EngineInfo | None = None

    @model_validator(mode="after")
    def _run_or_explained(self) -> "Artefact":
        if (self.parity is None) == (self.not_run is None):
            raise ValueError("give either parity, or not_run with the reason")
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

    Every artefact takes `frame` (1, frame_height, frame_width, 3) uint8 RGB and gives `labels` and
    `confidence`, both (1, frame_height, frame_width) uint8; confidence 255 is certainty.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    frame_height: PositiveInt
    frame_width: PositiveInt
    network_height: PositiveInt
    network_width: PositiveInt
    input: InputConvention
    classes: tuple[ClassInfo, ...] = Field(min_length=2)
    artefacts: tuple[Artefact, ...] = Field(min_length=1)
    golden: Golden
    provenance: dict[str, Any]
    created_unix_s: NonNegativeInt

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """Every file the bundle must hold besides the manifest."""
        return (*self.artefacts, self.golden.frames, self.golden.labels)


def read_manifest(bundle: Path) -> Manifest:
    """Read and check a bundle's manifest; file contents are checked by `verified_path`.

    Raises:
        BundleError: there is no manifest, or it is damaged or of another schema version.
    """
    path = bundle / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{bundle} is not a bundle: {MANIFEST_NAME} cannot be read ({error.strerror}); run `make export`"
        ) from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if key == "schema_version":
            raise BundleError(
                f"{path} has schema version {problem['input']}; this runtime reads version {SCHEMA_VERSION}; "
                "export the bundle again or install the matching runtime"
            ) from error
        raise BundleError(f"{path} is damaged at {key or 'its start'}: {problem['msg']}") from error


def verified_path(bundle: Path, entry: BundleFile) -> Path:
    """Path of a bundle's file, after its content was found to be what the manifest says.

    Raises:
        BundleError: the file is missing or its SHA-256 differs.
    """
    path = bundle / entry.file
    if not path.is_file():
        raise BundleError(f"bundle {bundle} is incomplete: {entry.file} is missing")
    digest = sha256_of(path)
    if digest != entry.sha256:
        raise BundleError(
            f"bundle {bundle} was altered: {entry.file} has SHA-256 {digest[:12]}..., the manifest says "
            f"{entry.sha256[:12]}...; do not run it, export or copy it again"
        )
    return path
