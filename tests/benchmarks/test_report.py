import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.document import Contender, LatencyDocument
from benchmarks.environment import Environment
from benchmarks.report import write_report
from runtime.bundle.manifest import (
    Artefact,
    BundleFile,
    ClassInfo,
    Golden,
    InputConvention,
    Manifest,
    Parity,
    Quantization,
)
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.errors import BundleError, DataError
from runtime.files import sha256_of, write_json
from training.data.config import FolderConfig

RUN_FILE = Path("configs/run.yaml")


@pytest.fixture
def config(tmp_path: Path) -> BenchmarksConfig:
    """Folders of a run of which nothing is there yet."""
    for folder in ("training", "bundle", "output"):
        (tmp_path / folder).mkdir()
    return BenchmarksConfig(
        bundle=tmp_path / "bundle",
        checkpoint=tmp_path / "adapted.safetensors",
        frames=FolderConfig(layout="folder", root=tmp_path),
        output=tmp_path / "output",
        training_output=tmp_path / "training",
    )


def write_accuracy(config: BenchmarksConfig) -> None:
    assert config.training_output is not None
    rows = {
        "source only": {"miou": 40.25, "iou": {"road": 80.5, "train": None}},
        "adapted": {"miou": 51.0, "iou": {"road": 90.06, "train": None}},
    }
    write_json(config.training_output / "report.json", rows)
    (config.training_output / "comparison.png").write_bytes(b"a picture")


def write_manifest(config: BenchmarksConfig) -> None:
    golden = BundleFile(file="golden.npy", sha256="a" * 64, num_bytes=1)
    compared = Parity(engine="onnxruntime", num_frames=20, label_agreement=0.999987, max_confidence_difference=1)
    integers = {
        "label_agreement": 0.9912,
        "logits_error": 0.0412,
        "rare_recall": 0.95,
        "miou": 61.5,
        "miou_change": -0.25,
    }
    keys = [feature.key for feature in describe(["road", "sky"])]
    manifest = Manifest(
        frame_height=128,
        frame_width=256,
        network_height=64,
        network_width=192,
        align_corners=True,
        input=InputConvention(channel_order="rgb", mean=(0, 0, 0), std=(1, 1, 1)),
        classes=(ClassInfo(name="road", colour=(1, 2, 3)), ClassInfo(name="sky", colour=(4, 5, 6))),
        artefacts=(
            Artefact(
                file="fp32.onnx",
                sha256="c" * 64,
                num_bytes=46_180_000,
                format="onnx",
                precision="fp32",
                parity=(compared,),
            ),
            Artefact(
                file="int8-cpu.onnx",
                sha256="f" * 64,
                num_bytes=11_900_000,
                format="onnx",
                precision="int8",
                parity=(
                    compared.model_copy(update=integers),
                    compared.model_copy(update={**integers, "engine": "openvino", "miou_change": 0.125}),
                ),
                low_precision_share=0.9876,
                quantization=Quantization(
                    scheme="u8s8",
                    range_method="entropy",
                    calibration_sha256="b" * 64,
                    num_calibration_frames=32,
                    float_layers=("network.conv1", "network.classifier.0"),
                    trained_iterations=200,
                ),
            ),
            Artefact(
                file="fp32.engine",
                sha256="d" * 64,
                num_bytes=1_000_000,
                format="tensorrt",
                precision="fp32",
                not_run="no GPU | here",
            ),
        ),
        golden=Golden(frames=golden, labels=golden, num_frames=2),
        reference=reference_of(np.zeros((1, len(keys)), dtype=np.float32), keys),
        provenance={"checkpoint_sha256": "e" * 64},
    )
    write_json(config.bundle / "manifest.json", manifest.model_dump(mode="json"))


def contender(name: str, p50: float) -> Contender:
    percentiles = {"p50": p50, "p90": 13.5, "p95": 14.25, "p99": None, "p99.9": None}
    return Contender(
        name=name,
        load_ms=100.5,
        first_inference_ms=30.25,
        percentiles_ms=percentiles,
        max_ms=99.0,
        max_query=3,
        samples_ns=(1, 2),
    )


