from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

from export.config import ExportConfig
from export.frozen import Frozen
from export.onnx_from_torch import onnx_from_torch
from runtime.errors import GateError
from training.frame_network import FrameInput


@pytest.fixture(scope="session")
def model(exported: ExportConfig) -> Any:
    return onnx.load(exported.bundle / "fp32.onnx", load_external_data=False)


def tensor_of(info: Any) -> tuple[str, int, list[int]]:
    tensor = info.type.tensor_type
    return info.name, tensor.elem_type, [dim.dim_value for dim in tensor.shape.dim]


def test_takes_and_gives_what_the_manifest_promises(model: Any) -> None:
    uint8 = onnx.TensorProto.UINT8
    assert [tensor_of(info) for info in model.graph.input] == [("frame", uint8, [1, 64, 96, 3])]
    assert [tensor_of(info) for info in model.graph.output] == [
        ("labels", uint8, [1, 64, 96]),
        ("confidence", uint8, [1, 64, 96]),
    ]


def test_versions_are_those_that_old_runtimes_read(model: Any) -> None:
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10
    onnx.checker.check_model(model, full_check=True)


def test_batch_norm_is_folded_and_weights_are_inside(model: Any) -> None:
    ops = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in ops
    # 20 convolutions of ResNet-18 with its shortcuts, and 4 classifiers.
    assert ops.count("Conv") == 24
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_frame_is_cast_before_anything_else(model: Any) -> None:
    assert [node.op_type for node in model.graph.node if "frame" in node.input] == ["Cast"]


def test_says_what_it_is_and_nothing_of_the_exporting_machine(exported: ExportConfig, model: Any) -> None:
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert (facts["frame_hw"], facts["network_hw"], facts["input"]) == ("64x96", "64x96", "rgb_imagenet")
    assert facts["classes"].startswith("road,sidewalk,")
    content = (exported.bundle / "fp32.onnx").read_bytes()
    assert b"frame_network.py" not in content
    assert str(Path.cwd()).encode() not in content


class TransposeFirst(FrameInput):
    """The same numbers in the order that TensorRT refuses."""

    def forward(self, frames: Tensor, hw: tuple[int, int] | None = None) -> Tensor:
        image = frames.permute(0, 3, 1, 2).to(torch.float32)
        return (image - self.mean) / self.std


def test_graph_that_tensorrt_would_refuse_is_refused_here(frozen: Frozen, tmp_path: Path) -> None:
    frozen.network.input.__class__ = TransposeFirst
    with pytest.raises(GateError, match=r"enters \['Transpose'\] before it is cast"):
        onnx_from_torch(frozen.network, tmp_path / "a.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_batch_norm_that_stays_is_refused(frozen: Frozen, tmp_path: Path) -> None:
    # Before the first convolution there is nothing to fold it into.
    stem = frozen.network.network.get_submodule("stem")
    assert isinstance(stem, nn.Sequential)
    stem.insert(0, nn.BatchNorm2d(3).eval())
    with pytest.raises(GateError, match="batch norm is not folded"):
        onnx_from_torch(frozen.network, tmp_path / "a.onnx", {})
    assert list(tmp_path.iterdir()) == []
