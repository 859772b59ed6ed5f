"""What the status document says, and when it says that things are old."""

import json
from collections.abc import Callable
from email.message import Message
from typing import Any

from runtime.health.reasons import Health, Reason
from runtime.live.record import NUM_HISTORY
from runtime.live.view import LiveView
from runtime.result import Counters, Result, Stages, Status

Fetch = Callable[..., tuple[int, Message, bytes]]
MakeResult = Callable[..., Result]
PassMs = Callable[[float], None]
MILLISECOND_NS = 1_000_000


def status_of(fetch: Fetch) -> dict[str, Any]:
    status, _, content = fetch("/status.json")
    assert status == 200
    document: dict[str, Any] = json.loads(content)
    return document


def test_before_anything_was_told_nothing_is_claimed(fetch: Fetch) -> None:
    document = status_of(fetch)
    assert document["health"] is None
    assert document["told_ms"] is None
    assert document["result"] is None
    assert document["history"]["frame_id"] == []


def test_a_result_is_told_with_its_age_stages_and_counters(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    view.write(make_result(7, counters=Counters(num_published=7, num_late=2)))
    pass_ms(30)
    document = status_of(fetch)
    assert document["health"] == {"state": "OK", "reasons": []}
    assert document["bundle_id"] == "ab" * 32
    assert document["drop_ratio"] == 0.25
    assert (document["counters"]["num_published"], document["counters"]["num_late"]) == (7, 2)
    assert document["result"] == {
        "frame_id": 7,
        "age_ms": 80.0,
        "age_at_publish_ms": 50.0,
        "is_fresh": True,
        "deadline_ms": 200.0,
        "stale_after_ms": 700.0,
        "stages_ms": {"read": 5.0, "wait": 3.0, "infer": 40.0, "keep": 1.0, "check": 1.0},
    }


def test_a_result_grows_old_where_none_follows(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    view.write(make_result(7))
    pass_ms(150)
    assert status_of(fetch)["result"]["is_fresh"]
    pass_ms(1)
    document = status_of(fetch)
    assert not document["result"]["is_fresh"]
    assert document["result"]["age_ms"] == 201.0
    assert document["told_ms"] == 151.0


def test_every_reason_has_its_state_and_sentence(view: LiveView, fetch: Fetch) -> None:
    health = Health(Reason.NO_FRAMES | Reason.DRIFTED, ("no frame for 1 s", "confidence has left its range"))
    view.tell(Status(now_ns=0, health=health))
    assert status_of(fetch)["health"] == {
        "state": "FAULT",
        "reasons": [
            {"name": "NO_FRAMES", "state": "FAULT", "detail": "no frame for 1 s"},
            {"name": "DRIFTED", "state": "DEGRADED", "detail": "confidence has left its range"},
        ],
    }


def test_news_without_a_result_leave_the_newest_result(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    view.write(make_result(7))
    pass_ms(900)
    view.tell(Status(now_ns=0, health=Health(Reason.STALLED, ("stuck",)), last_frame_id=7))
    document = status_of(fetch)
    assert document["told_ms"] == 0.0
    assert document["health"]["state"] == "FAULT"
    assert (document["result"]["frame_id"], document["result"]["age_ms"]) == (7, 950.0)


def test_the_history_is_bounded_and_in_order(
    view: LiveView, fetch: Fetch, make_result: MakeResult, pass_ms: PassMs
) -> None:
    for frame_id in range(NUM_HISTORY + 3):
        pass_ms(10)
        infer_ns = frame_id * MILLISECOND_NS
        view.write(make_result(frame_id, stages=Stages(0, 0, infer_ns, 0, 0)))
    history = status_of(fetch)["history"]
    expected = list(range(3, NUM_HISTORY + 3))
    assert history["frame_id"] == expected
    assert history["infer_ms"] == expected
    assert history["published_ms_ago"] == [10.0 * back for back in reversed(range(NUM_HISTORY))]
