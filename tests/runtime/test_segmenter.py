import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backends.config import CpuConfig, CudaConfig, OpenVinoConfig
from runtime.bundle.manifest import Quantization
from runtime.errors import BackendError, BundleError, FrameError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

ROOT = Path(__file__).parents[2]
Frame = NDArray[np.uint8]
MakeBundle = Callable[..., Path]
AddArtefact = Callable[..., None]


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes any attempt to load an engine fail with a BackendError."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def edit_manifest(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_labels_and_confidence_are_those_worked_by_hand(
    bundle: Path, striped_frame: Frame, striped_labels: Frame
) -> None:
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(striped_frame)
    np.testing.assert_array_equal(result.labels, striped_labels)
    np.testing.assert_array_equal(result.confidence, np.choose(striped_labels, [250, 200, 150]))
    assert result.labels.dtype == result.confidence.dtype == np.uint8


def test_each_frame_gets_its_own_labels(bundle: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)
    with Segmenter.open(bundle, RuntimeConfig(backend=CpuConfig(threads=1))) as segmenter:
        for frame in frames:
            np.testing.assert_array_equal(segmenter.segment(frame).labels, frame.argmax(axis=-1))


def test_mirrored_view_is_segmented_like_its_copy(bundle: Path, striped_frame: Frame, striped_labels: Frame) -> None:
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(striped_frame[:, ::-1])
    np.testing.assert_array_equal(result.labels, striped_labels[:, ::-1])


def test_results_live_in_one_read_only_buffer(bundle: Path, striped_frame: Frame) -> None:
    with Segmenter.open(bundle) as segmenter:
        first, second = segmenter.segment(striped_frame), segmenter.segment(striped_frame)
    assert np.shares_memory(first.labels, second.labels)
    assert not np.shares_memory(first.labels, first.confidence)
    with pytest.raises(ValueError, match="read-only"):
        first.labels[0, 0] = 1


def test_latency_is_the_sum_of_its_parts(bundle: Path, striped_frame: Frame) -> None:
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(striped_frame)
    assert result.infer_ns > 0
    assert result.latency_ns == result.copy_ns + result.infer_ns


def test_segmenter_says_what_serves_and_how_long_opening_took(bundle: Path) -> None:
    start_ns = time.perf_counter_ns()
    with Segmenter.open(bundle, RuntimeConfig(backend=CpuConfig(threads=1))) as segmenter:
        all_ns = time.perf_counter_ns() - start_ns
        assert list(segmenter.opening) == ["verify", "choose", "load", "warm_up", "golden"]
        assert all(stage_ns > 0 for stage_ns in segmenter.opening.values())
        assert sum(segmenter.opening.values()) <= all_ns
        assert segmenter.backend == CpuConfig(threads=1)
        assert segmenter.artefact == segmenter.manifest.artefacts[0]


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("file", ["fp32.onnx", "golden_frames.npy", "golden_labels.npy"])
def test_altered_file_is_refused_before_an_engine_is_loaded(bundle: Path, file: str) -> None:
    content = bytearray((bundle / file).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / file).write_bytes(content)
    with pytest.raises(BundleError, match=rf"was altered: {file}"):
        Segmenter.open(bundle)


@pytest.mark.usefixtures("no_engine")
def test_missing_engine_names_the_extra_to_install(bundle: Path) -> None:
    with pytest.raises(BackendError, match=r"pip install 'iapc\[cpu\]'"):
        Segmenter.open(bundle)
    with pytest.raises(BackendError, match=r"pip install 'iapc\[gpu\]'"):
        Segmenter.open(bundle, RuntimeConfig(backend=CudaConfig()))


def test_cuda_is_never_replaced_by_the_cpu(bundle: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendError, match=r"provider cuda was asked for, but .* CPUExecutionProvider"):
        Segmenter.open(bundle, RuntimeConfig(backend=CudaConfig()))


def test_missing_file_is_named(bundle: Path) -> None:
    (bundle / "golden_labels.npy").unlink()
    with pytest.raises(BundleError, match=r"golden_labels\.npy is missing"):
        Segmenter.open(bundle)


def test_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: manifest\.json cannot be read .*`make export`"):
        Segmenter.open(tmp_path)


def test_newer_schema_is_refused_with_both_versions(bundle: Path) -> None:
    edit_manifest(bundle, schema_version=4)
    with pytest.raises(BundleError, match="has schema version 4; this runtime reads version 3"):
        Segmenter.open(bundle)


def test_damaged_manifest_names_the_place(bundle: Path) -> None:
    edit_manifest(bundle, frame_height=0)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged at frame_height"):
        Segmenter.open(bundle)


