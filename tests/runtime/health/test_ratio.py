from hypothesis import given
from hypothesis import strategies as st

from runtime.health.ratio import Ratio


def counted(ratio: Ratio, *, happened: bool, times: int) -> Ratio:
    for _ in range(times):
        ratio.count(happened=happened)
    return ratio


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 100), st.floats(0, 1))
def test_ratio_stays_between_never_and_always(happened: list[bool], num_frames: int, limit: float) -> None:
    ratio = Ratio(num_frames, limit)
    for each in happened:
        ratio.count(happened=each)
        assert 0.0 <= ratio.value <= 1.0


def test_ratio_over_one_frame_is_the_last_frame() -> None:
    ratio = counted(Ratio(1, 0.5), happened=True, times=1)
    assert (ratio.value, ratio.is_exceeded) == (1.0, True)
    counted(ratio, happened=False, times=1)
    assert (ratio.value, ratio.is_exceeded) == (0.0, False)


def test_ratio_that_exceeded_its_limit_must_fall_well_below() -> None:
    # The first step of a filter over two frames is 1/2, then 3/4; back down it is 3/8, 3/16.
    ratio = counted(Ratio(2, 0.4), happened=True, times=2)
    assert (ratio.value, ratio.is_exceeded) == (0.75, True)
    counted(ratio, happened=False, times=1)
    assert (ratio.value, ratio.is_exceeded) == (0.375, True)
    counted(ratio, happened=False, times=1)
    assert (ratio.value, ratio.is_exceeded) == (0.1875, False)


def test_limit_of_zero_is_left_again() -> None:
    ratio = counted(Ratio(10, 0.0), happened=True, times=1)
    assert ratio.is_exceeded
    counted(ratio, happened=False, times=30)
    assert (ratio.value, ratio.is_exceeded) == (0.0, False)


def test_forgetting_begins_again() -> None:
    ratio = counted(Ratio(1, 0.0), happened=True, times=1)
    ratio.forget()
    assert (ratio.value, ratio.is_exceeded) == (0.0, False)
