"""Class names of the raw label ids of each data set, in the vocabulary of `runtime.labels`.

Names that no label space has (parking, caravan) become ignored pixels there; None marks void.
"""

from collections.abc import Mapping
from types import MappingProxyType

from runtime.labels import IGNORE_INDEX, LABEL_SPACES

__all__ = ["CAMVID_NAMES", "CITYSCAPES_NAMES", "GTA5_NAMES", "STREETS_NAMES", "SYNTHIA_NAMES"]

_LABEL_IDS: tuple[str | None, ...] = (
    # Unlabelled, ego vehicle, rectification border, out of roi, static, dynamic, ground: the group "void".
    *(None, None, None, None, None, None, None),
    *("road", "sidewalk", "parking", "rail track"),
    *("building", "wall", "fence", "guard rail", "bridge", "tunnel"),
    *("pole", "polegroup", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider"),
    *("car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"),
)

# The licence plate, -1 in the Cityscapes tables, is 255 in an 8-bit map; GTA5 numbers it 34.
CITYSCAPES_NAMES: Mapping[int, str | None] = MappingProxyType({**dict(enumerate(_LABEL_IDS)), 255: None})
GTA5_NAMES: Mapping[int, str | None] = MappingProxyType({**dict(enumerate(_LABEL_IDS)), 34: None})

SYNTHIA_NAMES: Mapping[int, str | None] = MappingProxyType(
    {
        0: None,
        1: "sky",
        2: "building",
        3: "road",
        4: "sidewalk",
        5: "fence",
        6: "vegetation",
        7: "pole",
        8: "car",
        9: "traffic sign",
        10: "person",
        11: "bicycle",
        12: "motorcycle",
        13: "parking",
        14: "road work",
        15: "traffic light",
        16: "terrain",
        17: "rider",
        18: "truck",
        19: "bus",
        20: "train",
        21: "wall",
        22: "lane marking",
    }
)

CAMVID_NAMES: Mapping[int, str | None] = MappingProxyType(
    {
        0: "sky",
        1: "building",
        2: "pole",
        3: "road",
        4: "sidewalk",
        5: "vegetation",
        6: "traffic sign",
        7: "fence",
        8: "car",
        9: "person",
        10: "bicyclist",
        11: None,
    }
)

# The renderer paints train ids of cityscapes19.
STREETS_NAMES: Mapping[int, str | None] = MappingProxyType(
    {**dict(enumerate(LABEL_SPACES["cityscapes19"].names)), IGNORE_INDEX: None}
)
