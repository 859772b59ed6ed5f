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


class CamvidConfig(StrictModel):
    """CamVid in the 11-class SegNet form; `split` names a list of frames, `ROOT/splits/NAME.txt`."""

    layout: Literal["camvid"]
    root: Path
    split: str = Field(pattern=r"^[A-Za-z0-9_-]+$")


class CityscapesConfig(StrictModel):
    """Cityscapes as unpacked: `leftImg8bit/SPLIT/CITY` and, for labels, `gtFine/SPLIT/CITY`."""

    layout: Literal["cityscapes"]
    root: Path
    split: Literal["train", "val"]


class Gta5Config(StrictModel):
    """GTA5 ("Playing for Data"): `images/*.png` and `labels/*.png`."""

    layout: Literal["gta5"]
    root: Path


class SynthiaConfig(StrictModel):
    """SYNTHIA-RAND-CITYSCAPES: `RGB/*.png` and `GT/LABELS/*.png`."""

    layout: Literal["synthia"]
    root: Path


class FolderConfig(StrictModel):
    """Every image below a folder, unlabelled: what a fleet has."""

    layout: Literal["folder"]
    root: Path


FramesConfig = Annotated[
    StreetsConfig | CamvidConfig | CityscapesConfig | Gta5Config | SynthiaConfig | FolderConfig,
    Field(discriminator="layout"),
]
