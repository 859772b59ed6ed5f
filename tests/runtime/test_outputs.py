import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.outputs import is_same, share_changed, why_not_finite


@pytest.mark.parametrize(("num_classes", "least"), [(2, 126), (3, 84), (19, 12), (255, 0)])
def test_confidence_below_one_of_c_shows_what_is_not_finite(num_classes: int, least: int) -> None:
    confidence = np.full((4, 6), 200, np.uint8)
    confidence[1, 2] = least
    assert why_not_finite(confidence, num_classes) is None
    if least:
        confidence[1, 2] = least - 1
        told = why_not_finite(confidence, num_classes)
        assert told is not None
        assert f"confidence {least - 1} of 255" in told


@given(st.integers(1, 3000), st.data())
def test_arrays_are_the_same_only_where_every_value_is(size: int, data: st.DataObject) -> None:
    one = np.zeros((size, 3), np.uint8)
    other = one.copy()
    assert is_same(one, other)
    other.reshape(-1)[data.draw(st.integers(0, 3 * size - 1))] = 1
    assert not is_same(one, other)


def test_share_of_what_changed_is_exact_for_small_arrays_and_close_for_large_ones() -> None:
    one = np.zeros((2, 5), np.uint8)
    other = one.copy()
    other[0, :3] = 1
    assert share_changed(one, other) == 0.3
    one = np.zeros((64, 128, 3), np.uint8)
    other = one.copy()
    other[:16] = 1
    assert share_changed(one, other) == pytest.approx(0.25, abs=0.01)
