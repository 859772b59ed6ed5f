"""`latency`: time from a decoded frame to its label map, the bundle against PyTorch, in one run on the same frames.

One stream: the next query starts after the previous one ended. Whatever slows the machine for a while hits both
contenders, because they take turns query by query; no sample is dropped.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import (
    PYTORCH,
    SCENARIO,
    SEED,
    Frame,
    Timed,
    open_pytorch,
    read_frames,
    require_same_network,
    warm_up,
)
from benchmarks.document import Contender, LatencyDocument
from benchmarks.environment import describe_environment
from benchmarks.samples import MIN_SAMPLES, percentiles_ms, speedup, speedup_interval
from runtime.backends.config import CpuConfig
from runtime.bundle.opening import read_manifest
from runtime.command import progress, say
from runtime.errors import GateError
from runtime.files import writable_folder, write_json
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

__all__ = ["DOCUMENT_NAME", "measure_latency"]

DOCUMENT_NAME = "latency.json"
OURS = "bundle (ONNX Runtime fp32)"
MIN_LABEL_AGREEMENT = 0.9999
COMPARED_SHARE = 0.2


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
    checkpoint_sha256 = require_same_network(config, manifest)
    names, frames = read_frames(config.frames, manifest)
    path = writable_folder(config.output) / DOCUMENT_NAME
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        ours = _open_ours(config.bundle, threads, stack)
        peer = open_pytorch(config, manifest)
        warm_up((ours, peer), frames, config.warmup)
        agreement, num_compared = _run_queries(ours, peer, frames, config.num_queries)
    _require_same_labels(config, agreement, num_compared)
    ours_ns, peer_ns = np.array(ours.samples_ns), np.array(peer.samples_ns)
    document = LatencyDocument(
        **how_measured(config, environment),
        scenario=SCENARIO,
        ours=_describe(ours),
        peer=_describe(peer),
        speedup_p50=speedup(ours_ns, peer_ns),
        speedup_interval=speedup_interval(ours_ns, peer_ns),
        label_agreement=agreement,
        num_compared=num_compared,
        num_queries=config.num_queries,
        checkpoint_sha256=checkpoint_sha256,
        frames=names,
    )
    write_json(path, document.model_dump(mode="json"))
    say(_table(document))
    return _key_figures(document, path)


def _open_ours(bundle: Path, threads: int, stack: ExitStack) -> Timed:
    start_ns = time.perf_counter_ns()
    config = RuntimeConfig(backend=CpuConfig(threads=threads))
    segmenter = stack.enter_context(Segmenter.open(bundle, config))
    load_ns = time.perf_counter_ns() - start_ns
    return Timed(OURS, lambda frame: segmenter.segment(frame).labels, load_ns)


def _run_queries(ours: Timed, peer: Timed, frames: Sequence[Frame], num_queries: int) -> tuple[float, int]:
    """Time all queries; return the share of equal pixels over a random sample of them, and the sample's size."""
    num_compared = max(1, round(COMPARED_SHARE * num_queries))
    rng = np.random.default_rng(SEED)
    compared = set(rng.choice(num_queries, size=num_compared, replace=False).tolist())
    num_equal = num_pixels = 0
    for query in progress(range(num_queries), title="latency", unit="query"):
        labels = {}
        # Drawn, since any pattern favours one of them on some number of frames.
        for contender in (ours, peer) if rng.random() < 0.5 else (peer, ours):
            labels[contender.name], taken_ns = contender.query(frames[query % len(frames)])
            contender.samples_ns.append(taken_ns)
        if query in compared:
            num_equal += int(np.count_nonzero(labels[OURS] == labels[PYTORCH]))
            num_pixels += labels[OURS].size
    return num_equal / num_pixels, num_compared


def _require_same_labels(config: BenchmarksConfig, agreement: float, num_compared: int) -> None:
    if agreement < MIN_LABEL_AGREEMENT:
        raise GateError(
            f"bundle {config.bundle} and {PYTORCH} of {config.checkpoint} give different labels: agreement "
            f"{agreement:.6f} over {num_compared} timed queries, expected at least {MIN_LABEL_AGREEMENT}; a run with "
            "wrong labels has no score and nothing was written; export the bundle again"
        )


def _describe(timed: Timed) -> Contender:
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
