from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export import engines
from export.config import Budgets
from export.engines import TorchBackend, inner_tensors, open_engines
from export.forms import FORMS, Form
from export.frozen import Frozen
from export.gates.comparison import Reference
from export.gates.verdict import judge
from export.onnx_from_torch import onnx_from_torch
from export.onnx_graph import cut_to_logits, with_output
from export.pt2_from_torch import pt2_from_torch
from export.torchscript_from_torch import torchscript_from_torch

Maps = NDArray[np.uint8]


def openvino_types() -> list[str]:
    """What OpenVINO offers on this CPU."""
    if find_spec("openvino") is None:
        return []
    return list(import_module("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")


def assert_like_torch(path: Path, form: Form, honest: Frozen, frames: list[Maps], names: list[str]) -> None:
    reference = TorchBackend(honest.network)
    with open_engines(path, form, honest) as opened:
        assert (list(opened.backends), opened.refusals, opened.not_run) == (names, (), None)
        for frame in frames:
            labels, confidence = reference.infer(frame)
            for backend in opened.backends.values():
                got = backend.infer(frame)
                assert np.mean(got[0] == labels) >= 0.999
                assert np.abs(got[1].astype(int) - confidence).max() <= 2


@needs_openvino
def test_onnx_runs_in_onnxruntime_and_openvino(honest: Frozen, fp32_onnx: Path, gate_frames: list[Maps]) -> None:
    assert_like_torch(fp32_onnx, FORMS["fp32.onnx"], honest, gate_frames, ["onnxruntime", "openvino"])


@needs_openvino
def test_logits_get_the_tail_of_the_host(
    honest: Frozen, fp32_onnx: Path, gate_frames: list[Maps], tmp_path: Path
) -> None:
    path = tmp_path / "fp32-logits.onnx"
    cut_to_logits(fp32_onnx, path)
    assert_like_torch(path, FORMS["fp32-logits.onnx"], honest, gate_frames, ["onnxruntime", "openvino"])


def test_torchscript_runs_in_torch(honest: Frozen, gate_frames: list[Maps], tmp_path: Path) -> None:
    path = tmp_path / "fp32.torchscript"
    torchscript_from_torch(honest.network, path, {})
    assert_like_torch(path, FORMS["fp32.torchscript"], honest, gate_frames, ["torch"])


def test_exported_program_runs_in_torch(honest: Frozen, gate_frames: list[Maps], tmp_path: Path) -> None:
    path = tmp_path / "fp32.pt2"
    pt2_from_torch(honest.network, path, {})
    assert_like_torch(path, FORMS["fp32.pt2"], honest, gate_frames, ["torch"])


def test_file_that_an_engine_refuses_is_told_and_no_crash(honest: Frozen, tmp_path: Path) -> None:
    path = tmp_path / "fp32.onnx"
    path.write_bytes(b"this is no graph")
    with open_engines(path, FORMS["fp32.onnx"], honest) as opened:
        assert opened.backends == {}
        assert opened.refusals[0].startswith("onnxruntime does not open it: ONNX Runtime cannot open")


def test_bfloat16_without_openvino_is_not_run(honest: Frozen, fp32_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with open_engines(fp32_onnx, FORMS["bf16.onnx"], honest) as opened:
        assert opened.backends == {}
        assert opened.not_run == "ONNX Runtime has no bfloat16 convolution for CPUs, and OpenVINO is not installed"


@needs_openvino
@pytest.mark.skipif("BF16" not in openvino_types(), reason="this CPU has no bfloat16")
def test_bfloat16_runs_in_openvino_and_shows_its_logits(honest: Frozen, reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "bf16.onnx"
    onnx_from_torch(honest.network, path, {}, precision="bf16")
    verdict = judge(reference, path, FORMS["bf16.onnx"], Budgets())
    (parity,) = verdict.artefact.parity
    assert parity.engine == "openvino"
    assert parity.logits_error is not None
    assert 1e-4 < parity.logits_error < 0.05
    assert verdict.artefact.low_precision_share == 1.0
    assert not any("what training showed it" in problem for problem in verdict.problems)


def test_half_precision_runs_in_onnxruntime_alone(honest: Frozen, reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "fp16.onnx"
    onnx_from_torch(honest.network, path, {}, precision="fp16")
    verdict = judge(reference, path, FORMS["fp16.onnx"], Budgets())
    assert [parity.engine for parity in verdict.artefact.parity] == ["onnxruntime"]
    assert (verdict.compared.problems, verdict.artefact.low_precision_share) == ((), 1.0)
    assert verdict.artefact.parity[0].label_agreement >= 0.998


def test_inner_tensors_are_those_of_torch(honest: Frozen, fp32_onnx: Path, gate_frames: list[Maps]) -> None:
    graph, frame = honest.network, gate_frames[0]
    tensors = inner_tensors(with_output(with_output(fp32_onnx.read_bytes(), "logits"), "image"))(frame)
    with torch.inference_mode():
        image = graph.input(torch.from_numpy(frame), graph.network_hw)
        logits = graph.network.logits(image)
    np.testing.assert_allclose(tensors["image"], image.numpy(), atol=1e-5)
    np.testing.assert_allclose(tensors["logits"], logits.numpy(), atol=1e-3)
    # Tests of agreement would mean little if the logits had no spread.
    assert logits.std() > 1
