"""`latency.json`: what one run of `latency` measured, every sample included."""

from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from benchmarks.environment import Environment
from runtime.config import StrictModel
from runtime.manifest import Share

__all__ = ["Contender", "LatencyDocument"]


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


class LatencyDocument(StrictModel):
    """Contract between `latency` and `report`.

    Query i of both contenders is the same frame, `frames[i % len(frames)]`, one right after the other.
    `speedup_p50` is the ratio of medians, peer over ours, with its 95 % bootstrap interval. `label_agreement` is
    the share of equal pixels over `num_compared` of the timed queries.
    """

    schema_version: Literal[1] = 1
    created_unix_s: NonNegativeInt
    scenario: str
    ours: Contender
    peer: Contender
    speedup_p50: float
    speedup_interval: tuple[float, float]
    label_agreement: Share
    num_compared: PositiveInt
    num_queries: PositiveInt
    manifest_sha256: str
    checkpoint_sha256: str
    frames: tuple[str, ...]
    environment: Environment
    config: dict[str, Any]
