"""Label spaces: which classes a network tells apart, their order and their colours.

Label maps are uint8 arrays of train ids; `IGNORE_INDEX` marks pixels that no metric or loss counts.
Spaces map into each other by class name, never by index, so that two data sets cannot be mixed up silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["IGNORE_INDEX", "LABEL_SPACES", "LabelSpace", "id_table"]

IGNORE_INDEX = 255

# Colours of the Cityscapes scripts, which most viewers of this field know by heart.
_COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "road": (128, 64, 128),
        "sidewalk": (244, 35, 232),
        "building": (70, 70, 70),
        "wall": (102, 102, 156),
        "fence": (190, 153, 153),
        "pole": (153, 153, 153),
        "traffic light": (250, 170, 30),
        "traffic sign": (220, 220, 0),
        "vegetation": (107, 142, 35),
        "terrain": (152, 251, 152),
        "sky": (70, 130, 180),
        "person": (220, 20, 60),
        "rider": (255, 0, 0),
        "car": (0, 0, 142),
        "truck": (0, 0, 70),
        "bus": (0, 60, 100),
        "train": (0, 80, 100),
        "motorcycle": (0, 0, 230),
        "bicycle": (119, 11, 32),
        "bicyclist": (119, 11, 32),
    }
)


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """An ordered set of classes; a class's position is its train id.

    `merges` names classes of other spaces that count as one of this space (a rider counts as a bicyclist).
    """

    names: tuple[str, ...]
    merges: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Number of classes, the ignored one not counted."""
        return len(self.names)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each train id, 0-255."""
        return tuple(_COLOURS[name] for name in self.names)

    def train_id(self, name: str) -> int:
        """Train id of a class by name; `IGNORE_INDEX` where this space does not have it."""
        name = self.merges.get(name, name)
        return self.names.index(name) if name in self.names else IGNORE_INDEX


def _without(space: tuple[str, ...], *dropped: str) -> tuple[str, ...]:
    return tuple(name for name in space if name not in dropped)


_CITYSCAPES = tuple(name for name in _COLOURS if name != "bicyclist")
_SYNTHIA = _without(_CITYSCAPES, "terrain", "truck", "train")
_CAMVID = (
    *("sky", "building", "pole", "road", "sidewalk", "vegetation"),
    *("traffic sign", "fence", "car", "person", "bicyclist"),
)

LABEL_SPACES: Mapping[str, LabelSpace] = MappingProxyType(
    {
        "cityscapes19": LabelSpace(_CITYSCAPES),
        "synthia16": LabelSpace(_SYNTHIA),
        "synthia13": LabelSpace(_without(_SYNTHIA, "wall", "fence", "pole")),
        "camvid11": LabelSpace(_CAMVID, {"rider": "bicyclist", "bicycle": "bicyclist"}),
    }
)


def id_table(raw_names: Mapping[int, str | None], space: LabelSpace) -> NDArray[np.int16]:
    """Lookup table from a data set's raw label ids to train ids.

    Args:
        raw_names: class name of each raw id the data set defines; None for its void ids.
        space: where the names lead.

    Returns:
        (65536,): a train id, `IGNORE_INDEX`, or -1 for a raw id the data set does not define.
    """
    table = np.full(65536, -1, dtype=np.int16)
    for raw_id, name in raw_names.items():
        table[raw_id] = IGNORE_INDEX if name is None else space.train_id(name)
    return table
