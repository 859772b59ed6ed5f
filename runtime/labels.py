"""Label spaces: which classes a network tells apart, their order and their colours.

Label maps are uint8 arrays of train ids; `IGNORE_INDEX` marks pixels that no metric or loss counts.
Spaces map into each other by class name, never by index, so that two data sets cannot be mixed up silently.
"""

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from runtime.config import StrictModel, nearest

__all__ = ["IGNORE_INDEX", "LABEL_SPACES", "ClassInfo", "LabelSpace", "id_table"]

IGNORE_INDEX = 255
MAX_CLASSES = 254
"""Train ids are uint8; 255 is ignored, and 254 marks an undefined id while labels are read."""

Channel = Annotated[int, Field(ge=0, le=255)]

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


class ClassInfo(StrictModel):
    """One class; its position among the others is its train id."""

    name: str
    colour: tuple[Channel, Channel, Channel]


class LabelSpace(StrictModel):
    """An ordered set of classes; a class's position is its train id.

    In a run file either one of `LABEL_SPACES` by its name, or classes of the user's own, where the 19 of Cityscapes and
    CamVid's bicyclist need no colour:

        label_space: cityscapes19

        label_space:
          classes: [road, sidewalk, person, {name: vehicle, colour: [0, 0, 142]}, {name: lane, colour: [255, 255, 255]}]
          merges: {car: vehicle, truck: vehicle, bus: vehicle}

    No two classes have one colour, since pictures tell them apart by nothing else. A known space is written by its
    name, into files too.
    """

    classes: Annotated[tuple[ClassInfo, ...], Field(min_length=2, max_length=MAX_CLASSES)]
    merges: Mapping[str, str] = Field(default_factory=dict)
    """Names of other data sets' classes that count as one of these: a rider as a bicyclist. All others are ignored."""

    @model_validator(mode="wrap")
    @classmethod
    def _by_name(cls, value: Any, whole: ModelWrapValidatorHandler[Self]) -> "LabelSpace":
        if not isinstance(value, str):
            return whole(value)
        if value not in LABEL_SPACES:
            raise ValueError(f"unknown label space {value!r}{nearest(value, tuple(LABEL_SPACES))}")
        return LABEL_SPACES[value]

    @field_validator("classes", mode="before")
    @classmethod
    def _colour_known_names(cls, value: Any) -> Any:
        return [_coloured(one) for one in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _names_are_clear(self) -> "LabelSpace":
        for name in self.names:
            # Artefacts name their classes in one line, commas between them.
            if not name or not name.isprintable() or name != " ".join(name.split()) or "," in name:
                raise ValueError(f"class name {name!r}: expected words with one space between them, and no comma")
        twice = [name for name, count in Counter(name.casefold() for name in self.names).items() if count > 1]
        if twice:
            raise ValueError(f"class {twice[0]!r} is named twice; a class has one train id")
        by_colour: dict[tuple[int, int, int], str] = {}
        for one in self.classes:
            if (other := by_colour.setdefault(one.colour, one.name)) != one.name:
                raise ValueError(
                    f"classes {other!r} and {one.name!r} have the same colour {list(one.colour)}; change one"
                )
        for merged, into in self.merges.items():
            if merged in self.names:
                raise ValueError(f"merges: {merged!r} is a class of its own; leave it out of classes or out of merges")
            if into not in self.names:
                raise ValueError(f"merges: {merged!r} counts as {into!r}, which is no class{nearest(into, self.names)}")
        return self

    @model_serializer(mode="wrap")
    def _known_by_name(self, whole: SerializerFunctionWrapHandler) -> Any:
        return self.name or whole(self)

    def __str__(self) -> str:
        """Its name, or its classes, as messages put it."""
        return self.name or f"own ({', '.join(self.names)})"

    @property
    def name(self) -> str | None:
        """Its name in `LABEL_SPACES`; None for classes of the user's own."""
        return next((name for name, space in LABEL_SPACES.items() if space == self), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each train id."""
        return tuple(one.name for one in self.classes)

    @property
    def num_classes(self) -> int:
        """Number of classes, the ignored one not counted."""
        return len(self.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each train id, 0-255."""
        return tuple(one.colour for one in self.classes)

    def train_id(self, name: str) -> int:
        """Train id of a class by name; `IGNORE_INDEX` where this space does not have it."""
        name = self.merges.get(name, name)
        return self.names.index(name) if name in self.names else IGNORE_INDEX


def _coloured(value: Any) -> Any:
    """A class that is given by its name alone, with the colour it is known by."""
    name = value.get("name") if isinstance(value, Mapping) and "colour" not in value else value
    if not isinstance(name, str):
        return value
    if name not in _COLOURS:
        near = get_close_matches(name, _COLOURS, n=1)
        raise ValueError(
            f"class {name!r} is not known here; {f'did you mean {near[0]!r}? If not, ' if near else ''}give it a "
            f"colour: {{name: {name}, colour: [R, G, B]}}"
        )
    return {"name": name, "colour": _COLOURS[name]}


def _without(names: tuple[str, ...], *dropped: str) -> tuple[str, ...]:
    return tuple(name for name in names if name not in dropped)


def _space(names: tuple[str, ...], **merges: str) -> LabelSpace:
    return LabelSpace.model_validate({"classes": names, "merges": merges})


_CITYSCAPES = tuple(name for name in _COLOURS if name != "bicyclist")
_SYNTHIA = _without(_CITYSCAPES, "terrain", "truck", "train")
_CAMVID = (
    *("sky", "building", "pole", "road", "sidewalk", "vegetation"),
    *("traffic sign", "fence", "car", "person", "bicyclist"),
)

LABEL_SPACES: Mapping[str, LabelSpace] = MappingProxyType(
    {
        "cityscapes19": _space(_CITYSCAPES),
        "synthia16": _space(_SYNTHIA),
        "synthia13": _space(_without(_SYNTHIA, "wall", "fence", "pole")),
        "camvid11": _space(_CAMVID, rider="bicyclist", bicycle="bicyclist"),
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
