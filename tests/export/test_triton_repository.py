"""What Triton itself reads: its own schema, in `tritonclient`, parses every configuration that is written here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.triton_repository import TritonModel, write_triton_repository
from runtime.bundle.manifest import (
    MANIFEST_NAME,
    Artefact,
    BundleFile,
    EngineInfo,
    Golden,
    InputConvention,
    Manifest,
    Parity,
    Quantization,
)
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.errors import BundleError, ConfigError
from runtime.files import sha256_of, write_json
from runtime.labels import ClassInfo

FRAME_HW = (16, 24)
MakeBundle = Callable[..., Path]
PARITY = Parity(engine="ONNX Runtime, CPU", num_frames=3, label_agreement=1.0, max_confidence_difference=0)
NOT_RUN: dict[str, Any] = {"parity": (), "not_run": "no CUDA device on the exporting machine"}
QUANTIZED = Quantization(scheme="u8s8", range_method="minmax", calibration_sha256="0" * 64, num_calibration_frames=8)
ENGINE = EngineInfo(
    library="tensorrt",
    version="10.16.1.11",
    compute_capabilities=("8.6",),
    onnx_sha256="0" * 64,
    profile={"frame": (1, *FRAME_HW, 3)},
    workspace_mib=1,
    fingerprint="0" * 64,
)


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Writes a bundle whose artefacts are a few bytes each: Triton's files do not depend on what is in them."""

    def make(class_names: tuple[str, ...] = ("road", 'the "sky"', "Straße"), **artefacts: dict[str, Any]) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        described = []
        for file, values in (artefacts or {"fp32_onnx": {}}).items():
            path = folder / file.replace("_", ".").replace("--", "-")
            path.write_bytes(f"what is in {path.name}".encode())
            defaults = {"format": "onnx", "precision": "fp32", "parity": (PARITY,)}
            described.append(Artefact.model_validate({**_entry(path), **defaults, **values}))
        frames = np.random.default_rng(0).integers(0, 256, (2, *FRAME_HW, 3), dtype=np.uint8)
        np.save(folder / "golden_frames.npy", frames)
        np.save(folder / "golden_labels.npy", frames[..., 0])
        keys = [feature.key for feature in describe(class_names)]
        manifest = Manifest(
            frame_height=FRAME_HW[0],
            frame_width=FRAME_HW[1],
            network_height=FRAME_HW[0],
            network_width=FRAME_HW[1],
            align_corners=True,
            input=InputConvention(channel_order="rgb", mean=(0, 0, 0), std=(1, 1, 1)),
            classes=tuple(ClassInfo(name=name, colour=(1, 2, 3)) for name in class_names),
            artefacts=tuple(described),
            golden=Golden(
                frames=BundleFile(**_entry(folder / "golden_frames.npy")),
                labels=BundleFile(**_entry(folder / "golden_labels.npy")),
                num_frames=2,
            ),
            reference=reference_of(np.zeros((1, len(keys)), dtype=np.float32), keys),
            provenance={},
        )
        write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
        return folder

    return make


def _entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": sha256_of(path), "num_bytes": path.stat().st_size}


def read_config(model: Path) -> Any:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), schema.ModelConfig())


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_onnx_model_is_what_triton_reads(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle, folder = make_bundle(), tmp_path / "models"
    assert write_triton_repository(bundle, folder) == (TritonModel("fp32-onnx", "fp32.onnx", "onnxruntime_onnx"),)
    model = folder / "fp32-onnx"
    assert tree(folder) == [
        f"fp32-onnx/{name}" for name in ("1/model.onnx", "config.pbtxt", "labels.txt", "warmup/frame")
    ]
    config = read_config(model)
    assert (config.name, config.platform, config.max_batch_size) == (model.name, "onnxruntime_onnx", 0)
    schema = type(config).DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name
    tensors = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in (*config.input, *config.output)}
    uint8 = schema["TYPE_UINT8"].number
    assert tensors == {
        "frame": (uint8, [1, 16, 24, 3]),
        "labels": (uint8, [1, 16, 24]),
        "confidence": (uint8, [1, 16, 24]),
    }
    assert [output.label_filename for output in config.output] == ["labels.txt", ""]
    assert (model / "labels.txt").read_text(encoding="utf-8").splitlines() == ["road", 'the "sky"', "Straße"]
    assert config.parameters["classes"].string_value == '0 road, 1 the "sky", 2 Straße'
    assert config.parameters["artefact_sha256"].string_value == sha256_of(model / "1" / "model.onnx")
    assert config.parameters["bundle_manifest_sha256"].string_value == sha256_of(bundle / MANIFEST_NAME)
    assert not config.HasField("dynamic_batching")
    assert list(config.version_policy.specific.versions) == [1]


