from runtime.loop.backoff import Backoff


def test_waits_double_up_to_the_longest_and_begin_again() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.num_waits == 5
    backoff.reset()
    assert backoff.num_waits == 0
    assert backoff.next_s() == 1.0


def test_first_wait_is_no_longer_than_the_longest() -> None:
    assert Backoff(9.0, 5.0).next_s() == 5.0


def test_camera_may_be_away_for_days() -> None:
    backoff = Backoff(0.1, 5.0)
    # Doubled without a limit, the wait would overflow a float after 1024 times.
    assert [backoff.next_s() for _ in range(5000)][-1] == 5.0
