"""Opening a bundle gives way to the loop, and its engine's threads do not stay behind in service."""

import os
from threading import Event, Thread, get_native_id

import pytest

from runtime.swap.background import NICENESS, background, can_give_way


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


def test_priority_that_could_not_be_raised_again_is_not_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.setpriority

    def only_lower(which: int, who: int, to: int) -> None:
        if to < niceness(who):
            raise PermissionError
        allowed(which, who, to)

    monkeypatch.setattr(os, "setpriority", only_lower)
    before = niceness()
    with background():
        assert niceness() == before
