import signal
import time
from threading import Thread
from types import FrameType

from runtime.loop.backoff import Backoff
from runtime.loop.stop_flag import StopFlag
from tests.runtime.loop.doubles import PATIENCE_S


class RecordedWaits(StopFlag):
    """Never waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return self.is_set


def test_flag_wakes_everyone_who_waits_and_stays_set() -> None:
    flag = StopFlag()
    assert not flag.wait(0.0)
    heard: list[bool] = []
    waiting = [Thread(target=lambda: heard.append(flag.wait(PATIENCE_S))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    flag.set()
    flag.set()
    for thread in waiting:
        thread.join(PATIENCE_S)
    assert heard == [True] * 3
    assert flag.is_set
    assert flag.wait(PATIENCE_S)


def test_flag_set_by_a_handler_that_interrupts_the_wait_ends_it() -> None:
    flag = StopFlag()

    def handle(number: int, frame: FrameType | None) -> None:
        if len(at) < 3:
            at.append(time.monotonic())
        else:
            flag.set()

    at: list[float] = []
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        assert flag.wait(PATIENCE_S)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_waits_double_up_to_the_longest_and_begin_again() -> None:
    flag = RecordedWaits()
    backoff = Backoff(1.0, 5.0, flag)
    assert all(backoff.wait() for _ in range(5))
    assert (flag.waits, backoff.num_waits) == ([1.0, 2.0, 4.0, 5.0, 5.0], 5)
    backoff.reset()
    assert backoff.num_waits == 0
    backoff.wait()
    assert flag.waits[-1] == 1.0


def test_camera_may_be_away_for_days() -> None:
    flag = RecordedWaits()
    backoff = Backoff(0.1, 5.0, flag)
    # Doubled without a limit, the wait would overflow a float after 1024 times.
    for _ in range(5000):
        backoff.wait()
    assert flag.waits[-1] == 5.0


def test_wait_says_that_the_loop_stops() -> None:
    flag = StopFlag()
    flag.set()
    assert not Backoff(60.0, 60.0, flag).wait()
