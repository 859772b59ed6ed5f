import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.bundle import export_bundle, gates_folder
from export.bundle_folder import replacing_bundle
from export.config import ExportConfig
from export.frozen import freeze
from runtime.bundle.opening import read_manifest
from runtime.drift.features import features_of
from runtime.drift.reference import reference_of
from runtime.errors import ConfigError, DataError, GateError
from runtime.files import sha256_of
from runtime.images import read_image
from runtime.segmenter import Segmenter

FRAME_HW = (64, 96)
Frames = NDArray[np.uint8]
MakeConfig = Callable[..., ExportConfig]
MakeNetwork = Callable[..., Path]


def assert_served_as_by_pytorch(config: ExportConfig, frames: Frames) -> None:
    network = freeze(config, FRAME_HW).network
    with torch.inference_mode():
        labels, confidence = (maps.numpy() for maps in network(torch.from_numpy(frames)))
    assert len(np.unique(labels)) >= 5
    with Segmenter.open(config.bundle) as segmenter:
        for frame, expected_labels, expected_confidence in zip(frames, labels, confidence, strict=True):
            result = segmenter.segment(frame)
            assert np.mean(result.labels == expected_labels) >= 0.9999
            assert np.abs(result.confidence.astype(int) - expected_confidence).max() <= 2


def old_bundle(parent: Path) -> Path:
    bundle = parent / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("old")
    return bundle


def interrupted_export(bundle: Path) -> None:
    with replacing_bundle(bundle) as folder:
        (folder / "fp32.onnx").write_text("half")
        raise KeyboardInterrupt


def test_bundle_holds_what_was_asked_for_and_every_artefact_passed(exported: ExportConfig) -> None:
    names = ["fp32.onnx", "fp32.torchscript", "golden_frames.npy", "golden_labels.npy", "manifest.json"]
    assert sorted(path.name for path in exported.bundle.iterdir()) == names
    assert sorted(exported.bundle.parent.iterdir()) == [exported.bundle, gates_folder(exported.bundle)]
    manifest = read_manifest(exported.bundle)
    assert [artefact.format for artefact in manifest.artefacts] == ["onnx", "torchscript"]
    for artefact in manifest.artefacts:
        assert artefact.golden_agreement is not None
        assert artefact.golden_agreement >= 0.9999
        assert artefact.parity
        for parity in artefact.parity:
            assert parity.num_frames == 4
            assert parity.label_agreement >= 0.9999
            assert parity.max_confidence_difference <= 2


def test_manifest_says_how_the_network_is_fed_and_where_it_comes_from(exported: ExportConfig) -> None:
    manifest = read_manifest(exported.bundle)
    assert manifest.frame_hw == FRAME_HW
    assert (manifest.network_height, manifest.network_width) == FRAME_HW
    assert (manifest.input.channel_order, manifest.input.mean[0]) == ("rgb", 123.675)
    assert (len(manifest.classes), manifest.classes[0].name, manifest.classes[0].colour) == (
        19,
        "road",
        (128, 64, 128),
    )
    origin = manifest.provenance
    assert origin["checkpoint_sha256"] == sha256_of(exported.checkpoint)
    assert origin["training"] == {"seed": 7}
    assert {"python", "torch", "onnx", "onnxruntime"} <= origin["versions"].keys()
    assert ExportConfig.model_validate({**origin["export"], "bundle": exported.bundle}) == exported


def test_reference_is_what_the_runtime_sees_on_the_same_frames(exported: ExportConfig, frames_folder: Path) -> None:
    manifest = read_manifest(exported.bundle)
    rows = []
    with Segmenter.open(exported.bundle) as segmenter:
        for path in sorted(frames_folder.iterdir()):
            frame = read_image(path)
            found = segmenter.segment(frame)
            rows.append(features_of(frame, found.labels, found.confidence, 19))
    expected = reference_of(np.stack(rows), list(manifest.reference.features))
    assert manifest.reference.num_frames == 4
    for key, told in manifest.reference.features.items():
        for name, value in told.model_dump().items():
            assert value == pytest.approx(getattr(expected.features[key], name), rel=0.01, abs=0.01), (key, name)


def test_runtime_serves_what_pytorch_says(exported: ExportConfig, some_frames: Frames) -> None:
    assert_served_as_by_pytorch(exported, some_frames)


def test_resizing_inside_the_graph_and_bgr_networks_are_served_alike(
    make_config: MakeConfig, make_network: MakeNetwork, some_frames: Frames
) -> None:
    checkpoint = make_network(input="bgr_caffe", network_hw=(32, 48))
    config = make_config(checkpoint=checkpoint, artefacts=["fp32.onnx"], num_golden_frames=1)
    manifest = export_bundle(config)
    assert (manifest.network_height, manifest.input.channel_order, manifest.golden.num_frames) == (32, "bgr", 1)
    assert_served_as_by_pytorch(config, some_frames)


def test_without_an_artefact_that_passes_there_is_no_bundle(make_config: MakeConfig, ill_conditioned: Path) -> None:
    config = make_config(checkpoint=ill_conditioned, artefacts=["fp32.onnx"])
    with pytest.raises(GateError, match=r"no artefact passed, so no bundle was written"):
        export_bundle(config)
    gates = gates_folder(config.bundle)
    assert list(config.bundle.parent.iterdir()) == [gates]
    assert sorted(path.name for path in gates.iterdir()) == ["fp32.onnx.png", "gates.json", "gates.md"]


