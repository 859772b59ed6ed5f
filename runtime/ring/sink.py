"""Publishes the loop's results in shared memory."""

from runtime.bundle.manifest import Manifest
from runtime.result import Result, Status
from runtime.ring.layout import Kind
from runtime.ring.writer import RingWriter

__all__ = ["RingSink"]


class RingSink:
    """A `Sink` that writes a ring of results.

    Args:
        name: that of the ring.
        num_slots: how many results it holds; see `RingWriter.create`.
        manifest: that of the bundle in service.
        deadline_ns: greatest age at which a result counts as fresh.

    Raises:
        SinkError: another process writes a ring of that name, or there is too little shared memory.
        BackendError: the compiled part is missing.
    """

    def __init__(self, name: str, num_slots: int, manifest: Manifest, deadline_ns: int) -> None:
        self._writer = RingWriter.create(
            name,
            Kind.RESULTS,
            manifest.frame_hw,
            num_slots=num_slots,
            deadline_ns=deadline_ns,
            num_classes=len(manifest.classes),
        )

    def write(self, result: Result) -> None:
        """Publish a result; see `Sink.write`."""
        self._writer.write_result(result)

    def tell(self, status: Status) -> None:
        """Publish how the loop is; see `Sink.tell`."""
        self._writer.beat(status)

    def close(self) -> None:
        """Tell readers that the runtime stopped, and take the ring away."""
        self._writer.close()