def test_artefact_without_parity_is_refused_with_its_reason(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(parity=(), not_run="no engine on the exporting machine")
    with pytest.raises(
        BundleError, match=r"cannot serve fp32\.onnx: it was never compared .*no engine on the exporting machine"
    ):
        Segmenter.open(bundle)


def test_bundle_without_onnx_is_refused_with_what_it_holds(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"serves ONNX, and this is torchscript\. .* it serves none of its artefacts"):
        Segmenter.open(make_bundle(format="torchscript"))


def test_artefact_that_is_not_there_is_refused_with_those_that_are(
    bundle: Path, add_artefact: AddArtefact, logits_model: bytes
) -> None:
    add_artefact(bundle, "fp32-logits.onnx", logits_model, tail="logits")
    add_artefact(bundle, "bf16.onnx", b"1", precision="bf16")
    add_artefact(bundle, "fp32.pt2", b"2", format="pt2")
    with pytest.raises(BundleError) as refusal:
        Segmenter.open(bundle, RuntimeConfig(artefact="int8-cpu.onnx"))
    assert (
        "has no artefact int8-cpu.onnx. With backend.provider=cpu it serves fp32.onnx, fp32-logits.onnx (not "
        "bf16.onnx: ONNX Runtime has no bf16 convolution for CPUs; fp32.pt2: the backend serves ONNX, and this is "
        "pt2); set runtime.artefact to one that is served"
    ) in str(refusal.value)


@pytest.mark.parametrize(
    ("precision", "backend", "reason"),
    [
        ("bf16", CpuConfig(), "ONNX Runtime has no bf16 convolution"),
        ("bf16", OpenVinoConfig(), r"backend\.precision=fp32, set it to bf16"),
        ("fp16", OpenVinoConfig(), "OpenVINO does not compute in fp16"),
    ],
)
@pytest.mark.usefixtures("no_engine")
def test_artefact_is_refused_where_the_engine_computes_in_another_type(
    bundle: Path, add_artefact: AddArtefact, precision: str, backend: CpuConfig | OpenVinoConfig, reason: str
) -> None:
    add_artefact(bundle, "low.onnx", b"never opened", precision=precision)
    with pytest.raises(BundleError, match=rf"cannot serve low\.onnx: {reason}.*it serves fp32\.onnx;"):
        Segmenter.open(bundle, RuntimeConfig(artefact="low.onnx", backend=backend))


def test_logits_get_their_labels_on_the_host(
    bundle: Path, add_artefact: AddArtefact, logits_model: bytes, striped_frame: Frame, striped_labels: Frame
) -> None:
    add_artefact(bundle, "fp32-logits.onnx", logits_model, tail="logits")
    with Segmenter.open(bundle, RuntimeConfig(artefact="fp32-logits.onnx")) as segmenter:
        first, second = segmenter.segment(striped_frame[:, ::-1]), segmenter.segment(striped_frame)
    np.testing.assert_array_equal(second.labels, striped_labels)
    # exp(-150) at the least: every pixel is certain.
    assert (second.confidence == 255).all()
    assert np.shares_memory(first.labels, second.labels)
    assert not second.labels.flags.writeable


@pytest.mark.parametrize("align_corners", [False, True])
def test_logits_lie_on_the_frame_as_the_manifest_says(
    make_bundle: MakeBundle,
    add_artefact: AddArtefact,
    make_logits_network: Callable[..., bytes],
    striped_frame: Frame,
    align_corners: bool,
) -> None:
    # Nothing but the place of the borders depends on it: two classes, the second the larger the more green there is.
    weights = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32)
    network = make_logits_network(weights, stride=8)
    bundle = make_bundle(golden_labels=lambda labels: np.zeros_like(labels), golden_agreement=0.0)
    edit_manifest(bundle, align_corners=align_corners)
    add_artefact(bundle, "fp32-logits.onnx", network, tail="logits")
    with Segmenter.open(bundle, RuntimeConfig(artefact="fp32-logits.onnx")) as segmenter:
        labels = segmenter.segment(striped_frame).labels
    # Columns 0, 8, 16 give logits (250, 0), (0, 200), (0, 0): red ends where 250 (1 - t) = 200 t, t = 5/9. With
    # half-pixel centres logit k lies on pixel 8 k + 3.5, so at 3.5 + 8 t = 7.94; else on 11.5 k, so at 6.39.
    assert (labels[:, :12] == 0).sum(axis=1).tolist() == [7 if align_corners else 8] * 16


def test_logits_of_other_classes_are_refused(
    bundle: Path, add_artefact: AddArtefact, make_logits_network: Callable[..., bytes]
) -> None:
    add_artefact(bundle, "fp32-logits.onnx", make_logits_network(np.ones((4, 3), dtype=np.float32)), tail="logits")
    message = r"has tensors .*'logits': \('float32', \(1, 4, 16, 24\)\).*promises .*\(1, 3, 16, 24\)"
    with pytest.raises(BackendError, match=message):
        Segmenter.open(bundle, RuntimeConfig(artefact="fp32-logits.onnx"))


@pytest.mark.parametrize("backend", [CpuConfig(), OpenVinoConfig()])
def test_weights_outside_the_file_are_refused(
    make_bundle: MakeBundle,
    outside_weights_model: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: CpuConfig | OpenVinoConfig,
) -> None:
    if isinstance(backend, OpenVinoConfig):
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    # In the working folder both engines would find them.
    np.eye(3, dtype=np.float32).tofile(tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendError, match=r"fp32\.onnx has weights in other files.*does not vouch"):
        Segmenter.open(make_bundle(model=outside_weights_model), RuntimeConfig(backend=backend))


