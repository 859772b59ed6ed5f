"""Student's t against printed tables and hand-worked sums; Holm's correction against Holm's rule."""

import math

import pytest

from benchmarks.methods.figures.paired_differences import holm, paired_t, t_quantile, t_tail


@pytest.mark.parametrize(
    ("freedom", "printed"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228)]
)
def test_quantile_is_that_of_printed_tables(freedom: int, printed: float) -> None:
    assert t_quantile(freedom) == pytest.approx(printed, abs=6e-4)
    assert t_tail(printed, freedom) == pytest.approx(0.05, abs=5e-5)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7])
def test_nothing_lies_further_from_zero_than_everything(freedom: int) -> None:
    assert t_tail(0.0, freedom) == pytest.approx(1.0)
    assert t_tail(1e9, freedom) == pytest.approx(0.0, abs=1e-6)


def test_interval_and_p_of_three_differences() -> None:
    """Differences 1, 2, 3: mean 2, standard deviation 1, error 1 / sqrt 3, t = 2 sqrt 3 with 2 degrees of freedom.

    With 2 degrees the tail is 1 - t / sqrt(2 + t^2) = 1 - sqrt(12 / 14) = 0.07418.
    """
    tested = paired_t([1.0, 2.0, 3.0])
    assert tested is not None
    (low, high), p = tested
    assert p == pytest.approx(1 - math.sqrt(12 / 14))
    assert (low + high) / 2 == pytest.approx(2.0)
    assert high - 2.0 == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)


def test_differences_without_spread_leave_no_doubt() -> None:
    assert paired_t([0.0, 0.0]) is None
    assert paired_t([0.5, 0.5]) is None


def test_holm_steps_down_and_never_goes_back() -> None:
    """Sorted 0.01, 0.03, 0.04, 0.5: times 4, 3, 2, 1 is 0.04, 0.09, 0.08, 0.5; the third may not fall below 0.09."""
    assert holm([0.04, 0.01, None, 0.03, 0.5]) == [0.09, 0.04, None, 0.09, 0.5]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
