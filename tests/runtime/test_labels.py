import numpy as np
import pytest

from runtime.labels import IGNORE_INDEX, LABEL_SPACES, LabelSpace, id_table


def test_id_table_maps_by_name_and_tells_void_from_undefined() -> None:
    space = LabelSpace(("road", "car"))
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
