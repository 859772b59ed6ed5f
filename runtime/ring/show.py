"""What a ring says, as text, until its writer ends."""

from collections.abc import Mapping
from time import monotonic_ns, sleep
from typing import Any

from runtime.command import say
from runtime.errors import SourceError
from runtime.health.reasons import Health
from runtime.result import Status
from runtime.ring.layout import Kind, Verdict
from runtime.ring.reader import RingReader, RingSlot
from runtime.units import MILLISECOND_NS

__all__ = ["ring_text", "show", "show_once"]

PERIOD_S = 0.5


def show(name: str) -> Mapping[str, Any]:
    """Write to stderr what a ring says, twice a second, until its writer has ended; return what it said last.

    Raises:
        SourceError: there is no such ring, or the file is not one that this version can read.
        BackendError: the compiled part is missing.
    """
    with RingReader.open(name) as reader:
        while True:
            say(f"{ring_text(name, reader)}\n")
            verdict, status = reader.verdict(reader.newest()), reader.status()
            if verdict in (Verdict.STOPPED, Verdict.WRITER_DEAD):
                return _figures(verdict, status)
            sleep(PERIOD_S)


def show_once(name: str) -> Mapping[str, Any]:
    """Write to stderr what a ring says at this moment, and return it where its newest result may be used.

    Raises:
        SourceError: the newest result may not be used; there is no such ring, or it cannot be read.
        BackendError: the compiled part is missing.
    """
    with RingReader.open(name) as reader:
        say(ring_text(name, reader))
        verdict, status = reader.verdict(reader.newest()), reader.status()
    if verdict is not Verdict.FRESH:
        raise SourceError(
            f"ring {name} is {verdict.name}, health {_health_text(status.health)}, and not FRESH; docs/embedding.md "
            "has what each verdict means, docs/operations.md what to do about each reason"
        )
    return _figures(verdict, status)


def ring_text(name: str, reader: RingReader) -> str:
    """Verdict, age, health and counters at this moment, a line each.

    Raises:
        SourceError: the ring is closed.
    """
    slot, status = reader.newest(), reader.status()
    now_ns = monotonic_ns()
    layout = reader.layout
    lines = {
        "verdict": reader.verdict(slot, now_ns).name,
        "ring": f"{name}: {reader.kind.name.lower()} of {layout.width}x{layout.height}, {layout.num_slots} slots",
        "writer": f"process {layout.writer_pid}, {'alive' if reader.has_writer else 'dead'}, "
        f"last heard of {_ms(now_ns - status.now_ns)} ago",
        "health": _health_text(status.health),
        "newest": "none" if slot is None else _slot_text(slot, now_ns, layout.deadline_ns),
    }
    if reader.kind is Kind.RESULTS:
        counters = status.counters
        lines["counted"] = (
            f"{counters.num_captured} captured, {counters.num_published} published, {counters.num_dropped} "
            f"dropped, {counters.num_lost} lost, {counters.num_refused} refused, {counters.num_withheld} withheld, "
            f"{counters.num_late} late, {counters.num_restarts} restarts, {counters.num_swaps} swaps"
        )
        lines["bundle"] = status.bundle_id[:12]
    return "\n".join(f"{title:8} {text}" for title, text in lines.items())


def _figures(verdict: Verdict, status: Status) -> Mapping[str, Any]:
    return {"verdict": verdict.name, "health": _health_text(status.health), "frame_id": status.last_frame_id}


def _slot_text(slot: RingSlot, now_ns: int, deadline_ns: int) -> str:
    text = f"frame {slot.frame_id}, captured {_ms(now_ns - slot.captured_ns)} ago, deadline {_ms(deadline_ns)}"
    if slot.stages.total_ns:
        stages = slot.stages
        text += (
            f"; {_ms(stages.total_ns)} old when published: read {_ms(stages.read_ns)}, wait {_ms(stages.wait_ns)}, "
            f"infer {_ms(stages.infer_ns)}, keep {_ms(stages.keep_ns)}, check {_ms(stages.check_ns)}"
        )
    return text


def _health_text(health: Health) -> str:
    names = ", ".join(reason.name or str(reason.value) for reason in health.reasons)
    return f"{health.state.name}{f' ({names})' if names else ''}"


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / MILLISECOND_NS:.1f} ms"
