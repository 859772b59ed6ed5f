"""Which frames a run reads: a closed union, told apart by `layout`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from runtime.config import StrictModel

__all__ = [
    "CamvidConfig",
    "CityscapesConfig",
    "FolderConfig",
    "FramesConfig",
    "Gta5Config",
    "LabelledFolderConfig",
    "OnDiskConfig",
    "StreetsConfig",
    "SynthiaConfig",
]

RawId = Annotated[int, Field(ge=0, le=255)]


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


class LabelledFolderConfig(_OnDisk):
    """Every image below a folder, each with a label map of one 8-bit channel: `LABELS/A/1.png` for `ROOT/A/1.jpg`."""

    layout: Literal["labelled_folder"]
    labels: Path
    """Folder of the label maps; not below `root`, where they would count as images."""
    ids: Annotated[Mapping[RawId, str | None], Field(min_length=1)] | None = None
    """Class of each id in the label maps, by name, as in `{7: road, 8: sidewalk, 0: null}`; null marks void, and a
    class that `label_space` does not have is ignored. None: ids are train ids of `label_space`, and 255 is void."""

    @model_validator(mode="after")
    def _labels_are_no_images(self) -> "LabelledFolderConfig":
        if self.labels.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(
                f"labels={self.labels} lies below root={self.root}, so label maps would count as images; give the "
                "folder of the images alone as root"
            )
        return self


OnDiskConfig = CamvidConfig | CityscapesConfig | Gta5Config | SynthiaConfig | FolderConfig | LabelledFolderConfig
FramesConfig = Annotated[StreetsConfig | OnDiskConfig, Field(discriminator="layout")]
