"""`latency`: time from a decoded frame to its label map, the bundle against PyTorch, in one run on the same frames.

One stream: the next query starts after the previous one ended. Whatever slows the machine for a while hits both
contenders, because they take turns query by query; no sample is dropped.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.config import BenchmarksConfig
from benchmarks.document import Contender, LatencyDocument
from benchmarks.environment import describe_environment
from benchmarks.samples import MIN_SAMPLES, percentiles_ms, speedup, speedup_interval
from runtime.command import progress, say
from runtime.errors import CheckpointError, ConfigError, GateError
from runtime.files import sha256_of, writable_folder, write_json
from runtime.frames import check_frame
from runtime.manifest import MANIFEST_NAME, Manifest, read_manifest
from runtime.segmenter import Segmenter
from runtime.settings import CpuConfig, RuntimeConfig
from training.checkpoint import load_network
from training.data.config import FramesConfig
from training.data.open import open_frames
from training.device import Compute

__all__ = ["DOCUMENT_NAME", "measure_latency"]

DOCUMENT_NAME = "latency.json"
OURS, PEER = "bundle (ONNX Runtime fp32)", "PyTorch eager fp32"
MIN_LABEL_AGREEMENT = 0.9999
COMPARED_SHARE = 0.2
MAX_FRAMES = 64
# Idle threads spin after a query, ONNX Runtime's for up to 26 ms and torch's for 5 on a two-core Xeon, and would
# steal cores from the other contender.
SETTLE_S = 0.04
SCENARIO = (
    "single stream; one decoded uint8 frame to label and confidence maps in host memory; "
    f"{SETTLE_S * 1e3:.0f} ms of rest before each query"
)
SEED = 0

Frame = NDArray[np.uint8]
Segment = Callable[[Frame], Frame]


@dataclass(slots=True)
class _Timed:
    """A loaded contender and what it has shown so far."""

    name: str
    segment: Segment
    load_ns: int
    first_inference_ns: int = 0
    samples_ns: list[int] = field(default_factory=list)

    def query(self, frame: Frame) -> tuple[Frame, int]:
        """Labels of a frame and the nanoseconds they took."""
        time.sleep(SETTLE_S)
        start_ns = time.perf_counter_ns()
        labels = self.segment(frame)
        return labels, time.perf_counter_ns() - start_ns


def measure_latency(config: BenchmarksConfig) -> dict[str, Any]:
    """Measure both contenders and write `latency.json`.

    Returns:
        Key figures: `latency_ms` of both, `speedup_p50` with its interval, `label_agreement`, `document`.

    Raises:
        ConfigError: the bundle was not made from the checkpoint.
        FrameError: a frame is not of the bundle's size.
        GateError: the contenders give different labels; a run with wrong labels has no score.
    """
    manifest = read_manifest(config.bundle)
    checkpoint_sha256 = _require_same_network(config, manifest)
    names, frames = _read_frames(config.frames, manifest)
    path = writable_folder(config.output) / DOCUMENT_NAME
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        ours = _open_ours(config.bundle, threads, stack)
        peer = _open_peer(config, manifest)
        _warm_up((ours, peer), frames, config.warmup)
        agreement, num_compared = _run_queries(ours, peer, frames, config.num_queries)
    _require_same_labels(config, agreement, num_compared)
    ours_ns, peer_ns = np.array(ours.samples_ns), np.array(peer.samples_ns)
    document = LatencyDocument(
        created_unix_s=int(time.time()),
        scenario=SCENARIO,
        ours=_describe(ours),
        peer=_describe(peer),
        speedup_p50=speedup(ours_ns, peer_ns),
        speedup_interval=speedup_interval(ours_ns, peer_ns),
        label_agreement=agreement,
        num_compared=num_compared,
        num_queries=config.num_queries,
        manifest_sha256=sha256_of(config.bundle / MANIFEST_NAME),
        checkpoint_sha256=checkpoint_sha256,
        frames=names,
        environment=environment,
        config=config.model_dump(mode="json"),
    )
    write_json(path, document.model_dump(mode="json"))
    say(_table(document))
    return _key_figures(document, path)


def _require_same_network(config: BenchmarksConfig, manifest: Manifest) -> str:
    """SHA-256 of the checkpoint, after the bundle was found to be made from it."""
    if not config.checkpoint.is_file():
        raise CheckpointError(
            f"checkpoint {config.checkpoint} does not exist; run `make adapt`, or correct benchmarks.checkpoint"
        )
    found, promised = sha256_of(config.checkpoint), manifest.provenance.get("checkpoint_sha256")
    if found != promised:
        raise ConfigError(
            f"bundle {config.bundle} was not made from checkpoint {config.checkpoint}: the file has SHA-256 "
            f"{found[:12]}..., the bundle was made from {str(promised)[:12]}...; run `make export` again, or set "
            "benchmarks.checkpoint to the network file the bundle was made from"
        )
    return found


def _read_frames(config: FramesConfig, manifest: Manifest) -> tuple[tuple[str, ...], list[Frame]]:
    """Names and frames to show, evenly spread over the data set and few enough to stay in memory."""
    source = open_frames(config)
    indices = np.linspace(0, len(source) - 1, num=min(MAX_FRAMES, len(source)), dtype=int).tolist()
    names = tuple(source.name(index) for index in indices)
    frames = [source.image(index) for index in progress(indices, title="frames", unit="frame")]
    for name, frame in zip(names, frames, strict=True):
        check_frame(frame, manifest.frame_height, manifest.frame_width, name=name)
    return names, frames


def _open_ours(bundle: Path, threads: int, stack: ExitStack) -> _Timed:
    start_ns = time.perf_counter_ns()
    config = RuntimeConfig(backend=CpuConfig(threads=threads))
    segmenter = stack.enter_context(Segmenter.open(bundle, config))
    load_ns = time.perf_counter_ns() - start_ns
    return _Timed(OURS, lambda frame: segmenter.segment(frame).labels, load_ns)


def _open_peer(config: BenchmarksConfig, manifest: Manifest) -> _Timed:
    """The same deploy graph in PyTorch eager mode, float32, channels last, without gradients."""
    start_ns = time.perf_counter_ns()
    network, spec = load_network(config.checkpoint, factory=config.factory)
    graph = spec.frame_network(network, (manifest.frame_height, manifest.frame_width))
    graph = Compute(torch.device("cpu"), "fp32").place(graph)
    load_ns = time.perf_counter_ns() - start_ns

    def segment(frame: Frame) -> Frame:
        with torch.no_grad():
            labels, confidence = graph(torch.from_numpy(frame)[None])
        confidence.numpy()
        found: Frame = labels[0].numpy()
        return found

    return _Timed(PEER, segment, load_ns)


def _warm_up(contenders: Sequence[_Timed], frames: Sequence[Frame], num_frames: int) -> None:
    for contender in contenders:
        _, contender.first_inference_ns = contender.query(frames[0])
        for index in range(num_frames):
            contender.query(frames[index % len(frames)])


def _run_queries(ours: _Timed, peer: _Timed, frames: Sequence[Frame], num_queries: int) -> tuple[float, int]:
    """Time all queries; return the share of equal pixels over a random sample of them, and the sample's size."""
    num_compared = max(1, round(COMPARED_SHARE * num_queries))
    compared = set(np.random.default_rng(SEED).choice(num_queries, size=num_compared, replace=False).tolist())
    num_equal = num_pixels = 0
    for query in progress(range(num_queries), title="latency", unit="query"):
        # The order also changes with each rotation: an even number of frames would else give each a fixed order.
        is_ours_first = (query + query // len(frames)) % 2 == 0
        labels = {}
        for contender in (ours, peer) if is_ours_first else (peer, ours):
            labels[contender.name], taken_ns = contender.query(frames[query % len(frames)])
            contender.samples_ns.append(taken_ns)
        if query in compared:
            num_equal += int(np.count_nonzero(labels[OURS] == labels[PEER]))
            num_pixels += labels[OURS].size
    return num_equal / num_pixels, num_compared


def _require_same_labels(config: BenchmarksConfig, agreement: float, num_compared: int) -> None:
    if agreement < MIN_LABEL_AGREEMENT:
        raise GateError(
            f"bundle {config.bundle} and {PEER} of {config.checkpoint} give different labels: agreement "
            f"{agreement:.6f} over {num_compared} timed queries, expected at least {MIN_LABEL_AGREEMENT}; a run with "
            "wrong labels has no score and nothing was written; export the bundle again"
        )


def _describe(timed: _Timed) -> Contender:
    samples_ns = np.array(timed.samples_ns)
    return Contender(
        name=timed.name,
        load_ms=timed.load_ns / 1e6,
        first_inference_ms=timed.first_inference_ns / 1e6,
        percentiles_ms=percentiles_ms(samples_ns),
        max_ms=float(samples_ns.max()) / 1e6,
        max_query=int(samples_ns.argmax()),
        samples_ns=tuple(timed.samples_ns),
    )


def _key_figures(document: LatencyDocument, path: Path) -> dict[str, Any]:
    return {
        "latency_ms": {side: _figures_ms(found) for side, found in (("ours", document.ours), ("peer", document.peer))},
        "speedup_p50": round(document.speedup_p50, 3),
        "speedup_interval": [round(bound, 3) for bound in document.speedup_interval],
        "label_agreement": document.label_agreement,
        "document": str(path),
    }


def _figures_ms(found: Contender) -> dict[str, float | None]:
    percentiles = {name: found.percentiles_ms[name] for name in ("p50", "p90", "p99")}
    return {
        name: None if value is None else round(value, 3) for name, value in {**percentiles, "max": found.max_ms}.items()
    }


def _table(document: LatencyDocument) -> str:
    lines = [f"{'latency in ms':28}" + "".join(f"{name:>9}" for name in (*MIN_SAMPLES, "max", "load", "first"))]
    for found in (document.ours, document.peer):
        values = [*found.percentiles_ms.values(), found.max_ms, found.load_ms, found.first_inference_ms]
        lines.append(f"{found.name:28}" + "".join(f"{'-' if v is None else format(v, '.2f'):>9}" for v in values))
    low, high = document.speedup_interval
    lines += [
        f"{document.num_queries} queries each, {document.environment.threads} threads; - where they are too few for it",
        f"speed-up of the median {document.speedup_p50:.2f}, 95 % interval {low:.2f} to {high:.2f}; labels agree on "
        f"{document.label_agreement:.4%} of the pixels of {document.num_compared} timed queries",
    ]
    return "\n".join(lines)
