"""Documents of a bundle and of measurements, with figures that are easy to find again."""

from pathlib import Path

import numpy as np

from benchmarks.choose.document import Candidate, ChooseDocument, LadderFile
from benchmarks.document import Contender, LadderDocument, LadderRow, LatencyDocument, Ratio
from benchmarks.floor.floor import Floor
from benchmarks.loop.document import LoopDocument, Overhead, Start
from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.tune.document import TuneDocument, TuneRow
from runtime.bundle.manifest import (
    Artefact,
    BundleFile,
    ClassParity,
    Golden,
    InputConvention,
    Manifest,
    Parity,
    Quantization,
)
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.files import sha256_of
from runtime.labels import ClassInfo
from tests.benchmarks.hand_made import ENVIRONMENT, peers_document

__all__ = ["choose", "ladder", "latency", "loop", "manifest", "peers", "tune"]


def manifest(checkpoint_sha256: str) -> Manifest:
    """A float32 artefact, an INT8 one in two engines, and an engine that nobody could run."""
    golden = BundleFile(file="golden.npy", sha256="a" * 64, num_bytes=1_000_000)
    classes = (ClassParity(name="road", share=0.9, recall=1.0), ClassParity(name="sky", share=0.1, recall=0.97519))
    compared = Parity(
        engine="onnxruntime",
        num_frames=20,
        label_agreement=0.999_999_9,
        max_confidence_difference=1,
        classes=classes,
    )
    losses = {"label_agreement": 0.9912, "logits_error": 0.0412, "rare_recall": 0.95, "miou": 61.5}
    integers = (
        compared.model_copy(update={**losses, "miou_change": -0.25}),
        compared.model_copy(update={**losses, "miou_change": 0.125, "engine": "openvino"}),
    )
    keys = [feature.key for feature in describe(["road", "sky"])]
    return Manifest(
        frame_height=128,
        frame_width=256,
        network_height=64,
        network_width=192,
        align_corners=True,
        input=InputConvention(channel_order="rgb", mean=(0, 0, 0), std=(1, 1, 1)),
        classes=(ClassInfo(name="road", colour=(1, 2, 3)), ClassInfo(name="sky", colour=(4, 5, 6))),
        artefacts=(
            _artefact("fp32.onnx", "c", 46_180_000, "fp32", parity=(compared,)),
            _artefact("int8-cpu.onnx", "f", 11_900_000, "int8", parity=integers),
            _artefact("fp32.engine", "d", 1_000_000, "fp32", not_run="no GPU here"),
        ),
        golden=Golden(frames=golden, labels=golden, num_frames=2),
        reference=reference_of(np.zeros((1, len(keys)), dtype=np.float32), keys),
        provenance={"checkpoint_sha256": checkpoint_sha256, "versions": {"python": "3.11.1"}},
    )


def _artefact(
    file: str,
    letter: str,
    num_bytes: int,
    precision: str,
    *,
    parity: tuple[Parity, ...] = (),
    not_run: str | None = None,
) -> Artefact:
    integers = {
        "scheme": "u8s8",
        "range_method": "entropy",
        "calibration_sha256": "b" * 64,
        "num_calibration_frames": 32,
        "float_layers": ("network.conv1",),
        "trained_iterations": 200,
    }
    return Artefact.model_validate(
        {
            "file": file,
            "sha256": letter * 64,
            "num_bytes": num_bytes,
            "format": "tensorrt" if file.endswith(".engine") else "onnx",
            "precision": precision,
            "parity": parity,
            "not_run": not_run,
            "quantization": Quantization.model_validate(integers) if precision == "int8" else None,
        }
    )


def latency(manifest_sha256: str) -> LatencyDocument:
    """150 queries, which support p50, p90 and p95; the document claims a p99 all the same."""
    return LatencyDocument(
        created_unix_s=86_400,
        scenario="single stream",
        ours=_contender("bundle", 12.5),
        peer=_contender("PyTorch", 25.0),
        speedup_p50=2.0,
        speedup_interval=(1.75, 2.25),
        label_agreement=0.99999,
        num_compared=30,
        num_queries=150,
        manifest_sha256=manifest_sha256,
        checkpoint_sha256="e" * 64,
        frames=("a", "b"),
        environment=ENVIRONMENT,
        config={},
    )


def _contender(name: str, p50: float) -> Contender:
    return Contender(
        name=name,
        load_ms=100.5,
        first_inference_ms=30.25,
        percentiles_ms={"p50": p50, "p90": p50 + 1, "p95": p50 + 1.75, "p99": 77.77, "p99.9": None},
        max_ms=99.0,
        max_query=3,
        samples_ns=tuple(round((p50 + step / 100) * 1e6) for step in range(150)),
    )


def ladder(manifest_sha256: str) -> LadderDocument:
    """Four rows with a score: the middle one is slower than the second, and no better; one was refused."""
    ratio = Ratio(value=3.0, low=2.5, high=3.5)

    def row(artefact: str | None, median_ms: float, miou: float, **more: object) -> LadderRow:
        told = {"artefact": artefact, "engine": "ONNX Runtime", "precision": "fp32", "num_bytes": 10}
        return LadderRow.model_validate({**told, "median_ms": median_ms, "miou": miou, **more})

    return LadderDocument(
        created_unix_s=172_800,
        scenario="single stream",
        classes=("road",),
        rows=(
            row(None, 60.0, 30.0),
            row("fp32.onnx", 50.0, 30.0, label_agreement=0.999_999),
            row("fp16.onnx", 55.0, 29.5),
            row("int8-cpu.onnx", 17.25, 29.0, label_agreement=0.9912, faster_than_fp32=ratio),
            row("bf16.onnx", 1.0, 99.0, refusal="other labels than its manifest says"),
        ),
        notes=("a note on what was left out",),
        num_rounds=64,
        num_compared=20,
        num_test_frames=8,
        manifest_sha256=manifest_sha256,
        checkpoint_sha256="e" * 64,
        frames=("a", "b"),
        environment=ENVIRONMENT,
        config={},
    )


