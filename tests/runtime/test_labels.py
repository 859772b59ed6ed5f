from typing import Any

import numpy as np
import pytest

from runtime.config import StrictModel, validated
from runtime.errors import ConfigError
from runtime.labels import IGNORE_INDEX, LABEL_SPACES, LabelSpace, id_table


class Run(StrictModel):
    """A config with a label space, as run files have it."""

    label_space: LabelSpace


def own(*classes: Any, **merges: str) -> LabelSpace:
    return LabelSpace.model_validate({"classes": classes, "merges": merges})


def test_id_table_maps_by_name_and_tells_void_from_undefined() -> None:
    space = own("road", "car")
    table = id_table({7: "road", 26: "car", 24: "person", 3: None}, space)
    assert table.shape == (65536,)
    assert table.dtype == np.int16
    assert [table[raw_id] for raw_id in (7, 26, 24, 3, 8)] == [0, 1, IGNORE_INDEX, IGNORE_INDEX, -1]


def test_merged_name_counts_as_the_class_it_merges_into() -> None:
    camvid = LABEL_SPACES["camvid11"]
    assert camvid.train_id("rider") == camvid.train_id("bicycle") == camvid.names.index("bicyclist")


def test_class_that_a_space_lacks_is_ignored() -> None:
    assert LABEL_SPACES["synthia13"].train_id("wall") == IGNORE_INDEX


@pytest.mark.parametrize(
    ("name", "num_classes"), [("cityscapes19", 19), ("synthia16", 16), ("synthia13", 13), ("camvid11", 11)]
)
def test_space_has_as_many_classes_as_its_name_says(name: str, num_classes: int) -> None:
    space = LABEL_SPACES[name]
    assert space.num_classes == len(set(space.names)) == len(space.palette) == num_classes


def test_cityscapes_train_ids_are_those_of_the_benchmark() -> None:
    space = LABEL_SPACES["cityscapes19"]
    assert [space.train_id(name) for name in ("road", "sky", "person", "car", "bicycle")] == [0, 10, 11, 13, 18]
    assert space.palette[13] == (0, 0, 142)


@pytest.mark.parametrize("name", LABEL_SPACES)
def test_known_space_is_read_and_written_by_its_name(name: str) -> None:
    run = Run.model_validate({"label_space": name})
    assert run.label_space is LABEL_SPACES[name]
    assert str(run.label_space) == run.label_space.name == name
    assert run.model_dump(mode="json") == {"label_space": name}
    assert Run.model_validate_json(run.model_dump_json()) == run


def test_own_space_keeps_order_colours_and_merges_through_a_file() -> None:
    space = own(
        {"name": "road"}, {"name": "kerb", "colour": [1, 2, 3]}, {"name": "vehicle", "colour": [4, 5, 6]}, car="vehicle"
    )
    read = Run.model_validate_json(Run(label_space=space).model_dump_json()).label_space
    assert read == space
    assert (read.name, read.names) == (None, ("road", "kerb", "vehicle"))
    assert read.palette == ((128, 64, 128), (1, 2, 3), (4, 5, 6))
    assert [read.train_id(name) for name in ("road", "car", "vehicle", "sky")] == [0, 2, 2, IGNORE_INDEX]
    assert str(read) == "own (road, kerb, vehicle)"


def test_own_classes_that_are_a_known_space_are_that_space() -> None:
    camvid = LABEL_SPACES["camvid11"]
    assert own(*camvid.names, rider="bicyclist", bicycle="bicyclist").name == "camvid11"
    assert own(*camvid.names).name is None


@pytest.mark.parametrize(
    ("label_space", "problem"),
    [
        ("cityscape19", "label_space: unknown label space 'cityscape19'; did you mean 'cityscapes19'?"),
        ({"classes": ["road"]}, "label_space.classes: .*at least 2"),
        (
            {"classes": ["road", "kerb"]},
            r"'kerb' is not known here; give it a colour: \{name: kerb, colour: \[R, G, B\]\}",
        ),
        ({"classes": ["road", "car", "road"]}, "class 'road' is named twice"),
        ({"classes": ["road", {"name": "Road", "colour": [1, 2, 3]}]}, "class 'road' is named twice"),
        ({"classes": ["bicycle", "bicyclist"]}, r"'bicycle' and 'bicyclist' have the same colour \[119, 11, 32\]"),
        ({"classes": ["road", "Sky"]}, "'Sky' is not known here; did you mean 'sky'"),
        ({"classes": ["road", "car"], "merges": {"car": "road"}}, "'car' is a class of its own"),
        (
            {"classes": ["road", "car"], "merges": {"bus": "cars"}},
            "counts as 'cars', which is no class; did you mean 'car'?",
        ),
        ({"classes": ["road", {"name": "kerb", "colour": [0, 0, 256]}]}, "colour.2: .*less than or equal to 255"),
        ({"classes": ["road", "car"], "merge": {}}, "unknown key 'label_space.merge'; did you mean 'merges'?"),
        ({"classes": [{"name": f"c{i}", "colour": [i, i, i]} for i in range(255)]}, "at most 254"),
        (19, "label_space: expected a group of keys"),
        *(
            (
                {"classes": ["road", {"name": name, "colour": [0, 0, 0]}]},
                "words with one space between them, and no comma",
            )
            for name in ("", " ", "kerb ", "kerb  low", "kerb, low", "kerb\nlow")
        ),
    ],
)
def test_space_that_cannot_be_meant_is_refused(label_space: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        validated(Run, {"label_space": label_space}, place="run.yaml")


def test_largest_own_space_leaves_ignored_pixels_apart() -> None:
    space = own(*({"name": f"c{index}", "colour": (index, 0, 0)} for index in range(254)))
    table = id_table({index: f"c{index}" for index in range(254)} | {255: None}, space)
    assert table[:254].tolist() == list(range(254))
    assert table[255] == IGNORE_INDEX