def flip_one_pixel(labels: Frame) -> Frame:
    """One pixel of 3 * 16 * 24 = 1152: agreement 1 - 1/1152."""
    labels[1, 3, 4] = (labels[1, 3, 4] + 1) % 3
    return labels


@pytest.mark.parametrize(
    ("at_export", "expected"), [(None, r"0\.9999 \(1\.000000 at export"), (0.9993, r"0\.9992 \(0\.999300 at export")]
)
def test_other_labels_than_at_export_are_refused_with_the_agreement(
    make_bundle: MakeBundle, at_export: float | None, expected: str
) -> None:
    message = rf"fp32\.onnx with backend\.provider=cpu has label agreement 0\.999132 .*expected at least {expected}"
    with pytest.raises(BackendError, match=message):
        Segmenter.open(make_bundle(golden_labels=flip_one_pixel, golden_agreement=at_export))


def test_artefact_may_differ_from_its_network_as_much_as_it_did_at_export(make_bundle: MakeBundle) -> None:
    Segmenter.open(make_bundle(golden_labels=flip_one_pixel, golden_agreement=0.9992)).close()


def test_low_precision_may_differ_more_from_machine_to_machine(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(golden_labels=flip_one_pixel, golden_agreement=1.0, precision="fp16")
    Segmenter.open(bundle).close()


def test_integers_that_give_other_labels_are_refused_with_what_the_cpu_may_lack(make_bundle: MakeBundle) -> None:
    quantization = Quantization(
        scheme="u8s8", range_method="minmax", calibration_sha256="0" * 64, num_calibration_frames=1
    )
    bundle = make_bundle(
        golden_labels=lambda labels: (labels + 1) % 3,
        golden_agreement=0.98,
        precision="int8",
        quantization=quantization,
    )
    with pytest.raises(BackendError, match=r"agreement 0\.\d+ .*at least 0\.975 .*without VNNI.*reduce_range"):
        Segmenter.open(bundle)


def test_golden_labels_of_another_type_are_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"golden_labels\.npy holds int64 \(3, 16, 24\); the manifest promises uint8"):
        Segmenter.open(make_bundle(golden_labels=lambda labels: labels.astype(np.int64)))


def test_golden_labels_outside_the_classes_are_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="holds class id 3, but the manifest lists 3 classes"):
        Segmenter.open(make_bundle(golden_labels=lambda labels: labels + np.uint8(1)))


def test_pickled_golden_labels_are_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"golden_labels\.npy is not an \.npy file .*allow_pickle=False"):
        Segmenter.open(make_bundle(golden_labels=lambda labels: labels.astype(object)))


def test_file_that_is_no_network_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BackendError, match=r"cannot open .*fp32\.onnx with CPUExecutionProvider"):
        Segmenter.open(make_bundle(model=b"not a network"))


def test_network_with_float_input_is_refused(make_bundle: MakeBundle, float_input_model: bytes) -> None:
    with pytest.raises(BackendError, match=r"has tensors .*'frame': \('float32'"):
        Segmenter.open(make_bundle(model=float_input_model))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.full((16, 24, 3), np.nan, np.float32), "float32 and holds NaN; expected uint8 RGB 0..255"),
        (np.zeros((16, 24, 3), np.float64), r"is float64; expected uint8 .*astype\(numpy\.uint8\)"),
        (np.zeros((16, 24, 3), np.int8), "is int8; expected uint8"),
        (np.zeros((15, 24, 3), np.uint8), r"shape \(15, 24, 3\); expected .*\(16, 24, 3\); .*fixed at export"),
        (np.zeros((24, 16, 3), np.uint8), r"shape \(24, 16, 3\)"),
        (np.zeros((16, 24, 4), np.uint8), r"shape \(16, 24, 4\)"),
        (np.zeros((16, 24), np.uint8), r"shape \(16, 24\)"),
        ([[0, 0, 0]], "is a list; expected uint8"),
    ],
)
def test_what_is_no_frame_of_the_bundle_is_refused(bundle: Path, frame: Frame, message: str) -> None:
    with Segmenter.open(bundle) as segmenter, pytest.raises(FrameError, match=message):
        segmenter.segment(frame)


def test_closed_segmenter_refuses_frames(bundle: Path, striped_frame: Frame) -> None:
    segmenter = Segmenter.open(bundle)
    segmenter.close()
    segmenter.close()
    with pytest.raises(BackendError, match="is closed"):
        segmenter.segment(striped_frame)


def test_frame_is_segmented_where_torch_and_onnx_cannot_be_imported(bundle: Path) -> None:
    program = f"""
import sys
for name in ("torch", "torchvision", "onnx", "safetensors", "av"):
    sys.modules[name] = None
from pathlib import Path
import numpy as np
import runtime.__main__
from runtime.segmenter import Segmenter
with Segmenter.open(Path({str(bundle)!r})) as segmenter:
    frame = np.zeros((16, 24, 3), np.uint8)
    frame[..., 2] = 9
    print(segmenter.segment(frame).labels.mean())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "2.0\n"), done.stderr
