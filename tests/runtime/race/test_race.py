from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from runtime.errors import BackendError
from runtime.race.contenders import Contender
from runtime.race.race import Outcome, race

FRAMES = np.zeros((2, 4, 4, 3), dtype=np.uint8)
MakeRunner = Callable[..., Any]
MakeContender = Callable[..., Contender]


@pytest.fixture
def run(make_contender: MakeContender, clock: Any) -> Callable[..., Any]:
    """Races runners, given by name; an error stands for a runner that cannot be opened."""

    def run_all(race_s: float = 1.0, **runners: Any) -> Any:
        def open_runner(contender: Contender) -> Any:
            runner = runners[contender.artefact.file]
            if isinstance(runner, Exception):
                raise runner
            return runner

        return race([make_contender(name) for name in runners], open_runner, FRAMES, race_s, now_ns=clock)

    return run_all


def times_of(outcome: Outcome[Any]) -> dict[str, float]:
    return {contender.artefact.file: ms for contender, ms in outcome.times_ms}


def test_fastest_wins_and_stays_open_and_the_others_are_closed(run: Any, make_runner: MakeRunner) -> None:
    runners = {"a": make_runner("a", 12.0), "b": make_runner("b", 10.0), "c": make_runner("c", 15.0)}
    outcome = run(**runners)
    assert outcome.winner is runners["b"]
    assert {name: runner.is_closed for name, runner in runners.items()} == {"a": True, "b": False, "c": True}
    assert list(times_of(outcome).items()) == [("b", 10.0), ("a", 12.0), ("c", 15.0)]


def test_contenders_have_turns_of_equal_time_within_the_time_of_the_race(
    run: Any, make_runner: MakeRunner, clock: Any, log: list[str]
) -> None:
    run(race_s=0.6, a=make_runner("a", 10.0), b=make_runner("b", 20.0))
    turns = [(name, len(list(group))) for name, group in groupby(log)]
    # Three first frames each, then three rounds of 100 ms each.
    assert turns == [("a", 3), ("b", 3), *[("a", 10), ("b", 5)] * 3]
    assert clock.ns == (3 * 10 + 3 * 20) * 1e6 + 0.6e9


def test_slow_engines_get_three_frames_a_turn_however_long_they_take(
    run: Any, make_runner: MakeRunner, log: list[str]
) -> None:
    run(race_s=0.1, a=make_runner("a", 900.0), b=make_runner("b", 1000.0))
    assert len(log) == 2 * 3 * (1 + 3)


def test_best_round_counts_and_its_median(run: Any, make_runner: MakeRunner) -> None:
    # After its first frames `a` is disturbed for two rounds, and for one frame of the third.
    disturbed = make_runner("a", *[10.0] * 3, *[30.0] * 6, 10.0, 90.0, 10.0)
    outcome = run(race_s=0.01, a=disturbed, b=make_runner("b", 11.0))
    assert times_of(outcome) == {"a": 10.0, "b": 11.0}


def test_who_is_far_behind_is_closed_after_its_first_frames(run: Any, make_runner: MakeRunner, log: list[str]) -> None:
    slow_first, fast, slow_last = make_runner("a", 50.0), make_runner("b", 10.0), make_runner("c", 21.0)
    outcome = run(a=slow_first, b=fast, c=slow_last)
    assert slow_first.is_closed
    assert slow_last.is_closed
    assert (log.count("a"), log.count("c")) == (3, 3)
    assert times_of(outcome) == {"b": 10.0, "c": 21.0, "a": 50.0}


def test_who_cannot_be_opened_is_listed_with_its_reason(run: Any, make_runner: MakeRunner) -> None:
    outcome = run(a=BackendError("other labels than at export"), b=make_runner("b", 10.0))
    assert [(entry.artefact.file, entry.reason) for entry in outcome.refusals] == [("a", "other labels than at export")]
    refusals = run(a=BackendError("one"), b=BackendError("two"))
    assert [entry.reason for entry in refusals] == ["one", "two"]


def test_engine_that_fails_in_the_race_leaves_none_open(run: Any, make_runner: MakeRunner) -> None:
    first, second = make_runner("a", 10.0), make_runner("b", 10.0)
    second.segment = lambda frame: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run(a=first, b=second)
    assert first.is_closed
    assert second.is_closed
