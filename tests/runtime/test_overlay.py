import numpy as np
import pytest

from runtime.labels import ClassInfo
from runtime.overlay import blend, colour_labels, draw_legend, overlay

CLASSES = (
    ClassInfo(name="road", colour=(128, 64, 128)),
    ClassInfo(name="sky", colour=(70, 130, 180)),
    ClassInfo(name="car", colour=(0, 0, 142)),
)


def colours_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_each_pixel_gets_its_class_colour_and_no_class_is_black() -> None:
    coloured = colour_labels(np.array([[0, 1], [2, 255]], np.uint8), CLASSES)
    assert coloured.tolist() == [[[128, 64, 128], [70, 130, 180]], [[0, 0, 142], [0, 0, 0]]]


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, 10), (1.0, 200), (0.5, 105), (0.25, 58)])
def test_blend_mixes_and_rounds_to_nearest(opacity: float, expected: int) -> None:
    # 0.25: 10 + 47.5 = 57.5, which rounds to the even 58.
    frame, colours = np.full((1, 1, 3), 10, np.uint8), np.full((1, 1, 3), 200, np.uint8)
    assert blend(frame, colours, opacity).tolist() == [[[expected] * 3]]


def test_legend_shows_exactly_the_classes_that_occur() -> None:
    strip = draw_legend(CLASSES, [0, 2], width=200)
    assert {(128, 64, 128), (0, 0, 142)} <= colours_in(strip)
    assert (70, 130, 180) not in colours_in(strip)


def test_legend_keeps_its_size_and_places_whatever_occurs() -> None:
    both, one = draw_legend(CLASSES, [0, 2], width=200), draw_legend(CLASSES, [2], width=200)
    assert both.shape == one.shape
    np.testing.assert_array_equal((both == (0, 0, 142)).all(axis=-1), (one == (0, 0, 142)).all(axis=-1))


def test_legend_writes_the_names() -> None:
    renamed = (ClassInfo(name="lane", colour=CLASSES[0].colour), *CLASSES[1:])
    assert (draw_legend(CLASSES, [0], 200) != draw_legend(renamed, [0], 200)).any()


def test_overlay_is_the_blend_above_the_legend() -> None:
    frame, labels = np.full((4, 200, 3), 10, np.uint8), np.full((4, 200), 1, np.uint8)
    picture = overlay(frame, labels, CLASSES, opacity=1.0)
    assert (picture[:4] == (70, 130, 180)).all()
    np.testing.assert_array_equal(picture[4:], draw_legend(CLASSES, [1], 200))