def test_artefact_that_misses_its_budget_is_left_out_and_the_others_are_written(make_config: MakeConfig) -> None:
    budgets = {"fp16": {"max_logits_error": 1e-9}}
    config = make_config(artefacts=["fp32.onnx", "fp16.onnx", "fp32-logits.onnx"], budgets=budgets)
    manifest = export_bundle(config)
    assert [artefact.file for artefact in manifest.artefacts] == ["fp32.onnx", "fp32-logits.onnx"]
    assert not (config.bundle / "fp16.onnx").exists()
    entries = {entry["file"]: entry for entry in json.loads((gates_folder(config.bundle) / "gates.json").read_text())}
    assert {name: entry["verdict"] for name, entry in entries.items()} == {
        "fp32.onnx": "kept",
        "fp32-logits.onnx": "kept",
        "fp16.onnx": "refused",
    }
    assert "logits" in entries["fp16.onnx"]["problems"][0]


def test_forms_that_others_are_made_from_are_made_but_not_in_the_bundle(make_config: MakeConfig) -> None:
    config = make_config(artefacts=["fp32-logits.onnx"])
    assert [artefact.file for artefact in export_bundle(config).artefacts] == ["fp32-logits.onnx"]
    assert not (config.bundle / "fp32.onnx").exists()


def test_every_precision_in_one_bundle(make_config: MakeConfig, many_frames_folder: Path) -> None:
    names = (
        "fp32.onnx",
        "fp16.onnx",
        "int8-cpu.onnx",
        "int8-cpu-logits.onnx",
        "int8-gpu.onnx",
        "fp32.pt2",
        "int8.engine",
    )
    loose = {"min_label_agreement": 0.5, "max_logits_error": 1.0, "min_class_recall": 0.0, "min_rare_recall": 0.0}
    config = make_config(
        artefacts=names,
        frames={"layout": "folder", "root": many_frames_folder},
        int8={"num_calibration_frames": 4, "num_choice_frames": 2, "range_method": "minmax"},
        budgets={"fp16": loose, "int8": loose},
    )
    manifest = export_bundle(config)
    assert tuple(artefact.file for artefact in manifest.artefacts) == names
    found = {artefact.file: artefact for artefact in manifest.artefacts}
    assert found["int8.engine"].not_run is not None
    quantization = found["int8-cpu.onnx"].quantization
    assert quantization is not None
    assert (quantization.scheme, quantization.num_calibration_frames) == ("u8s8", 4)
    assert found["int8-cpu-logits.onnx"].quantization == quantization
    assert found["fp16.onnx"].low_precision_share == 1.0


def test_labelled_frames_that_integers_are_chosen_on_are_refused_before_they_are(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    streets = {"layout": "streets", "domain": "target", "height": FRAME_HW[0], "width": FRAME_HW[1]}
    config = make_config(
        bundle=tmp_path / "bundle",
        frames={**streets, "first": 0, "count": 7},
        test={**streets, "first": 1, "count": 2},
        num_gate_frames=3,
        artefacts=["int8-cpu.onnx"],
        int8={"num_calibration_frames": 2, "num_choice_frames": 2},
    )
    with pytest.raises(DataError, match=r"all 2 frames of export\.test are frames of export\.frames that INT8 is"):
        export_bundle(config)
    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_export(tmp_path / "new" / "bundle")
    assert list((tmp_path / "new").iterdir()) == []


def test_failure_in_the_middle_leaves_the_old_bundle(tmp_path: Path) -> None:
    bundle = old_bundle(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        interrupted_export(bundle)
    assert [path.name for path in bundle.iterdir()] == ["manifest.json"]
    assert list(tmp_path.iterdir()) == [bundle]


def test_new_bundle_replaces_the_old_one_wholly(tmp_path: Path) -> None:
    bundle = old_bundle(tmp_path)
    with replacing_bundle(bundle) as folder:
        (folder / "other.json").write_text(json.dumps(1))
        assert (bundle / "manifest.json").read_text() == "old"
    assert [path.name for path in bundle.iterdir()] == ["other.json"]
    assert list(tmp_path.iterdir()) == [bundle]


def test_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.jpg").write_text("dear to someone")
    with (
        pytest.raises(ConfigError, match=r"holds 'a\.jpg' and is not a bundle"),
        replacing_bundle(tmp_path / "photographs"),
    ):
        pytest.fail("must not start")
    assert (tmp_path / "photographs" / "a.jpg").exists()


def test_bundle_with_folders_in_it_is_not_replaced(tmp_path: Path) -> None:
    bundle = old_bundle(tmp_path)
    (bundle / "notes").mkdir()
    with pytest.raises(ConfigError, match="is not a bundle"), replacing_bundle(bundle):
        pytest.fail("must not start")


def test_file_in_the_place_of_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("")
    with pytest.raises(ConfigError, match="is a file; choose a folder"), replacing_bundle(tmp_path / "bundle"):
        pytest.fail("must not start")


def test_place_that_cannot_be_written_is_refused_before_any_work(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = make_config(checkpoint="never read", bundle=tmp_path / "file" / "runs" / "bundle")
    with pytest.raises(ConfigError, match="cannot be written"):
        export_bundle(config)
