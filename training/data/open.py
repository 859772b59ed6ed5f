"""From a config to frames: the one place where a layout is chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

from runtime.errors import ConfigError
from runtime.labels import IGNORE_INDEX, LabelSpace, id_table
from training.data.config import (
    CamvidConfig,
    CityscapesConfig,
    FolderConfig,
    FramesConfig,
    Gta5Config,
    LabelledFolderConfig,
    OnDiskConfig,
    StreetsConfig,
    SynthiaConfig,
)
from training.data.files import ImageFiles, LabelledFiles, files_digest
from training.data.frames import Frames
from training.data.label_ids import CAMVID_NAMES, CITYSCAPES_NAMES, GTA5_NAMES, STREETS_NAMES, SYNTHIA_NAMES
from training.data.label_maps import read_ids, read_ids_of_first_channel
from training.data.layouts import (
    camvid_images,
    camvid_labels,
    cityscapes_images,
    cityscapes_labels,
    folder_images,
    gta5_images,
    gta5_labels,
    labelled_folder_labels,
    require_labels,
    synthia_images,
    synthia_labels,
    without,
)
from training.data.street_frames import LabelledStreetFrames, StreetFrames

__all__ = ["described", "identified", "label_names", "open_frames", "open_labelled_frames"]


def open_frames(config: FramesConfig) -> Frames:
    """Open frames without labels; no label file is opened or looked for, here or later.

    Raises:
        DataError: the data set is not where the config says, or holds no frame.
    """
    return _streets(config) if isinstance(config, StreetsConfig) else without(_images(config), config.exclude)


def identified(config: FramesConfig, frames: Frames) -> dict[str, Any]:
    """Which frames they are, for the hash of all that a result depends on.

    A config says where frames lie, not which are there: whatever is kept by their index, such as labels, would be taken
    for that of others when one is added or removed. So files are told by `files_digest`; of rendered streets the config
    says all.

    Args:
        config: which frames.
        frames: the same, opened, with labels where labels count.

    Raises:
        DataError: a file is missing.
    """
    told = config.model_dump(mode="json")
    return {**told, "digest": files_digest(frames)} if isinstance(frames, ImageFiles | LabelledFiles) else told


def described(config: FramesConfig, frames: Frames) -> dict[str, Any]:
    """Which frames, and how many they are, for the file of a network that learnt from them.

    Raises:
        DataError: a file is missing.
    """
    return {**identified(config, frames), "num_frames": len(frames)}


def open_labelled_frames(
    config: FramesConfig, space: LabelSpace, *, must_exist: bool = True
) -> LabelledFiles | LabelledStreetFrames:
    """Open frames with labels in a label space; classes are mapped by name.

    Args:
        config: which frames.
        space: the classes that labels are given in.
        must_exist: look for every label file now. Without, a missing one is told when it is read, which lets a
            check of the whole data set list them all.

    Raises:
        ConfigError: the layout or split has no labels.
        DataError: the data set is not where the config says, holds no frame, or a frame has no label file.
    """
    table = id_table(label_names(config, space), space)
    if isinstance(config, StreetsConfig):
        return LabelledStreetFrames(_streets(config), table)
    images = without(_images(config), config.exclude)
    assert not isinstance(config, FolderConfig), "label_names has refused it"
    labels = _labels(config, images)
    if must_exist:
        require_labels(images, labels)
    return LabelledFiles(images, labels, table, read_ids_of_first_channel if config.layout == "synthia" else read_ids)


def label_names(config: FramesConfig, space: LabelSpace) -> Mapping[int, str | None]:
    """Class name of each raw label id of a data set; None for its void ids.

    Args:
        config: which frames.
        space: the classes of label maps of the user's own that hold its train ids.

    Raises:
        ConfigError: the layout or split has no labels.
    """
    match config:
        case StreetsConfig():
            return STREETS_NAMES
        case CamvidConfig():
            return CAMVID_NAMES
        case CityscapesConfig(split="train" | "val"):
            return CITYSCAPES_NAMES
        case CityscapesConfig(split=split):
            raise ConfigError(f"Cityscapes has no fine labels for split {split} ({config.root}); use train or val")
        case Gta5Config():
            return GTA5_NAMES
        case SynthiaConfig():
            return SYNTHIA_NAMES
        case LabelledFolderConfig(ids=ids):
            return {**dict(enumerate(space.names)), IGNORE_INDEX: None} if ids is None else ids
        case FolderConfig():
            raise ConfigError(
                f"layout folder ({config.root}) has no labels; use layout labelled_folder, camvid, cityscapes, gta5, "
                "synthia or streets"
            )
        case _:
            assert_never(config)


def _images(config: OnDiskConfig) -> ImageFiles:
    match config:
        case CamvidConfig():
            return camvid_images(config.root, config.split)
        case CityscapesConfig():
            return cityscapes_images(config.root, config.split)
        case Gta5Config():
            return gta5_images(config.root)
        case SynthiaConfig():
            return synthia_images(config.root)
        case FolderConfig() | LabelledFolderConfig():
            return folder_images(config.root)
        case _:
            assert_never(config)


def _labels(
    config: CamvidConfig | CityscapesConfig | Gta5Config | SynthiaConfig | LabelledFolderConfig, images: ImageFiles
) -> tuple[Path, ...]:
    match config:
        case CamvidConfig():
            return camvid_labels(images)
        case CityscapesConfig():
            return cityscapes_labels(images)
        case Gta5Config():
            return gta5_labels(images)
        case SynthiaConfig():
            return synthia_labels(images)
        case LabelledFolderConfig(labels=folder):
            return labelled_folder_labels(images, folder)
        case _:
            assert_never(config)


def _streets(config: StreetsConfig) -> StreetFrames:
    return StreetFrames(config.domain, config.first, config.count, config.height, config.width)
