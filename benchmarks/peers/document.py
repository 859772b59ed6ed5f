"""`peers.json`: what one run of the command measured."""

from pydantic import Field, NonNegativeInt, PositiveInt

from benchmarks.bundle_document import CheckedDocument
from benchmarks.document import Ratio
from benchmarks.floor.floor import Floor
from benchmarks.floor.peak import Peak
from benchmarks.floor.work import Work
from runtime.bundle.manifest import Precision, Share
from runtime.config import StrictModel

__all__ = ["PeerRow", "PeersDocument"]


class PeerRow(StrictModel):
    """One way from a decoded frame to its label map.

    `is_ours` marks artefacts of the bundle; the first of them is the one that the runtime chooses by itself on this
    machine. `not_run` says why nothing was measured, `refusal` why what was measured does not count. `ours_is_faster`
    is the ratio of this row's median to that of the runtime's choice. The change of mIoU is in points, with the 95 %
    interval of `miou_lead`. `floor` is the time at the machine's peak in this precision.
    """

    name: str
    path: str
    precision: Precision
    is_ours: bool
    not_run: str | None = None
    refusal: str | None = None
    load_ms: float | None = None
    first_inference_ms: float | None = None
    percentiles_ms: dict[str, float | None] = Field(default_factory=dict)
    max_ms: float | None = None
    label_agreement: Share | None = None
    miou: float | None = None
    miou_change: float | None = None
    miou_change_interval: tuple[float, float] | None = None
    ours_is_faster: Ratio | None = None
    floor: Floor | None = None
    floor_share: float | None = None
    samples_ns: tuple[int, ...] = ()


class PeersDocument(CheckedDocument):
    """The bundle beside its peers: a network that sees frames of `frame_hw` pixels at `network_hw`.

    Query i of all rows is the same frame, `frames[i % len(frames)]`, within one round. Labels were compared with those
    of PyTorch eager in float32 on `num_compared` frames; IoU was measured on `num_test_frames` others.
    `benchmark_app_ms` is what OpenVINO's own tool says of the plain export: the engine alone. `unmet` are the demands
    of the config that the figures do not meet.
    """

    network: str
    frame_hw: tuple[PositiveInt, PositiveInt]
    network_hw: tuple[PositiveInt, PositiveInt]
    scenario: str
    rows: tuple[PeerRow, ...]
    benchmark_app_ms: float | None
    work: Work
    peak: Peak
    unmet: tuple[str, ...]
    num_rounds: PositiveInt
    num_compared: PositiveInt
    num_test_frames: NonNegativeInt

    @property
    def chosen(self) -> PeerRow:
        """What the runtime chose by itself: the first row of the bundle."""
        return next(row for row in self.rows if row.is_ours)
