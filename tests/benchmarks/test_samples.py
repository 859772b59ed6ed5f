import numpy as np
import pytest

from benchmarks.samples import median_interval, percentiles_ms, speedup, speedup_interval


def nanoseconds(*milliseconds: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([round(value * 1e6) for value in milliseconds], dtype=np.int64)


@pytest.mark.parametrize(("name", "needed"), [("p90", 64), ("p95", 130), ("p99", 662), ("p99.9", 6636)])
def test_percentile_is_given_from_the_sample_count_it_needs(name: str, needed: int) -> None:
    assert percentiles_ms(nanoseconds(*[1.0] * (needed - 1)))[name] is None
    assert percentiles_ms(nanoseconds(*[1.0] * needed))[name] == 1.0


def test_median_needs_one_sample() -> None:
    expected = {"p50": 2.5, "p90": None, "p95": None, "p99": None, "p99.9": None}
    assert percentiles_ms(nanoseconds(2.5)) == expected


def test_percentile_is_a_sample_and_the_next_above() -> None:
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 131))
    # Of 1..130 sorted, index 0.5 * 129 = 64.5 goes to 65, 0.9 * 129 = 116.1 to 117, 0.95 * 129 = 122.55 to 123.
    expected = {"p50": 66.0, "p90": 118.0, "p95": 124.0, "p99": None, "p99.9": None}
    assert percentiles_ms(nanoseconds(*shuffled)) == expected


def test_speedup_is_the_peers_median_over_ours() -> None:
    assert speedup(nanoseconds(2, 1, 90), nanoseconds(5, 3, 4)) == 2.0


def test_median_comes_with_the_interval_it_may_move_in() -> None:
    assert median_interval(nanoseconds(*[3] * 99, 1000)) == (3e6, 3e6, 3e6)
    # One of two values half of the time: the next above the middle is the larger.
    assert median_interval(nanoseconds(*[2, 4] * 50)) == (4e6, 2e6, 4e6)


def test_interval_is_narrow_where_both_slow_down_together() -> None:
    ours_ns = np.random.default_rng(0).integers(1_000_000, 50_000_000, size=100)
    assert speedup_interval(ours_ns, 3 * ours_ns) == (3.0, 3.0)


def test_interval_spans_both_values_of_a_peer_that_is_slow_half_of_the_time() -> None:
    ours_ns, peer_ns = nanoseconds(*[1] * 100), nanoseconds(*[2, 4] * 50)
    assert speedup_interval(ours_ns, peer_ns) == (2.0, 4.0)


def test_interval_is_not_moved_by_one_outlier() -> None:
    ours_ns, peer_ns = nanoseconds(*[1] * 100), nanoseconds(*[2] * 99, 1000)
    assert speedup_interval(ours_ns, peer_ns) == (2.0, 2.0)


def test_interval_is_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    ours_ns, peer_ns = rng.integers(10**6, 10**7, size=50), rng.integers(10**6, 10**7, size=50)
    low, high = speedup_interval(ours_ns, peer_ns)
    assert (low, high) == speedup_interval(ours_ns, peer_ns)
    assert low < speedup(ours_ns, peer_ns) < high
