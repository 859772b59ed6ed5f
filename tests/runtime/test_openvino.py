import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backends import openvino as backend
from runtime.backends.config import OpenVinoConfig
from runtime.backends.signal_stack import signal_stack
from runtime.errors import BackendError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

Frame = NDArray[np.uint8]
MakeBundle = Callable[..., Path]
AddArtefact = Callable[..., None]
FP32, BF16 = (RuntimeConfig(backend=OpenVinoConfig(precision=precision, threads=1)) for precision in ("fp32", "bf16"))


@pytest.fixture
def openvino() -> Any:
    return pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture
def has_bf16(openvino: Any) -> bool:
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_missing_package_names_the_extra_to_install(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match=r"OpenVINO cannot be imported .*pip install 'iapc\[openvino\]'"):
        Segmenter.open(bundle, FP32)


@pytest.mark.usefixtures("openvino")
def test_labels_and_confidence_are_those_worked_by_hand(
    bundle: Path, striped_frame: Frame, striped_labels: Frame
) -> None:
    with Segmenter.open(bundle, FP32) as segmenter:
        result = segmenter.segment(striped_frame)
        np.testing.assert_array_equal(result.labels, striped_labels)
        np.testing.assert_array_equal(result.confidence, np.choose(striped_labels, [250, 200, 150]))


@pytest.mark.parametrize(("cores", "threads", "is_tied"), [(2, None, True), (2, 2, True), (2, 1, False), (1, 1, True)])
def test_threads_are_tied_to_cores_only_where_they_have_all_of_them(
    openvino: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int | None, is_tied: bool
) -> None:
    monkeypatch.setattr(backend, "usable_cores", lambda: [[core] for core in range(cores)])
    core_type, told = openvino.Core, []
    compile_model = core_type.compile_model

    def compile_and_keep(self: Any, *arguments: Any) -> Any:
        compiled = compile_model(self, *arguments)
        told.append(compiled.get_property("ENABLE_CPU_PINNING"))
        return compiled

    monkeypatch.setattr(core_type, "compile_model", compile_and_keep)
    config = RuntimeConfig(backend=OpenVinoConfig(threads=threads))
    with Segmenter.open(bundle, config):
        assert told == [is_tied]


@pytest.mark.usefixtures("openvino")
def test_each_frame_gets_its_own_labels_in_one_read_only_buffer(bundle: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)
    with Segmenter.open(bundle, FP32) as segmenter:
        first = segmenter.segment(frames[0]).labels
        for frame in frames:
            found = segmenter.segment(frame).labels
            np.testing.assert_array_equal(found, frame.argmax(axis=-1))
            assert np.shares_memory(first, found)
        with pytest.raises(ValueError, match="read-only"):
            first[0, 0] = 1


@pytest.mark.usefixtures("openvino")
def test_logits_get_their_labels_on_the_host(
    bundle: Path, add_artefact: AddArtefact, logits_model: bytes, striped_frame: Frame, striped_labels: Frame
) -> None:
    add_artefact(bundle, "fp32-logits.onnx", logits_model, tail="logits")
    with Segmenter.open(bundle, FP32.model_copy(update={"artefact": "fp32-logits.onnx"})) as segmenter:
        np.testing.assert_array_equal(segmenter.segment(striped_frame).labels, striped_labels)


def test_precision_is_the_one_asked_for(
    make_bundle: MakeBundle, add_artefact: AddArtefact, make_logits_network: Callable[..., bytes], has_bf16: bool
) -> None:
    # 201 and 201.2 are one number in bf16, and of equals the lowest id wins; in fp32 the second is larger.
    weights = np.array([[1, 0, 0], [1.001, 0, 0], [0, 0, 0]], dtype=np.float32)
    bundle = make_bundle(golden_labels=lambda labels: labels, golden_agreement=0.0)
    add_artefact(bundle, "fp32-logits.onnx", make_logits_network(weights), tail="logits")
    frame = np.full((16, 24, 3), (201, 0, 0), dtype=np.uint8)
    named = {"artefact": "fp32-logits.onnx"}
    with Segmenter.open(bundle, FP32.model_copy(update=named)) as segmenter:
        assert (segmenter.segment(frame).labels == 1).all()
    if not has_bf16:
        with pytest.raises(BackendError, match=r"backend\.precision=bf16 was asked for, but OpenVINO offers only"):
            Segmenter.open(bundle, BF16.model_copy(update=named))
        return
    with Segmenter.open(bundle, BF16.model_copy(update=named)) as segmenter:
        assert (segmenter.segment(frame).labels == 0).all()


@pytest.mark.usefixtures("openvino")
def test_network_with_float_input_is_refused(make_bundle: MakeBundle, float_input_model: bytes) -> None:
    with pytest.raises(BackendError, match=r"has tensors .*'frame': \('float32'"):
        Segmenter.open(make_bundle(model=float_input_model), FP32)


@pytest.mark.usefixtures("openvino")
def test_file_that_is_no_network_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BackendError, match=r"OpenVINO .* cannot open .*fp32\.onnx"):
        Segmenter.open(make_bundle(model=b"not a network"), FP32)


@pytest.mark.usefixtures("openvino")
def test_closed_backend_says_so(bundle: Path, striped_frame: Frame) -> None:
    segmenter = Segmenter.open(bundle, FP32)
    segmenter.close()
    segmenter.close()
    with pytest.raises(BackendError, match="is closed"):
        segmenter.segment(striped_frame)


@pytest.mark.usefixtures("openvino")
def test_signals_find_their_stack_after_engines_closed_in_the_order_they_were_opened(bundle: Path) -> None:
    before = signal_stack()
    assert before is not None
    first, second = (Segmenter.open(bundle, FP32) for _ in range(2))
    first.close()
    second.close()
    after = signal_stack()
    assert after is not None
    assert (after.address, after.flags) == (before.address, before.flags)
