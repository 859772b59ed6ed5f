import pytest

from runtime.health.reasons import FAULTS, OK, Health, Reason, State, state_of

# Other processes read these from shared memory: a bit may be added, none may change or mean something else.
BITS = {
    "STARTING": 0,
    "DEADLINES_MISSED": 1,
    "ALL_LATE": 2,
    "FRAMES_DROPPED": 3,
    "NO_FRAMES": 4,
    "FRAMES_REPEAT": 5,
    "FRAMES_REFUSED": 6,
    "CLOCK_JUMPED": 7,
    "SOURCE_LOST": 8,
    "OUTPUT_NOT_FINITE": 9,
    "OUTPUT_FROZEN": 10,
    "ENGINE_FAILED": 11,
    "SINK_FAILED": 12,
    "SINK_SLOW": 13,
    "DISK_FULL": 14,
    "THROTTLED": 15,
    "DRIFTED": 16,
    "BUNDLE_REFUSED": 17,
    "STALLED": 18,
    "STOPPED": 19,
}
FAULT_NAMES = {
    "STARTING",
    "ALL_LATE",
    "NO_FRAMES",
    "FRAMES_REPEAT",
    "SOURCE_LOST",
    "OUTPUT_NOT_FINITE",
    "OUTPUT_FROZEN",
    "ENGINE_FAILED",
    "STALLED",
    "STOPPED",
}


def test_bits_of_the_reasons_never_change() -> None:
    assert {reason.name: reason.value for reason in Reason} == {name: 1 << bit for name, bit in BITS.items()}
    assert {state.name: state.value for state in State} == {"OK": 0, "DEGRADED": 1, "FAULT": 2}


def test_reasons_after_which_no_result_may_be_used_are_faults() -> None:
    assert {reason.name for reason in Reason if reason & FAULTS} == FAULT_NAMES


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_leaves_the_state_ok(reason: Reason) -> None:
    assert state_of(reason) is (State.FAULT if reason.name in FAULT_NAMES else State.DEGRADED)


def test_worst_reason_counts() -> None:
    assert state_of(Reason.NONE) is State.OK
    assert Health(Reason.DRIFTED | Reason.STALLED).state is State.FAULT
    assert OK.state is State.OK
