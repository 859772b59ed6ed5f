import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.loop.slots import SlotPool, is_same, share_changed


def test_slot_is_free_again_when_its_last_holder_gives_it_back() -> None:
    pool = SlotPool(2, (2, 3))
    slot = pool.take()
    pool.share(slot)
    pool.give_back(slot)
    assert pool.num_free == 1
    pool.give_back(slot)
    assert pool.num_free == pool.num_slots == 2


def test_slot_freed_last_is_taken_next() -> None:
    pool = SlotPool(3, (2, 3))
    one, two = pool.take(), pool.take()
    pool.give_back(two)
    pool.give_back(one)
    assert pool.take() is one
    assert pool.take() is two


def test_slot_that_is_given_back_twice_taken_too_often_or_shared_when_free_is_our_own_bug() -> None:
    pool = SlotPool(1, (2, 3))
    slot = pool.take()
    with pytest.raises(AssertionError, match="more slots than were counted"):
        pool.take()
    pool.give_back(slot)
    with pytest.raises(AssertionError):
        pool.give_back(slot)
    with pytest.raises(AssertionError):
        pool.share(slot)


def test_views_show_the_memory_and_cannot_be_written() -> None:
    slot = SlotPool(1, (2, 3)).take()
    slot.labels[1, 2] = 7
    frame, labels, confidence = slot.read_only
    assert (frame.shape, labels[1, 2], confidence.shape) == ((2, 3, 3), 7, (2, 3))
    with pytest.raises(ValueError, match="read-only"):
        labels[0, 0] = 1


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