def loop(manifest_sha256: str) -> LoopDocument:
    """Three stages besides the camera's: 1, 6 and 3 ms."""

    def percentiles(p50: float) -> dict[str, float | None]:
        return {"p50": p50, "p90": p50 * 2, "p95": None, "p99": None, "p99.9": None}

    stages = {"read": 40.0, "wait": 1.0, "infer": 6.0, "hand over": 3.0}
    return LoopDocument(
        created_unix_s=259_200,
        artefact="int8-cpu.onnx",
        engine="ONNX Runtime",
        overhead=Overhead(
            frame_hw=(128, 256),
            num_frames=100,
            period_ms=50.0,
            engine_ms=percentiles(6.0),
            copy_ms=0.1,
            stages_ms={name: percentiles(value) for name, value in stages.items()},
            loop_ms=percentiles(10.0),
            overhead_ms=4.0,
            overhead_share=0.66,
        ),
        memory=None,
        start=Start(num_processes=3, ready_ms=400.0, stages_ms={"imports": 300.0, "warm_up": 100.0}),
        manifest_sha256=manifest_sha256,
        environment=ENVIRONMENT,
        config={},
    )


def peers(manifest_sha256: str) -> PeersDocument:
    """Ours takes 10 ms over a floor of 4, a peer 20; another was refused, and a last one could not be run."""

    def row(name: str, **more: object) -> PeerRow:
        told = {"name": name, "path": f"how {name} goes", "precision": "fp32", "is_ours": name == "ours"}
        return PeerRow.model_validate({**told, **more})

    floor = Floor(compute_ms=4.0, memory_ms=1.0)
    ratio = Ratio(value=2.0, low=1.9, high=2.1)
    return peers_document(
        row("ours", percentiles_ms={"p50": 10.0}, label_agreement=0.9999, miou=30.25, floor=floor, floor_share=0.4),
        row("peer", percentiles_ms={"p50": 20.0}, label_agreement=1.0, miou=30.0, ours_is_faster=ratio),
        row("cheat", percentiles_ms={"p50": 1.0}, refusal="other labels than PyTorch"),
        row("absent", not_run="not installed"),
        frame_hw=(64, 96),
        network_hw=(64, 96),
        unmet=("ours is to be 3 times as fast",),
        manifest_sha256=manifest_sha256,
    )


def choose(*ladders: Path) -> ChooseDocument:
    """Three candidates, of which the second takes longer and is no better; 15 ms are allowed."""

    def candidate(artefact: str, ms: float, miou: float, *, is_on_front: bool) -> Candidate:
        return Candidate(
            bundle=Path("runs/a/bundle"),
            artefact=artefact,
            engine="OpenVINO",
            precision="fp32",
            ms=ms,
            miou=miou,
            is_on_front=is_on_front,
            lead=0.0 if is_on_front and ms < 15.0 else None,
            lead_interval=(0.0, 0.0) if is_on_front and ms < 15.0 else None,
        )

    return ChooseDocument(
        created_unix_s=432_000,
        percentile="p90",
        budget_ms=15.0,
        max_loss=0.3,
        candidates=(
            candidate("int8-cpu.onnx", 12.0, 29.0, is_on_front=True),
            candidate("fp16.onnx", 14.0, 28.0, is_on_front=False),
            candidate("fp32.onnx", 40.0, 30.0, is_on_front=True),
        ),
        recommended=0,
        most_accurate=0,
        left_out=("a row without a time",),
        ladders=tuple(LadderFile(path=path, sha256=sha256_of(path)) for path in ladders),
        environment=ENVIRONMENT,
        config={},
    )


def tune(manifest_sha256: str) -> TuneDocument:
    """Two threads take 8 ms, of which nothing is better; one takes 16, and float32 gives other labels."""

    def row(setting: str, **more: object) -> TuneRow:
        return TuneRow.model_validate(
            {"setting": setting, "artefact": "int8-cpu.onnx", "backend": {"provider": "openvino"}, **more}
        )

    base = row("int8 in openvino", median_ms=8.0, cpu_ms=15.0, label_agreement=0.9912)
    one = row(
        "int8 in openvino, threads=1",
        against="int8 in openvino",
        median_ms=16.0,
        cpu_ms=16.0,
        label_agreement=0.9912,
        ratio=Ratio(value=0.5, low=0.49, high=0.51),
        verdict="slower",
    )
    refused = row("fp32 in openvino", against="int8 in openvino", refusal="label agreement 0.5")
    return TuneDocument(
        created_unix_s=518_400,
        scenario="single stream",
        pairs=(base, refused),
        options=(base, one),
        last=(),
        default="int8 in openvino",
        best="int8 in openvino",
        speedup=None,
        runtime_yaml="runtime:\n  artefact: int8-cpu.onnx\n",
        notes=("no GPU here",),
        num_rounds=64,
        num_compared=20,
        manifest_sha256=manifest_sha256,
        checkpoint_sha256="e" * 64,
        frames=("a", "b"),
        environment=ENVIRONMENT,
        config={},
    )
