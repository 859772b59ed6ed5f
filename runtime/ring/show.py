"""What a ring says at this moment, as text."""

from time import monotonic_ns

from runtime.health.reasons import Health
from runtime.ring.layout import Kind
from runtime.ring.reader import RingReader, RingSlot

__all__ = ["ring_text"]

MILLISECOND_NS = 1_000_000


def ring_text(name: str) -> str:
    """Verdict, age, health and counters of a ring, a line each.

    Raises:
        SourceError: there is no such ring, or the file is not one that this version can read.
        BackendError: the compiled part is missing.
    """
    with RingReader.open(name) as reader:
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
            lines["bundle"] = status.bundle_id[:16]
    return "\n".join(f"{title:8} {text}" for title, text in lines.items())


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
