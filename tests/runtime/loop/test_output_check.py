from collections.abc import Callable

import numpy as np
import pytest

from runtime.health.reasons import Reason
from runtime.loop.output_check import OutputCheck
from runtime.loop.slots import Slot, SlotPool
from tests.runtime.loop.doubles import FRAME_HW, picture

NUM_CLASSES = 19
Judge = Callable[..., Reason | None]


@pytest.fixture
def pool() -> SlotPool:
    return SlotPool(2, FRAME_HW)


@pytest.fixture
def judge(pool: SlotPool) -> Judge:
    """What is wrong with a frame, labels and confidence, each given by a number of a picture."""
    check = OutputCheck(pool, NUM_CLASSES, max_repeated=1)

    def judge(
        frame: int, labels: int, confidence: int | None = None, change: Callable[[Slot], None] | None = None
    ) -> Reason | None:
        slot = pool.take()
        slot.frame[...] = picture(frame)
        slot.labels[...] = picture(labels)[..., 0]
        slot.confidence[...] = picture(labels if confidence is None else confidence)[..., 1]
        if change is not None:
            change(slot)
        problem = check.problem(slot)
        pool.give_back(slot)
        assert pool.num_free == 1 or problem
        return problem[0] if problem else None

    return judge


def test_outputs_that_differ_are_sound(judge: Judge) -> None:
    assert [judge(number, number) for number in range(4)] == [None] * 4


def test_one_pixel_below_what_finite_logits_can_give_is_not_finite(judge: Judge) -> None:
    # The largest of 19 probabilities is 1/19 at least: 255 // 19 = 13, less one of rounding.
    def set_to(level: int) -> Callable[[Slot], None]:
        return lambda slot: slot.confidence.__setitem__((-1, -1), level)

    assert judge(0, 0, change=set_to(12)) is None
    assert judge(1, 1, change=set_to(11)) is Reason.OUTPUT_NOT_FINITE


def test_answer_to_another_frame_is_frozen_until_it_changes(judge: Judge) -> None:
    answers = [judge(0, 0), judge(1, 0), judge(2, 0), judge(3, 3), judge(4, 4)]
    assert answers == [None, Reason.OUTPUT_FROZEN, Reason.OUTPUT_FROZEN, None, None]


def test_labels_alone_may_be_the_same(judge: Judge) -> None:
    assert [judge(0, 0, 0), judge(1, 0, 1), judge(2, 2, 1)] == [None] * 3


def test_same_answer_to_the_same_frame_is_right(judge: Judge) -> None:
    assert [judge(0, 0), judge(0, 0), judge(0, 0)] == [None] * 3


def test_same_answer_to_a_picture_that_hardly_changed_is_right(judge: Judge) -> None:
    def a_little(slot: Slot) -> None:
        slot.frame[0, 0, 0] ^= 1

    assert [judge(0, 0), judge(0, 0, change=a_little), judge(0, 0)] == [None] * 3


def test_frozen_engine_is_found_though_the_camera_repeats_itself_now_and_then(pool: SlotPool) -> None:
    check = OutputCheck(pool, NUM_CLASSES, max_repeated=2)

    def judge(frame: int) -> Reason | None:
        slot = pool.take()
        slot.frame[...], slot.confidence[...] = picture(frame), 200
        problem = check.problem(slot)
        pool.give_back(slot)
        return problem[0] if problem else None

    assert [judge(0), judge(1), judge(1), judge(2)] == [None, None, None, Reason.OUTPUT_FROZEN]
    check.forget()
    assert pool.num_free == pool.num_slots


def test_many_classes_leave_no_least_confidence() -> None:
    pool = SlotPool(1, FRAME_HW)
    slot = pool.take()
    assert np.all(slot.confidence == 0)
    assert OutputCheck(pool, 256, max_repeated=1).problem(slot) is None
