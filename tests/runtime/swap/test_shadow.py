"""Both bundles are timed under the same load."""

import numpy as np

from runtime.segmenter import Segmentation
from runtime.swap.shadow import Shadow
from tests.runtime.swap.bundles import FRAME_HW

FRAME = np.zeros((*FRAME_HW, 3), dtype=np.uint8)


def took(infer_ns: int) -> Segmentation:
    labels = np.zeros(FRAME_HW, dtype=np.uint8)
    return Segmentation(labels, labels, 0, infer_ns)


def segment(shadow: Shadow, infer_ns: int) -> None:
    shadow.begins()
    shadow.segmented(FRAME, took(infer_ns))


def lend(shadow: Shadow, infer_ns: int) -> None:
    """One frame passes; the trial's thread asks for it just before."""
    shadow.begins()
    shadow.wake()
    shadow.borrow()
    shadow.segmented(FRAME, took(infer_ns))


def test_frame_run_beside_another_is_compared_with_that_one() -> None:
    shadow = Shadow(FRAME_HW)
    lend(shadow, 10)
    segment(shadow, 20)
    segment(shadow, 30)
    shadow.returned()
    segment(shadow, 40)
    assert shadow.served_ns == [20]


def test_frame_run_alone_is_compared_with_the_same_frame() -> None:
    shadow = Shadow(FRAME_HW)
    lend(shadow, 10)
    shadow.returned()
    segment(shadow, 20)
    lend(shadow, 30)
    shadow.returned()
    assert shadow.served_ns == [10, 30]


def test_nothing_is_lent_unasked() -> None:
    shadow = Shadow(FRAME_HW)
    segment(shadow, 10)
    assert shadow.served_ns == []


def test_what_is_lent_is_a_copy() -> None:
    shadow = Shadow(FRAME_HW)
    frame = np.full((*FRAME_HW, 3), 7, dtype=np.uint8)
    shadow.wake()
    shadow.borrow()
    shadow.segmented(frame, took(1))
    frame[...] = 9
    assert shadow.frame.max() == 7
