"""Which frames a run reads: a closed union, told apart by `layout`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runtime.config import StrictModel

__all__ = [
    "CamvidConfig",
    "CityscapesConfig",
    "FolderConfig",
    "FramesConfig",
    "Gta5Config",
    "OnDiskConfig",
    "StreetsConfig",
    "SynthiaConfig",
]


class StreetsConfig(StrictModel):
    """Rendered streets, one frame per seed; disjoint seed ranges are disjoint frames."""

    layout: Literal["streets"]
    domain: Literal["source", "target"]
    first: NonNegativeInt
    count: PositiveInt
    height: PositiveInt
    width: PositiveInt


class _OnDisk(StrictModel):
    """Frames that are files."""

    root: Path
    exclude: tuple[str, ...] = ()
    """Frames to leave out, by name: the path below the root, as errors and `check-data` print it."""


class CamvidConfig(_OnDisk):
    """CamVid in the 11-class SegNet form; `split` names a list of frames, `ROOT/splits/NAME.txt`."""

    layout: Literal["camvid"]
    split: str = Field(pattern=r"^[A-Za-z0-9_-]+$")


class CityscapesConfig(_OnDisk):
    """Cityscapes as unpacked: `leftImg8bit/SPLIT/CITY` and, for labels, `gtFine/SPLIT/CITY`."""

    layout: Literal["cityscapes"]
    split: Literal["train", "val", "test", "train_extra"]
    """The last two can be adapted to, but not evaluated on: they come without fine labels."""


class Gta5Config(_OnDisk):
    """GTA5 ("Playing for Data"): `images/*.png` and `labels/*.png`."""

    layout: Literal["gta5"]


class SynthiaConfig(_OnDisk):
    """SYNTHIA-RAND-CITYSCAPES: `RGB/*.png` and `GT/LABELS/*.png`."""

    layout: Literal["synthia"]


class FolderConfig(_OnDisk):
    """Every image below a folder, unlabelled: what a fleet has."""

    layout: Literal["folder"]


OnDiskConfig = CamvidConfig | CityscapesConfig | Gta5Config | SynthiaConfig | FolderConfig
FramesConfig = Annotated[StreetsConfig | OnDiskConfig, Field(discriminator="layout")]
