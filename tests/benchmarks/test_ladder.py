import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.accuracy import PixelCounts, miou_of
from benchmarks.config import BenchmarksConfig
from benchmarks.contenders import load_frozen
from benchmarks.ladder import measure_ladder
from benchmarks.rungs import Engines, rungs_of
from runtime.bundle.opening import read_manifest
from runtime.errors import ConfigError, FrameError, GateError
from runtime.files import sha256_of
from tests.benchmarks.command_run import CommandRun, Exported, run_command, short_run, write_run_file
from training.checkpoint import load_network, save_network
from training.data.config import FolderConfig, StreetsConfig

HAS_OPENVINO = find_spec("openvino") is not None


@pytest.fixture
def config(exported: Exported, street_frames: StreetsConfig, tmp_path: Path) -> BenchmarksConfig:
    return short_run(exported, street_frames, tmp_path / "output", num_rounds=2)


def test_the_reference_sees_what_the_bundle_sees(config: BenchmarksConfig) -> None:
    manifest = read_manifest(config.bundle)
    smaller = manifest.model_copy(update={"network_height": 32, "network_width": 48})
    for given in (manifest, smaller):
        frozen = load_frozen(config, given)
        expected = (given.network_height, given.network_width)
        assert frozen.network.network_hw == frozen.spec.network_hw == expected


@pytest.fixture(scope="module")
def measured(
    exported_once: Exported, street_frames: StreetsConfig, tmp_path_factory: pytest.TempPathFactory
) -> CommandRun:
    folder = tmp_path_factory.mktemp("measured")
    test = street_frames.model_copy(update={"first": 1000, "count": 2})
    config = short_run(exported_once, street_frames, folder / "output", test=test, num_rounds=5)
    return run_command("ladder", config, folder)


def test_every_artefact_has_a_row_for_each_engine_that_runs_it(measured: CommandRun) -> None:
    found = [(row["artefact"], row["engine"]) for row in measured.document["rows"]]
    bf16 = [row for row in found if row[1] == "OpenVINO bf16"]
    assert [row for row in found if not row[1].startswith("OpenVINO")] == [
        (None, "PyTorch eager fp32"),
        ("fp32.onnx", "ONNX Runtime"),
        ("fp32-logits.onnx", "ONNX Runtime"),
        ("fp32.torchscript", "PyTorch"),
        ("fp32.engine", "TensorRT-RTX"),
    ]
    assert [row for row in found if row[1] == "OpenVINO fp32"] == (
        [("fp32.onnx", "OpenVINO fp32"), ("fp32-logits.onnx", "OpenVINO fp32")] if HAS_OPENVINO else []
    )
    assert bf16 in ([], [("fp32.onnx", "OpenVINO bf16"), ("fp32-logits.onnx", "OpenVINO bf16")])
    assert bool(measured.document["notes"]) == (not bf16)


def test_figures_of_a_row_follow_from_its_samples(measured: CommandRun) -> None:
    fp32, logits = (measured.row(artefact=name, engine="ONNX Runtime") for name in ("fp32.onnx", "fp32-logits.onnx"))
    for row in (fp32, logits):
        assert len(row["samples_ns"]) == 5
        assert row["median_ms"] == sorted(row["samples_ns"])[2] / 1e6
        assert row["p90_ms"] is None
        assert row["label_agreement"] >= 0.9999
        assert row["recorded_agreement"] == 0.98
    assert fp32["faster_than_fp32"]["value"] == fp32["faster_than_onnxruntime"]["value"] == 1.0
    assert logits["faster_than_fp32"]["value"] == pytest.approx(fp32["median_ms"] / logits["median_ms"])
    torchscript, reference = (
        measured.row(artefact="fp32.torchscript", engine="PyTorch"),
        measured.row(artefact=None, engine="PyTorch eager fp32"),
    )
    assert torchscript["faster_than_fp32"]["value"] == pytest.approx(reference["median_ms"] / torchscript["median_ms"])
    assert torchscript["faster_than_onnxruntime"]["value"] == pytest.approx(
        fp32["median_ms"] / torchscript["median_ms"]
    )
    assert fp32["num_bytes"] == (measured.config.bundle / "fp32.onnx").stat().st_size
    assert measured.document["num_compared"] == 3


