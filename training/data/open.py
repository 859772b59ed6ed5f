"""From a config to frames: the one place where a layout is chosen."""

from typing import assert_never

from runtime.errors import ConfigError
from runtime.labels import LabelSpace, id_table
from training.data.config import (
    CamvidConfig,
    CityscapesConfig,
    FolderConfig,
    FramesConfig,
    Gta5Config,
    StreetsConfig,
    SynthiaConfig,
)
from training.data.files import LabelledFiles
from training.data.frames import Frames, LabelledFrames
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
    synthia_images,
    synthia_labels,
)
from training.data.street_frames import LabelledStreetFrames, StreetFrames

__all__ = ["open_frames", "open_labelled_frames"]


def open_frames(config: FramesConfig) -> Frames:
    """Open frames without labels; no label file is opened or looked for, here or later.

    Raises:
        DataError: the data set is not where the config says, or holds no frame.
    """
    match config:
        case StreetsConfig():
            return _streets(config)
        case CamvidConfig():
            return camvid_images(config.root, config.split)
        case CityscapesConfig():
            return cityscapes_images(config.root, config.split)
        case Gta5Config():
            return gta5_images(config.root)
        case SynthiaConfig():
            return synthia_images(config.root)
        case FolderConfig():
            return folder_images(config.root)
        case _:
            assert_never(config)


def open_labelled_frames(config: FramesConfig, space: LabelSpace) -> LabelledFrames:
    """Open frames with labels in a label space; classes are mapped by name.

    Raises:
        ConfigError: the layout has no labels.
        DataError: the data set is not where the config says, holds no frame, or a frame has no label file.
    """
    match config:
        case StreetsConfig():
            return LabelledStreetFrames(_streets(config), id_table(STREETS_NAMES, space))
        case CamvidConfig():
            images = camvid_images(config.root, config.split)
            return LabelledFiles(images, camvid_labels(images), id_table(CAMVID_NAMES, space), read_ids)
        case CityscapesConfig():
            images = cityscapes_images(config.root, config.split)
            return LabelledFiles(images, cityscapes_labels(images), id_table(CITYSCAPES_NAMES, space), read_ids)
        case Gta5Config():
            images = gta5_images(config.root)
            return LabelledFiles(images, gta5_labels(images), id_table(GTA5_NAMES, space), read_ids)
        case SynthiaConfig():
            images = synthia_images(config.root)
            table = id_table(SYNTHIA_NAMES, space)
            return LabelledFiles(images, synthia_labels(images), table, read_ids_of_first_channel)
        case FolderConfig():
            raise ConfigError(
                f"layout folder ({config.root}) has no labels; use layout camvid, cityscapes, gta5, synthia or streets"
            )
        case _:
            assert_never(config)


def _streets(config: StreetsConfig) -> StreetFrames:
    return StreetFrames(config.domain, config.first, config.count, config.height, config.width)
