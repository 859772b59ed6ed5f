"""`peers`: the bundle against what people would use instead, from a decoded frame to a label map of its size."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bundle_document import how_measured
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import (
    PYTORCH,
    REST,
    Frame,
    NotRun,
    Timed,
    load_frozen,
    open_pytorch,
    read_frames,
    require_same_network,
    warm_up,
)
from benchmarks.environment import describe_environment
from benchmarks.floor.floor import floor_of
from benchmarks.floor.peak import Peak, measure_peak
from benchmarks.floor.work import Work, count_work
from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.peers.list import peers_here
from benchmarks.peers.openvino import benchmark_app_ms
from benchmarks.peers.ours import open_ours
from benchmarks.peers.page import peers_page, peers_text
from benchmarks.peers.peer import Given, Peer
from benchmarks.peers.picture import draw_peers
from benchmarks.rungs import Promise
from benchmarks.samples import percentiles_ms
from benchmarks.tables import change
from benchmarks.turns import Contender, TestFrames, count_truth, open_test, run_rounds
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.command import progress, say
from runtime.errors import ConfigError, GateError
from runtime.files import writable_folder, write_json, write_text
from training.checkpoint import NetworkSpec

__all__ = ["DOCUMENT_NAME", "measure_peers"]

SCENARIO = (
    "single stream; one decoded uint8 frame to its label map in host memory, in PyTorch and of the bundle to a "
    f"confidence map too; {REST}"
)
DOCUMENT_NAME, PAGE_NAME, PICTURE_NAME = "peers.json", "peers.md", "peers.png"
# Less of a peer that computes in float32 means that it was written wrongly here, not that it is worse.
OWES_FP32 = Promise(None, 0.999)
OWES_NOTHING = Promise(None, 0.0)


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A row to be: what it is called, how it works, what runs, or why nothing does, and what its labels owe."""

    row: PeerRow
    opened: Contender | NotRun
    promise: Promise

    @property
    def refusal(self) -> str | None:
        """Why what was measured does not count."""
        return None if isinstance(self.opened, NotRun) else self.promise.broken_by(self.opened.agreement)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a run found, before anything is concluded from it."""

    network: str
    entrants: Sequence[_Entrant]
    work: Work
    peak: Peak
    benchmark_app_ms: float | None
    num_compared: int


def measure_peers(config: BenchmarksConfig) -> dict[str, Any]:
    """Measure the bundle and its peers; write `peers.json`, `peers.md` and `peers.png`.

    Returns:
        Key figures: `ours`, the runtime's choice; `speedup` over every peer that ran; `miou_change` and `floor_share`
        of ours; `unmet` demands; `document`, `page` and `picture`.

    Raises:
        ConfigError: the bundle was not made from the checkpoint, `test` has no labels or is missing where a loss of
            mIoU was bounded, or a bound is on a peer that there is not.
        DataError: a frame or label map cannot be read.
        FrameError: a frame is not of the bundle's size.
        GateError: a demand of the config is not met; everything was written all the same.
    """
    manifest = read_manifest(config.bundle)
    checkpoint_sha256 = require_same_network(config, manifest)
    peers = _peers(config)
    names, frames = read_frames(config.frames, manifest)
    test = open_test(config)
    folder = writable_folder(config.output)
    threads = config.threads or torch.get_num_threads()
    environment = describe_environment(threads)
    found = _run(config, manifest, peers, frames, test, threads)
    rows = _rows(found)
    document = PeersDocument(
        **how_measured(config, environment),
        network=found.network,
        frame_hw=manifest.frame_hw,
        network_hw=(manifest.network_height, manifest.network_width),
        scenario=SCENARIO,
        rows=rows,
        benchmark_app_ms=found.benchmark_app_ms,
        work=found.work,
        peak=found.peak,
        unmet=tuple(_unmet(config, rows)),
        num_rounds=config.num_rounds,
        num_compared=found.num_compared,
        num_test_frames=0 if test is None else len(test.indices),
        checkpoint_sha256=checkpoint_sha256,
        frames=names,
    )
    write_json(folder / DOCUMENT_NAME, document.model_dump(mode="json"))
    write_text(folder / PAGE_NAME, peers_page(document, config.bundle, DOCUMENT_NAME, PICTURE_NAME))
    draw_peers(document, folder / PICTURE_NAME)
    say(peers_text(document))
    figures = _key_figures(document, folder)
    if document.unmet:
        raise GateError(f"demands of benchmarks.peers that are not met: {'; '.join(document.unmet)}", figures=figures)
    return figures


def _run(
    config: BenchmarksConfig,
    manifest: Manifest,
    peers: Sequence[Peer],
    frames: Sequence[Frame],
    test: TestFrames | None,
    threads: int,
) -> _Measured:
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iapc-peers-")))
        frozen = load_frozen(config, manifest)
        graph, spec = frozen.network, frozen.spec
        given = Given(graph, spec, frames, config.threads, scratch)
        work, peak = count_work(graph), measure_peak(threads)
        app_s = config.peers.benchmark_app_s
        app_ms = benchmark_app_ms(given, app_s) if app_s else None
        entrants = list(_open_all(config, manifest, given, peers, stack))
        running = [entrant.opened for entrant in entrants if isinstance(entrant.opened, Contender)]
        # Before labels are counted: the first frame of what compiles is its slowest.
        warm_up([contender.timed for contender in running], frames, config.warmup)
        count_truth(test, manifest, running)
        num_compared = run_rounds(running, frames, config.num_rounds)
        return _Measured(_title(spec), entrants, work, peak.best_of(measure_peak(threads)), app_ms, num_compared)


def _title(spec: NetworkSpec) -> str:
    """What the network is, in the words of the run file."""
    told = spec.model.model_dump()
    return " ".join(str(told[key]) for key in ("kind", "backbone", "architecture", "encoder", "factory") if key in told)


def _peers(config: BenchmarksConfig) -> list[Peer]:
    """The peers of the config, which may name and bound no other."""
    options, peers = config.peers, peers_here()
    kept = [peer for peer in peers if options.only is None or peer.name in options.only]
    for key, asked, offered in (
        ("only", options.only or (), peers),
        ("least_speedup", [name for name in options.least_speedup if name != PYTORCH], kept),
    ):
        names = [peer.name for peer in offered]
        if unknown := sorted(set(asked) - set(names)):
            raise ConfigError(
                f"benchmarks.peers.{key} names {', '.join(unknown)}, which is no peer of this run; there are: "
                f"{', '.join(names)}"
            )
    if config.peers.max_miou_loss is not None and config.test is None:
        raise ConfigError("benchmarks.peers.max_miou_loss needs labelled frames: set benchmarks.test, or leave it out")
    return kept


def _open_all(
    config: BenchmarksConfig, manifest: Manifest, given: Given, peers: Sequence[Peer], stack: ExitStack
) -> Iterator[_Entrant]:
    """PyTorch eager, which labels are compared with, then ours, then the peers."""
    reference = PeerRow(name=PYTORCH, path="deploy graph in eager mode, channels last", precision="fp32", is_ours=False)
    yield _Entrant(reference, Contender(open_pytorch(config, manifest)), OWES_NOTHING)
    for ours in open_ours(config.bundle, manifest, given.threads, given.folder, stack):
        row = PeerRow(name=ours.timed.name, path=ours.path, precision=ours.precision, is_ours=True)
        yield _Entrant(row, Contender(ours.timed), ours.promise)
    for peer in progress(peers, title="load", unit="peer"):
        row = PeerRow(name=peer.name, path=peer.path, precision=peer.precision, is_ours=False)
        start_ns = time.perf_counter_ns()
        segment = peer.open(given, stack)
        promise = OWES_FP32 if peer.precision == "fp32" else OWES_NOTHING
        if isinstance(segment, NotRun):
            yield _Entrant(row, segment, promise)
        else:
            yield _Entrant(row, Contender(Timed(peer.name, segment, time.perf_counter_ns() - start_ns)), promise)


def _rows(found: _Measured) -> tuple[PeerRow, ...]:
    running = [entrant for entrant in found.entrants if isinstance(entrant.opened, Contender)]
    reference, ours = running[0].opened, next(entrant for entrant in running if entrant.row.is_ours)
    assert isinstance(reference, Contender)
    # What gives other labels than it promises is no measure of anybody's speed.
    chosen = ours.opened if isinstance(ours.opened, Contender) and ours.refusal is None else None
    return tuple(_row(entrant, reference, chosen, found.work, found.peak) for entrant in found.entrants)


def _row(entrant: _Entrant, reference: Contender, chosen: Contender | None, work: Work, peak: Peak) -> PeerRow:
    row, opened = entrant.row, entrant.opened
    if isinstance(opened, NotRun):
        return row.model_copy(update={"not_run": opened.reason})
    if entrant.refusal is not None:
        return row.model_copy(update={"label_agreement": opened.agreement, "refusal": entrant.refusal})
    samples_ns = np.array(opened.timed.samples_ns)
    percentiles, floor = percentiles_ms(samples_ns), floor_of(work, peak, row.precision)
    median_ms = percentiles["p50"]
    assert median_ms is not None
    return row.model_copy(
        update={
            "load_ms": opened.timed.load_ns / 1e6,
            "first_inference_ms": opened.timed.first_inference_ns / 1e6,
            "percentiles_ms": percentiles,
            "max_ms": float(samples_ns.max()) / 1e6,
            "label_agreement": opened.agreement,
            **opened.miou_figures(reference),
            "ours_is_faster": None if chosen is None else chosen.ratio_to(opened),
            "floor": floor,
            "floor_share": None if floor is None else floor.ms / median_ms,
            "samples_ns": tuple(opened.timed.samples_ns),
        }
    )


def _unmet(config: BenchmarksConfig, rows: Sequence[PeerRow]) -> Iterator[str]:
    by_name = {row.name: row for row in rows}
    yield from (f"no score for {row.name}: {row.refusal}" for row in rows if row.is_ours and row.refusal is not None)
    for name, least in config.peers.least_speedup.items():
        ratio = by_name[name].ours_is_faster
        if ratio is None:
            yield f"no score for {name}, of which at least {least}x was demanded"
        elif ratio.low < least:
            yield f"{ratio.value:.2f}x (interval from {ratio.low:.2f}) over {name}, at least {least}x was demanded"
    chosen, most = next(row for row in rows if row.is_ours), config.peers.max_miou_loss
    if most is None:
        return
    worst = chosen.miou_change if chosen.miou_change_interval is None else chosen.miou_change_interval[0]
    if worst is None or -worst > most:
        found = change(chosen.miou_change, chosen.miou_change_interval)
        yield f"mIoU change of {chosen.name} {found}, at most -{most} was allowed at the lower end"


def _key_figures(document: PeersDocument, folder: Path) -> dict[str, Any]:
    chosen = document.chosen
    return {
        "ours": chosen.name,
        "median_ms": _rounded(chosen.percentiles_ms.get("p50"), 3),
        "speedup": {
            row.name: _rounded(row.ours_is_faster.value, 3)
            for row in document.rows
            if row.ours_is_faster is not None and row is not chosen
        },
        "miou_change": _rounded(chosen.miou_change, 3),
        "label_agreement": _rounded(chosen.label_agreement, 6),
        "floor_share": _rounded(chosen.floor_share, 3),
        "unmet": list(document.unmet),
        "document": str(folder / DOCUMENT_NAME),
        "page": str(folder / PAGE_NAME),
        "picture": str(folder / PICTURE_NAME),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