def test_miou_is_that_of_labelled_frames(measured: CommandRun) -> None:
    reference = measured.row(artefact=None, engine="PyTorch eager fp32")
    assert 0 < reference["miou"] < 100
    assert reference["miou_change"] is None
    for name in ("fp32.onnx", "fp32-logits.onnx"):
        row = measured.row(artefact=name, engine="ONNX Runtime")
        assert row["miou_change"] == row["miou"] - reference["miou"]
        assert abs(row["miou_change"]) < 0.05
        assert miou_of(PixelCounts(row["class_pixels"])) == row["miou"]
    assert measured.document["num_test_frames"] == 2


def test_engine_of_another_machine_is_listed_with_its_size_and_the_reason(measured: CommandRun) -> None:
    row = measured.row(artefact="fp32.engine", engine="TensorRT-RTX")
    assert row["num_bytes"] == 35
    assert row["not_run"] is not None
    assert row["median_ms"] is None
    assert row["samples_ns"] == []
    assert "fp32.engine in TensorRT-RTX" not in measured.figures["rows"]


def test_page_and_terminal_show_the_table(measured: CommandRun) -> None:
    page = Path(measured.figures["page"]).read_text()
    fp32 = measured.row(artefact="fp32.onnx", engine="ONNX Runtime")
    start = f"| fp32.onnx | ONNX Runtime | {fp32['num_bytes'] / 1e6:.1f} | {fp32['label_agreement']:.4%} |"
    assert start in page
    assert f"| {fp32['median_ms']:.2f} | 1.00 | 1.00 |  |" in page
    assert "| not run: " in page
    assert "p90 ms" not in page
    assert "(ladder.json)" in page
    assert f"{fp32['miou']:.2f}" in measured.told
    assert "fp32-logits.onnx" in measured.told
    assert set(measured.figures) == {"rows", "document", "page"}
    assert measured.figures["rows"]["fp32.onnx in ONNX Runtime"]["median_ms"] == round(fp32["median_ms"], 3)


def test_document_says_where_and_on_what_it_was_measured(measured: CommandRun) -> None:
    config, document = measured.config, measured.document
    assert document["manifest_sha256"] == sha256_of(config.bundle / "manifest.json")
    assert document["checkpoint_sha256"] == sha256_of(config.checkpoint)
    assert document["frames"] == [f"streets-target-{seed:06d}" for seed in range(3)]
    assert document["environment"]["threads"] == 1
    assert (document["environment"]["openvino"] is not None) == HAS_OPENVINO