def write_latency(config: BenchmarksConfig) -> None:
    document = LatencyDocument(
        created_unix_s=86_400,
        scenario="single stream",
        ours=contender("bundle", 12.5),
        peer=contender("PyTorch", 25.0),
        speedup_p50=2.0,
        speedup_interval=(1.75, 2.25),
        label_agreement=0.99999,
        num_compared=30,
        num_queries=150,
        manifest_sha256=sha256_of(config.bundle / "manifest.json"),
        checkpoint_sha256="e" * 64,
        frames=("a", "b"),
        environment=Environment(
            cpu="Some CPU @ 2 GHz",
            cores=4,
            threads=2,
            governor=None,
            load_average=0.5,
            system="Linux",
            python="3.11",
            numpy="2.0",
            torch="2.11",
            onnxruntime="1.22",
            revision=None,
        ),
        config={},
    )
    write_json(config.output / "latency.json", document.model_dump(mode="json"))


def page(config: BenchmarksConfig, overrides: tuple[str, ...] = ()) -> str:
    write_report(config, RUN_FILE, overrides)
    return (config.output / "report.md").read_text()


def test_page_has_every_figure_of_the_documents(config: BenchmarksConfig) -> None:
    write_accuracy(config)
    write_manifest(config)
    write_latency(config)
    lines = page(config).splitlines()
    assert "| class | source only | adapted |" in lines
    assert "| road | 80.5 | 90.1 |" in lines
    assert "| train | - | - |" in lines
    assert "| **mean** | **40.2** | **51.0** |" in lines
    assert (
        "| file | precision | MB | engine | frames compared | label agreement | confidence off by at most | "
        "logits' error | rare-class recall | mIoU | change | low precision | SHA-256 |"
    ) in lines
    start, end = "| fp32.onnx | fp32 | 46.2 | onnxruntime | 20 | 0.999987 | 1 |", "| - | `cccccccccccc` |"
    assert f"{start} - | - | - | - {end}" in lines
    integers = "20 | 0.991200 | 1 | 0.04120 | 0.9500 | 61.50"
    start, end = "| int8-cpu.onnx | int8 | 11.9", "98.8% | `ffffffffffff` |"
    assert f"{start} | onnxruntime | {integers} | -0.25 | {end}" in lines
    assert f"{start} | openvino | {integers} | +0.12 | {end}" in lines
    absent = " | ".join("-" * 8)
    assert rf"| fp32.engine | fp32 | 1.0 | not run: no GPU \| here | {absent} | `dddddddddddd` |" in lines
    assert (
        "- int8-cpu.onnx: u8s8, ranges by entropy on 32 frames; 200 iterations of training; in float: "
        "`network.conv1`, `network.classifier.0`"
    ) in lines
    assert "| milliseconds | p50 | p90 | p95 | p99 | p99.9 | max | load | first frame |" in lines
    assert "| bundle | 12.50 | 13.50 | 14.25 | - | - | 99.00 | 100.50 | 30.25 |" in lines
    assert "| PyTorch | 25.00 | 13.50 | 14.25 | - | - | 99.00 | 100.50 | 30.25 |" in lines
    assert "Too few queries for p99 (662), p99.9 (6636); the number needed is in brackets." in lines
    assert "| cpu | Some CPU @ 2 GHz |" in lines
    text = "\n".join(lines)
    assert "Frames of 128 x 256 pixels (height x width), seen by the network at 64 x 192; 2 classes" in text
    assert "**2.00** times as fast as the peer's (95 % bootstrap interval 1.75 to 2.25" in text
    assert "Labels agree on 99.9990% of the pixels of 30 timed queries" in text
    assert "150 queries of each, taking turns, over 2 frames; no sample dropped; 1970-01-02 00:00 UTC." in text
    assert f'"checkpoint_sha256": "{"e" * 64}"' in text
    assert "another bundle" not in text
    assert "governor" not in text


def test_pictures_and_documents_are_linked_from_the_page(config: BenchmarksConfig) -> None:
    write_accuracy(config)
    text = page(config)
    assert "](../training/comparison.png)" in text
    assert "[report.json](../training/report.json)" in text
    assert "preview.png" not in text


