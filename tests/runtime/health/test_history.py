import numpy as np

from runtime.health.history import History
from runtime.health.reasons import OK, Health, Reason
from runtime.result import Captured, Counters, Result, Stages, Status

SECOND = 1_000_000_000
DRIFTED = Health(Reason.DRIFTED, ("the world has changed",))


def result(published_ns: int, age_ns: int, health: Health = OK) -> Result:
    picture = np.zeros((2, 2), dtype=np.uint8)
    return Result(
        captured=Captured(0, published_ns - age_ns, "0"),
        frame=np.zeros((2, 2, 3), dtype=np.uint8),
        labels=picture,
        confidence=picture,
        published_ns=published_ns,
        deadline_ns=SECOND,
        stages=Stages(0, 0, 0, 0, age_ns),
        health=health,
        counters=Counters(),
        drop_ratio=0.0,
        bundle_id="",
    )


def test_states_and_reasons_add_up_to_the_run() -> None:
    history = History(10 * SECOND)
    history.write(result(12 * SECOND, 0))
    history.tell(Status(15 * SECOND, DRIFTED))
    history.tell(Status(16 * SECOND, Health(Reason.DRIFTED | Reason.SOURCE_LOST, ("", ""))))
    history.tell(Status(20 * SECOND, Health(Reason.STOPPED, ("",))))
    figures = history.figures(Counters())
    assert figures["state_s"] == {"OK": 3.0, "DEGRADED": 1.0, "FAULT": 6.0}
    assert figures["reason_s"] == {"STARTING": 2.0, "DRIFTED": 5.0, "SOURCE_LOST": 4.0}


def test_late_news_does_not_turn_time_back() -> None:
    history = History(0)
    history.write(result(5 * SECOND, 0))
    history.tell(Status(4 * SECOND, DRIFTED))
    history.tell(Status(6 * SECOND, OK))
    assert history.figures(Counters())["state_s"] == {"OK": 0.0, "DEGRADED": 1.0, "FAULT": 5.0}


def test_age_is_that_at_publication_and_ratio_that_of_whole_frames() -> None:
    history = History(0)
    history.write(result(5 * SECOND, 80_000_000))
    counters = Counters(num_captured=4, num_dropped=3, num_published=1)
    figures = history.figures(counters)
    assert figures["age_ms"] == {"p50": 80.0, "max": 80.0}
    assert figures["drop_ratio"] == 0.75
    assert "3 dropped (75.00%)" in history.summary(counters)


def test_run_without_a_result_has_figures_too() -> None:
    assert "age      no result" in History(0).summary(Counters())
