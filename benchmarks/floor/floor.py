"""The floor under a latency: no engine can be faster than the machine's peaks allow (the roofline's roof)."""

from benchmarks.floor.peak import Peak
from benchmarks.floor.work import Work
from runtime.bundle.manifest import Precision
from runtime.config import StrictModel

__all__ = ["Floor", "floor_of"]


class Floor(StrictModel):
    """Milliseconds below which no engine gets: by the processor's peak, and by the memory's."""

    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """The larger of the two; computing and reading can overlap."""
        return max(self.compute_ms, self.memory_ms)


def floor_of(work: Work, peak: Peak, precision: Precision) -> Floor | None:
    """The floor of a network in a precision; None where the machine's peak in it was not measured.

    Resizing, argmax and elementwise steps count as free, so the true floor is somewhat higher.
    """
    if precision not in peak.operations_per_s:
        return None
    return Floor(
        compute_ms=1e3 * work.operations / peak.operations_per_s[precision],
        memory_ms=1e3 * work.compulsory_bytes(precision) / peak.bytes_per_s,
    )
