"""`latency.json` and `ladder.json`: what one run of the command measured, every sample included."""

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.bundle_document import CheckedDocument
from runtime.bundle.manifest import Share
from runtime.config import StrictModel

__all__ = ["Contender", "LadderDocument", "LadderRow", "LatencyDocument", "Ratio"]


class Contender(StrictModel):
    """One way of running the network.

    `load_ms` is the time from files to the first frame being accepted and `first_inference_ms` that of the first
    frame. A bundle is verified, warmed up and proven on its golden frames while it is opened, so its first frame
    is no longer cold; the peer's is. `percentiles_ms` holds None for what the samples do not support.
    """

    name: str
    load_ms: float
    first_inference_ms: float
    percentiles_ms: dict[str, float | None]
    max_ms: float
    max_query: NonNegativeInt
    samples_ns: tuple[int, ...]


class LatencyDocument(CheckedDocument):
    """Contract between `latency` and `report`.

    Query i of both contenders is the same frame, `frames[i % len(frames)]`, one right after the other.
    `speedup_p50` is the ratio of medians, peer over ours, with its 95 % bootstrap interval. `label_agreement` is
    the share of equal pixels over `num_compared` of the timed queries.
    """

    scenario: str
    ours: Contender
    peer: Contender
    speedup_p50: float
    speedup_interval: tuple[float, float]
    label_agreement: Share
    num_compared: PositiveInt
    num_queries: PositiveInt


class Ratio(StrictModel):
    """Median of another contender over this one's, 2.0 being twice as fast, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class LadderRow(StrictModel):
    """An artefact in an engine; `artefact` None stands for the PyTorch network itself, the reference.

    `recorded_agreement` is what the manifest says of label agreement, `label_agreement` what was found here. `not_run`
    says why nothing was measured, `refusal` why what was measured does not count. mIoU is in percent, its change in
    points, with the 95 % interval of `miou_lead`. `class_pixels` are the `PixelCounts` of the labelled frames, which
    rows of other documents are compared by. `faster_than_fp32` compares with the float32 artefact in the same engine,
    `faster_than_onnxruntime` with fp32.onnx in ONNX Runtime; None where those have no score.
    """

    artefact: str | None
    engine: str
    precision: str
    num_bytes: PositiveInt
    not_run: str | None = None
    refusal: str | None = None
    recorded_agreement: Share | None = None
    label_agreement: Share | None = None
    miou: float | None = None
    miou_change: float | None = None
    miou_change_interval: tuple[float, float] | None = None
    class_pixels: tuple[tuple[int, ...], ...] = ()
    median_ms: float | None = None
    p90_ms: float | None = None
    faster_than_fp32: Ratio | None = None
    faster_than_onnxruntime: Ratio | None = None
    samples_ns: tuple[int, ...] = ()


class LadderDocument(CheckedDocument):
    """Every artefact of a bundle in every engine of the machine.

    Query i of all rows is the same frame, `frames[i % len(frames)]`, within one round. Labels were compared with those
    of the PyTorch network on `num_compared` frames, IoU was measured on `num_test_frames` others. `classes` are the
    names of what `class_pixels` counts, in its order.
    """

    scenario: str
    classes: tuple[str, ...]
    rows: tuple[LadderRow, ...]
    notes: tuple[str, ...]
    num_rounds: PositiveInt
    num_compared: PositiveInt
    num_test_frames: NonNegativeInt
