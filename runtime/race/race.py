"""The race itself: contenders are opened, and those not far behind are timed in turn until the time is up."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.command import progress
from runtime.errors import BackendError
from runtime.race.contenders import Contender, Refusal
from runtime.units import MILLISECOND_NS, SECOND_NS

__all__ = ["Outcome", "Runner", "race"]

NUM_ROUNDS = 3
MIN_FRAMES = 3
# Who takes twice the time of the fastest on its first frames will not win, and would only hold memory.
FAR_BEHIND = 2.0

NowNs = Callable[[], int]


class Runner(Protocol):
    """What is timed: a bundle that is open, warm and proven."""

    def segment(self, frame: NDArray[np.uint8], /) -> Any:
        """Segment one frame (H, W, 3)."""
        ...

    def close(self) -> None:
        """Give back the engine's memory; may be repeated."""
        ...


R = TypeVar("R", bound=Runner)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """How a race ended.

    `winner` is still open, the others are closed. `times_ms` are medians of the best round, of who fell behind those
    of its first frames, fastest first; `refusals` are contenders that could not be opened.
    """

    winner: R
    times_ms: tuple[tuple[Contender, float], ...]
    refusals: tuple[Refusal, ...]


def race(
    contenders: Sequence[Contender],
    open_runner: Callable[[Contender], R],
    frames: NDArray[np.uint8],
    race_s: float,
    *,
    now_ns: NowNs = time.perf_counter_ns,
) -> Outcome[R] | tuple[Refusal, ...]:
    """Find the fastest contender.

    Args:
        contenders: who takes part.
        open_runner: opens one, warms it up and proves its labels; a BackendError takes it out of the race.
        frames: (N, H, W, 3), shown again and again.
        race_s: time of all rounds together; each contender gets three frames a round, however long they take.
        now_ns: the clock.

    Returns:
        The outcome, or, where no contender could be opened, why.
    """
    running: dict[Contender, R] = {}
    times_ms: dict[Contender, float] = {}
    refusals = []
    with ExitStack() as on_failure:
        for contender in progress(contenders, title="engines", unit="engine"):
            try:
                runner = open_runner(contender)
            except BackendError as error:
                refusals.append(Refusal(contender.backend, contender.artefact, str(error)))
                continue
            on_failure.callback(runner.close)
            running[contender] = runner
            times_ms[contender] = _median_ms(runner, islice(cycle(frames), MIN_FRAMES), 0.0, now_ns)
            _close_far_behind(running, times_ms)
        if not running:
            return tuple(refusals)
        times_ms |= _timed(running, frames, race_s, now_ns)
        fastest = min(running, key=times_ms.__getitem__)
        winner = running.pop(fastest)
        for loser in running.values():
            loser.close()
        on_failure.pop_all()
    return Outcome(winner, tuple(sorted(times_ms.items(), key=lambda entry: entry[1])), tuple(refusals))


def _close_far_behind(running: dict[Contender, R], times_ms: dict[Contender, float]) -> None:
    limit_ms = FAR_BEHIND * min(times_ms.values())
    for contender in [contender for contender in running if times_ms[contender] > limit_ms]:
        running.pop(contender).close()


def _timed(
    running: dict[Contender, R], frames: NDArray[np.uint8], race_s: float, now_ns: NowNs
) -> dict[Contender, float]:
    """Median of the best round of each; everyone has a turn in each round, because a machine's speed changes."""
    turn_s = race_s / (NUM_ROUNDS * len(running))
    rounds = [
        {contender: _median_ms(runner, cycle(frames), turn_s, now_ns) for contender, runner in running.items()}
        for _ in range(NUM_ROUNDS)
    ]
    return {contender: min(times[contender] for times in rounds) for contender in running}


def _median_ms(runner: Runner, frames: Iterable[NDArray[np.uint8]], turn_s: float, now_ns: NowNs) -> float:
    start_ns, times_ns = now_ns(), list[int]()
    for frame in frames:
        before_ns = now_ns()
        runner.segment(frame)
        after_ns = now_ns()
        times_ns.append(after_ns - before_ns)
        if len(times_ns) >= MIN_FRAMES and after_ns - start_ns >= turn_s * SECOND_NS:
            break
    return median(times_ns) / MILLISECOND_NS
