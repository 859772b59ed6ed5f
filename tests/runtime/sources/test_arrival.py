from runtime.sources.arrival import ArrivalClock

SECOND_NS = 1_000_000_000
PERIOD_NS = 100_000_000


def test_frame_that_waited_in_the_network_is_as_old_as_it_waited() -> None:
    clock = ArrivalClock()
    first_ns = clock.captured_ns(0, 50 * SECOND_NS)
    assert first_ns == 50 * SECOND_NS
    # The network holds 20 frames back for two seconds, then gives all at once.
    arrived_ns = 52 * SECOND_NS
    ages_ns = [arrived_ns - clock.captured_ns(index * PERIOD_NS, arrived_ns) for index in range(1, 21)]
    assert 1.89 * SECOND_NS < ages_ns[0] <= 1.9 * SECOND_NS
    assert ages_ns == sorted(ages_ns, reverse=True)
    assert ages_ns[-1] < 0.001 * SECOND_NS


def test_frame_never_comes_from_the_future() -> None:
    clock = ArrivalClock()
    clock.captured_ns(0, 50 * SECOND_NS)
    # The first one was slow: the second one shows that the camera's clock stands further back.
    assert clock.captured_ns(PERIOD_NS, 50 * SECOND_NS + 10) == 50 * SECOND_NS + 10


def test_slow_clock_of_a_camera_is_no_delay() -> None:
    clock, arrived_ns = ArrivalClock(), 0
    # An hour at 100 parts in a million too slow would add up to 0.36 s.
    for second in range(3600):
        arrived_ns = second * SECOND_NS
        captured_ns = clock.captured_ns(round(second * SECOND_NS * (1 - 100e-6)), arrived_ns)
    assert arrived_ns - captured_ns < 0.001 * SECOND_NS


def test_camera_that_started_again_is_not_old() -> None:
    clock = ArrivalClock()
    clock.captured_ns(100 * SECOND_NS, 50 * SECOND_NS)
    assert clock.captured_ns(0, 51 * SECOND_NS) == 51 * SECOND_NS
    assert clock.captured_ns(PERIOD_NS, 51 * SECOND_NS + PERIOD_NS) == 51 * SECOND_NS + PERIOD_NS


def test_stream_without_times_counts_from_arrival() -> None:
    assert ArrivalClock().captured_ns(None, 7) == 7
