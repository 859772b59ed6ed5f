import pytest

from runtime.loop.slots import SlotPool


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
