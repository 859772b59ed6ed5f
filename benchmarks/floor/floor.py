"""The floor under a latency: the time at the machine's peaks, as a roofline has it.

The peak is that of a matrix product, and operations are those of direct convolution: an engine that reaches more, or
needs fewer as Winograd's convolutions do, gets below.
"""

from benchmarks.floor.peak import Peak
from benchmarks.floor.work import Work
from runtime.bundle.manifest import Precision
from runtime.config import StrictModel

__all__ = ["Floor", "floor_of"]


class Floor(StrictModel):
    """Milliseconds at the processor's peak, and at the memory's."""

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