def test_warm_up_is_the_first_golden_frame(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    write_triton_repository(bundle, tmp_path / "models")
    (warmup,) = read_config(tmp_path / "models" / "fp32-onnx").model_warmup
    # Triton skips a sample of batch size 0.
    assert (warmup.batch_size, warmup.count) == (1, 3)
    assert warmup.inputs["frame"].input_data_file == "frame"
    frame = np.frombuffer((tmp_path / "models/fp32-onnx/warmup/frame").read_bytes(), dtype=np.uint8)
    expected = np.load(bundle / "golden_frames.npy")[0]
    np.testing.assert_array_equal(frame.reshape(warmup.inputs["frame"].dims), expected[np.newaxis])


def test_engine_is_a_plan_for_gpus_and_names_its_tensorrt(make_bundle: MakeBundle, tmp_path: Path) -> None:
    engine = ENGINE.model_copy(update={"version_compatible": True})
    bundle = make_bundle(fp32_onnx={}, fp16_engine={"format": "tensorrt", "precision": "fp16", "engine": engine})
    write_triton_repository(bundle, tmp_path / "models", artefacts=["fp16.engine", "fp32.onnx"], instances=2)
    assert {entry.name for entry in (tmp_path / "models").iterdir()} == {"fp16-engine", "fp32-onnx"}
    model = tmp_path / "models" / "fp16-engine"
    config = read_config(model)
    (group,) = config.instance_group
    assert (config.platform, group.count, group.Kind.Name(group.kind)) == ("tensorrt_plan", 2, "KIND_GPU")
    assert (model / "1" / "model.plan").read_bytes() == b"what is in fp16.engine"
    assert config.parameters["tensorrt"].string_value == "10.16.1.11"
    assert "--backend-config=tensorrt,version-compatible=true" in (model / "config.pbtxt").read_text(encoding="utf-8")


def test_unsigned_integers_stay_on_the_cpu(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle(**{"int8-cpu_onnx": {"precision": "int8", "quantization": QUANTIZED}})
    write_triton_repository(bundle, tmp_path / "models")
    (group,) = read_config(tmp_path / "models" / "int8-cpu-onnx").instance_group
    assert group.Kind.Name(group.kind) == "KIND_CPU"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format": "pt2"}, "is of format pt2"),
        ({"tail": "logits"}, "ends in logits"),
        (NOT_RUN, r"was never compared with PyTorch \(no CUDA device"),
        (
            {"format": "tensorrt", "engine": ENGINE.model_copy(update={"library": "tensorrt_rtx"})},
            "is an engine of TensorRT-RTX",
        ),
    ],
)
def test_artefact_that_triton_cannot_serve_is_refused(
    make_bundle: MakeBundle, tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    bundle = make_bundle(other_file=values, fp32_onnx={})
    with pytest.raises(ConfigError, match=rf"^other\.file {reason}.*; Triton can serve fp32\.onnx$"):
        write_triton_repository(bundle, tmp_path / "models", artefacts=["other.file"])
    # Left to itself it takes one that it can.
    (model,) = write_triton_repository(bundle, tmp_path / "models")
    assert model.artefact == "fp32.onnx"


def test_bundle_without_anything_to_serve_says_why(make_bundle: MakeBundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can serve nothing of bundle .*: fp32\.pt2 is of format pt2, .*fp32\.onnx"):
        write_triton_repository(make_bundle(fp32_pt2={"format": "pt2"}), tmp_path / "models")


@pytest.mark.parametrize("names", [["fp64.onnx"], ["fp32.onnx", "fp32.onnx"]])
def test_wrong_choice_is_refused(make_bundle: MakeBundle, tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"has no artefact 'fp64\.onnx'; Triton can serve fp32\.onnx|at most once"):
        write_triton_repository(make_bundle(), tmp_path / "models", artefacts=names)
    with pytest.raises(ConfigError, match="instances=0: at least 1"):
        write_triton_repository(tmp_path / "bundle", tmp_path / "models", instances=0)


@pytest.mark.parametrize("file", ["fp32.onnx", "golden_frames.npy"])
def test_altered_bundle_leaves_the_old_repository(make_bundle: MakeBundle, tmp_path: Path, file: str) -> None:
    bundle, folder = make_bundle(), tmp_path / "models"
    write_triton_repository(bundle, folder)
    before = tree(folder)
    content = bytearray((bundle / file).read_bytes())
    content[-1] ^= 1
    (bundle / file).write_bytes(content)
    with pytest.raises(BundleError, match=f"was altered: {file}"):
        write_triton_repository(bundle, folder)
    assert tree(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "models"]


def test_repository_of_ours_is_replaced(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle, folder = make_bundle(fp32_onnx={}, fp16_onnx={"precision": "fp16"}), tmp_path / "models"
    write_triton_repository(bundle, folder)
    write_triton_repository(bundle, folder, artefacts=["fp16.onnx"])
    assert [path.name for path in folder.iterdir()] == ["fp16-onnx"]


@pytest.mark.parametrize("foreign", ["notes.txt", "fp32-onnx/2/model.onnx", "other/config.pbtxt"])
def test_what_someone_else_put_there_is_kept(make_bundle: MakeBundle, tmp_path: Path, foreign: str) -> None:
    bundle, folder = make_bundle(), tmp_path / "models"
    write_triton_repository(bundle, folder)
    (folder / foreign).parent.mkdir(exist_ok=True)
    (folder / foreign).write_text("mine")
    with pytest.raises(ConfigError, match="was not written from a bundle, so it is not replaced"):
        write_triton_repository(bundle, folder)
    assert (folder / foreign).read_text() == "mine"
    with pytest.raises(ConfigError, match="is a file; choose a folder"):
        write_triton_repository(bundle, folder / foreign)
