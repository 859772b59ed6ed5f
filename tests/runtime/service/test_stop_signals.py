import os
import signal

import pytest

from runtime.service.stop_signals import on_stop_signals


def test_signals_are_wishes_inside_the_block_and_what_they_were_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    wishes: list[int] = []
    with on_stop_signals(lambda: wishes.append(1)):
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
    assert len(wishes) == 3
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_second_ctrl_c_interrupts() -> None:
    with on_stop_signals(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
