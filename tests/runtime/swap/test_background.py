"""Opening a bundle gives way to the loop, and its engine's threads do not stay behind in service."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread, get_native_id

import pytest

from runtime.swap.background import NICENESS, background, can_give_way
from tests.runtime.swap.bundles import A, B, id_of, put
from tests.runtime.swap.vehicle import Vehicle


def niceness(thread: int | None = None) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread or get_native_id())


class Worker(Thread):
    """A thread of an engine."""

    def __init__(self) -> None:
        super().__init__()
        self._ending = Event()
        self.start()

    def run(self) -> None:
        self._ending.wait()

    @property
    def niceness(self) -> int:
        assert self.native_id is not None
        return niceness(self.native_id)

    def end(self) -> None:
        self._ending.set()
        self.join()


@pytest.mark.skipif(not can_give_way(), reason="this process may not raise a priority that it lowered")
def test_threads_started_within_get_their_priority_back() -> None:
    before = niceness()
    with background():
        assert niceness() == NICENESS
        worker = Worker()
        assert worker.niceness == NICENESS
    assert (niceness(), worker.niceness) == (before, before)
    worker.end()


@pytest.fixture
def _no_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.setpriority

    def only_lower(which: int, who: int, to: int) -> None:
        if to < niceness(who):
            raise PermissionError
        allowed(which, who, to)

    monkeypatch.setattr(os, "setpriority", only_lower)


@pytest.mark.usefixtures("_no_way_back")
def test_priority_that_could_not_be_raised_again_is_not_lowered() -> None:
    before = niceness()
    with background():
        assert niceness() == before


@pytest.mark.usefixtures("_no_way_back")
def test_loop_that_new_bundles_will_slow_is_told_so_once(
    vehicle: Vehicle, make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(make("a", A), vehicle.place)
    vehicle.start()
    b = id_of(put(make("b", B), vehicle.place))
    vehicle.drive(lambda: vehicle.good == b)
    assert capsys.readouterr().err.count("systemd: LimitNICE=20") == 1