def test_artefacts_with_other_labels_have_no_score_and_the_others_do(
    config: BenchmarksConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keep_only(config.bundle, "fp32.onnx", "fp32.torchscript")
    rotate_classes(config.checkpoint)
    edit_provenance(config.bundle, checkpoint_sha256=sha256_of(config.checkpoint))
    run_file = write_run_file(tmp_path / "run.yaml", config)
    threads = torch.get_num_threads()
    assert main(["ladder", str(run_file)]) == 3
    out, err = capsys.readouterr()
    assert "No score for fp32.torchscript in PyTorch: label agreement 0." in err
    assert "expected at least 0.970000 (the manifest has 0.980000)" in err
    assert "error: no score for fp32.onnx in ONNX Runtime, " in err
    figures = json.loads(out.splitlines()[-1])
    assert list(figures["rows"]) == ["checkpoint in PyTorch eager fp32"]
    rows = json.loads(Path(figures["document"]).read_text())["rows"]
    for row in rows[1:]:
        assert row["refusal"] is not None
        assert row["label_agreement"] < 0.9
        assert (row["median_ms"], row["miou"], row["faster_than_fp32"], row["samples_ns"]) == (None, None, None, [])
    page = Path(figures["page"]).read_text()
    assert page.count("| no score |") == len(rows) - 1
    assert "- No score for fp32.onnx in ONNX Runtime: label agreement" in page
    assert torch.get_num_threads() == threads


def test_engine_that_refuses_an_artefact_does_not_stop_the_others(config: BenchmarksConfig) -> None:
    keep_only(config.bundle, "fp32.onnx", "fp32.torchscript")
    replace_file(config.bundle, "fp32.onnx", b"not a network")
    with pytest.raises(GateError, match=r"no score for fp32\.onnx in ONNX Runtime") as refused:
        measure_ladder(config)
    assert "ONNX Runtime cannot open" in (config.output / "ladder.md").read_text()
    assert refused.value.figures is not None
    assert "fp32.torchscript in PyTorch" in refused.value.figures["rows"]


@pytest.mark.parametrize(
    ("recorded", "precision", "floor"), [(1.0, "fp32", 0.9999), (0.9, "fp32", 0.85), (0.996, "fp16", 0.991)]
)
def test_other_frames_than_the_gates_may_differ_by_half_as_much_again(
    exported_once: Exported, recorded: float, precision: str, floor: float
) -> None:
    manifest = read_manifest(exported_once.bundle)
    (torchscript,) = (found for found in manifest.artefacts if found.format == "torchscript")
    parity = torchscript.parity[0].model_copy(update={"label_agreement": recorded})
    changed = torchscript.model_copy(update={"parity": (parity,), "precision": precision})
    (rung,) = rungs_of(manifest.model_copy(update={"artefacts": (changed,)}), Engines((), ()))
    assert rung.recorded == recorded
    assert rung.floor == pytest.approx(floor)


def test_artefact_that_never_ran_must_do_what_export_asks_of_its_precision(exported_once: Exported) -> None:
    rungs = rungs_of(read_manifest(exported_once.bundle), Engines((), ()))
    (engine,) = (rung for rung in rungs if rung.artefact.format == "tensorrt")
    assert (engine.recorded, engine.floor) == (None, 0.9999)


def test_without_labels_there_is_no_miou(config: BenchmarksConfig) -> None:
    keep_only(config.bundle, "fp32.torchscript")
    measure_ladder(config)
    assert "mIoU" not in (config.output / "ladder.md").read_text()


def test_frames_that_have_no_labels_are_refused_as_test_frames(config: BenchmarksConfig, tmp_path: Path) -> None:
    test = FolderConfig(layout="folder", root=tmp_path)
    with pytest.raises(ConfigError, match=r"layout folder .* has no labels"):
        measure_ladder(config.model_copy(update={"test": test}))


def test_test_frames_of_another_size_are_refused_by_name(config: BenchmarksConfig) -> None:
    assert isinstance(config.frames, StreetsConfig)
    keep_only(config.bundle, "fp32.torchscript")
    taller = config.frames.model_copy(update={"height": 72})
    with pytest.raises(FrameError, match=r"streets-target-000000 has shape \(72, 96, 3\).*\(64, 96, 3\)"):
        measure_ladder(config.model_copy(update={"test": taller}))


def keep_only(bundle: Path, *files: str) -> None:
    manifest = read(bundle)
    manifest["artefacts"] = [artefact for artefact in manifest["artefacts"] if artefact["file"] in files]
    write(bundle, manifest)


def edit_provenance(bundle: Path, **changes: str) -> None:
    manifest = read(bundle)
    manifest["provenance"].update(changes)
    write(bundle, manifest)


def replace_file(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)
    manifest = read(bundle)
    (artefact,) = (artefact for artefact in manifest["artefacts"] if artefact["file"] == name)
    artefact.update(sha256=sha256_of(bundle / name), num_bytes=len(content))
    write(bundle, manifest)


def read(bundle: Path) -> dict[str, Any]:
    return dict(json.loads((bundle / "manifest.json").read_text()))


def write(bundle: Path, manifest: dict[str, Any]) -> None:
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def rotate_classes(checkpoint: Path) -> None:
    """Replaces the network by one that calls each class by the next class's name."""
    network, spec = load_network(checkpoint)
    with torch.no_grad():
        for parameter in network.get_submodule(network.head).parameters():
            parameter.copy_(parameter.roll(1, dims=0))
    save_network(checkpoint, network, spec)
