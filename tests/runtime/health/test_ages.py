import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.health.ages import Ages


def ages_of(values_ns: list[int]) -> Ages:
    ages = Ages()
    for value_ns in values_ns:
        ages.add(value_ns)
    return ages


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=200))
def test_percentile_is_never_too_low_and_hardly_too_high(values_ns: list[int]) -> None:
    figures = ages_of(values_ns).figures_ms()
    ordered = sorted(values_ns)
    exact = ordered[int(np.ceil(0.5 * len(ordered))) - 1]
    rounding = 0.0005
    assert exact / 1e6 - rounding <= figures["p50"] <= exact / 1e6 * (1 + 2**-7) + rounding
    assert figures["max"] == pytest.approx(max(values_ns) / 1e6, abs=rounding)


@pytest.mark.parametrize(
    ("num", "names"),
    [
        (0, []),
        (1, ["p50", "max"]),
        (63, ["p50", "max"]),
        (64, ["p50", "p90", "max"]),
        (661, ["p50", "p90", "max"]),
        (662, ["p50", "p90", "p99", "max"]),
        (6635, ["p50", "p90", "p99", "max"]),
        (6636, ["p50", "p90", "p99", "p99.9", "max"]),
    ],
)
def test_percentile_is_told_only_with_enough_results(num: int, names: list[str]) -> None:
    assert list(ages_of([1_000_000] * num).figures_ms()) == names


def test_tail_is_found() -> None:
    figures = ages_of([10_000_000] * 980 + [50_000_000] * 20).figures_ms()
    assert figures["p50"] == pytest.approx(10, rel=0.01)
    assert figures["p99"] == pytest.approx(50, rel=0.01)


def test_ages_out_of_range_are_counted_at_its_ends() -> None:
    figures = ages_of([-5, 2**60]).figures_ms()
    assert figures == {"p50": 0.0, "max": round(2**60 / 1e6, 3)}
