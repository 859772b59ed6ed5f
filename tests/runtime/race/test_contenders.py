from collections.abc import Callable
from typing import Any

import pytest

from runtime.backends.config import AutoConfig, TensorRtEpConfig
from runtime.bundle.manifest import Quantization
from runtime.bundle.serving import why_not_served
from runtime.race import contenders as module
from runtime.race.contenders import Contender, contenders_of, title_of

MakeContender = Callable[..., Contender]


class OneManifest:
    """The part of a manifest that says what there is."""

    def __init__(self, *contenders: Contender) -> None:
        self.artefacts = tuple(contender.artefact for contender in contenders)


@pytest.fixture
def manifest(make_contender: MakeContender) -> Any:
    quantization = Quantization(
        scheme="u8s8", range_method="minmax", calibration_sha256="0" * 64, num_calibration_frames=1
    )
    return OneManifest(
        make_contender("fp32.onnx"),
        make_contender("fp16.onnx", precision="fp16"),
        make_contender("int8-cpu.onnx", precision="int8", quantization=quantization),
        make_contender("bf16.onnx", precision="bf16", parity=(), not_run="no bf16 there"),
        make_contender("fp32.engine", format="tensorrt", parity=(), not_run="no GPU there"),
        make_contender("fp32.pt2", format="pt2"),
    )


def told(found: tuple[Any, Any]) -> tuple[list[str], list[str]]:
    contenders, refusals = found
    takes_part = [f"{title_of(entry.backend)} {entry.artefact.file}" for entry in contenders]
    does_not = [
        f"{title_of(entry.backend)} {entry.artefact.file if entry.artefact else 'any'}: {entry.reason}"
        for entry in refusals
    ]
    return takes_part, does_not


def test_each_engine_here_races_with_each_artefact_it_serves(manifest: Any) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    takes_part, does_not = told(contenders_of(manifest, AutoConfig(threads=2), None))
    assert [entry for entry in takes_part if "cuda" not in entry and "tensorrt" not in entry] == [
        "cpu fp32.onnx",
        "cpu fp16.onnx",
        "cpu int8-cpu.onnx",
        "openvino fp32 fp32.onnx",
        "openvino fp32 int8-cpu.onnx",
        "openvino bf16 fp32.onnx",
        "openvino bf16 int8-cpu.onnx",
    ]
    assert "openvino fp32 fp16.onnx: OpenVINO does not compute in fp16 on CPUs" in does_not
    assert "cpu bf16.onnx: it was never compared with its network (no bf16 there)" in does_not
    assert "tensorrt fp32.engine: it was never compared with its network (no GPU there)" in does_not
    assert not any("pt2" in entry for entry in (*takes_part, *does_not))


def test_fixed_artefact_races_alone(manifest: Any) -> None:
    takes_part, does_not = told(contenders_of(manifest, AutoConfig(), "fp32.onnx"))
    assert {entry.split()[-1] for entry in takes_part} == {"fp32.onnx"}
    assert not any("int8" in entry or "engine" in entry for entry in does_not)


def test_engine_that_is_not_installed_is_listed_once_with_how_to_get_it(
    manifest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    takes_part, does_not = told(contenders_of(manifest, AutoConfig(), None))
    assert {entry.split()[0] for entry in takes_part} == {"cpu"}
    assert "openvino bf16 any: OpenVINO is not installed; `pip install 'iapc[openvino]'` adds it" in does_not
    assert "cuda any: no ONNX Runtime with CUDA is installed; `pip install 'iapc[gpu]'` has it" in does_not


def test_threads_and_device_are_those_of_every_contender(manifest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    monkeypatch.setattr(module, "_onnxruntime_providers", lambda: offered)
    contenders, _ = contenders_of(manifest, AutoConfig(threads=3, device_id=1), "fp32.onnx")
    assert {getattr(entry.backend, "threads", 3) for entry in contenders} == {3}
    assert {getattr(entry.backend, "device_id", 1) for entry in contenders} == {1}
    assert {"cuda", "tensorrt_ep"} < {entry.backend.provider for entry in contenders}


def test_unsigned_integers_are_not_for_tensorrt(manifest: Any) -> None:
    reasons = {entry.file: why_not_served(entry, TensorRtEpConfig()) for entry in manifest.artefacts}
    assert reasons["fp32.onnx"] is None
    assert reasons["int8-cpu.onnx"] == "its integers are unsigned (u8s8), and TensorRT takes signed ones (s8s8)"
