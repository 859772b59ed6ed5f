import signal
import time
from threading import Thread
from types import FrameType

from runtime.loop.stop_flag import StopFlag
from tests.runtime.loop.doubles import PATIENCE_S


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