@pytest.mark.parametrize(
    ("write", "present", "commands"),
    [
        (write_accuracy, "accuracy", ["export", "bench"]),
        (write_manifest, "bundle", ["adapt", "bench"]),
        (lambda config: None, None, ["adapt", "export", "bench"]),
    ],
)
def test_missing_parts_say_which_command_makes_them(
    config: BenchmarksConfig, write: Callable[[BenchmarksConfig], None], present: str | None, commands: list[str]
) -> None:
    write(config)
    figures = write_report(config, RUN_FILE, ())
    text = Path(figures["report"]).read_text()
    told = [line for line in text.splitlines() if line.startswith("Not there yet")]
    assert told == [f"Not there yet: `make {target} CONFIG=configs/run.yaml` makes it." for target in commands]
    assert figures["present"] == ([] if present is None else [present])
    assert len(figures["missing"]) == len(commands)


def test_page_ends_with_commands_whose_overrides_name_their_section(config: BenchmarksConfig) -> None:
    text = page(config, ("training.seed=1", "output=a b"))
    settings = """SET='--set training.seed=1 --set '"'"'benchmarks.output=a b'"'"''"""
    commands = [
        f"make {target} CONFIG=configs/run.yaml {settings}" for target in ("adapt", "export", "bench", "report")
    ]
    assert text.endswith("\n".join(["```sh", *commands, "```"]) + "\n")


def test_column_without_a_figure_is_left_out(config: BenchmarksConfig) -> None:
    write_manifest(config)
    path = config.bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["artefacts"] = manifest["artefacts"][:1]
    path.write_text(json.dumps(manifest))
    lines = page(config).splitlines()
    assert "| fp32.onnx | fp32 | 46.2 | onnxruntime | 20 | 0.999987 | 1 | `cccccccccccc` |" in lines
    assert not [line for line in lines if "mIoU |" in line or line.startswith("- int8")]


def test_latency_of_an_older_bundle_is_marked(config: BenchmarksConfig) -> None:
    write_manifest(config)
    write_latency(config)
    assert "Measured on another bundle" not in page(config)
    with (config.bundle / "manifest.json").open("a") as file:
        file.write("\n")
    assert "**Measured on another bundle than" in page(config)


@pytest.mark.parametrize(
    ("write", "name", "error", "message"),
    [
        (write_accuracy, "training/report.json", DataError, r"report\.json is damaged.*run `make adapt` again"),
        (write_manifest, "bundle/manifest.json", BundleError, r"manifest\.json is damaged at its start"),
        (write_latency, "output/latency.json", DataError, r"latency\.json is damaged.*run `make bench` again"),
    ],
)
def test_damaged_document_is_named(
    config: BenchmarksConfig,
    write: Callable[[BenchmarksConfig], None],
    name: str,
    error: type[Exception],
    message: str,
) -> None:
    write_manifest(config)
    write(config)
    path = config.output.parent / name
    path.write_text(path.read_text()[:-20])
    with pytest.raises(error, match=message):
        write_report(config, RUN_FILE, ())
    assert not (config.output / "report.md").exists()


def test_latency_of_another_schema_version_is_refused(config: BenchmarksConfig) -> None:
    write_manifest(config)
    write_latency(config)
    path = config.output / "latency.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    with pytest.raises(DataError, match=r"latency\.json is damaged or of another version at schema_version"):
        write_report(config, RUN_FILE, ())


def test_command_prints_the_path_as_its_last_line(
    config: BenchmarksConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = tmp_path / "run.yaml"
    run_file.write_text(yaml.safe_dump({"benchmarks": config.model_dump(mode="json")}))
    assert main(["report", str(run_file), "--set", "training_output=null"]) == 0
    figures: Any = json.loads(capsys.readouterr().out.splitlines()[-1])
    report = config.output / "report.md"
    assert figures == {"report": str(report), "present": [], "missing": ["accuracy", "bundle", "latency"]}
    assert "`make adapt " in report.read_text()
    assert json.loads((config.output / "report.config.json").read_text())["training_output"] is None
