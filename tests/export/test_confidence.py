"""What the runtime trusts in: logits that are not finite have confidence 0, whatever engine computed them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.onnx_from_torch import onnx_from_torch
from runtime.backends.config import BackendConfig, CpuConfig, OpenVinoConfig
from runtime.backends.open import open_backend
from training.frame_network import FrameNetwork
from training.networks.config import INPUT_CONVENTIONS
from training.networks.network import NetworkOutput, SegmentationNetwork

FRAME_HW, LOGITS_HW = (64, 96), (16, 24)
NUM_CLASSES = 19
CELL = (5, 7)


class Poisoned(SegmentationNetwork):
    """Its logits have `poison` added, (1, C, h, w)."""

    poison: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, NUM_CLASSES, 3, stride=4, padding=1)
        self.register_buffer("poison", torch.zeros(1, NUM_CLASSES, *LOGITS_HW))

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(logits=self.classifier(image) + self.poison, features=image)


def confidence_of(value: float, classes: slice, backend: BackendConfig, folder: Path) -> NDArray[np.uint8]:
    """Confidence (H, W) where the logits of some classes have this value in one cell."""
    network = Poisoned()
    network.poison[:, classes, CELL[0], CELL[1]] = value
    graph = FrameNetwork(network, INPUT_CONVENTIONS["rgb_imagenet"], network_hw=FRAME_HW, frame_hw=FRAME_HW)
    onnx_from_torch(graph.eval().requires_grad_(False), folder / "a.onnx", {}, "fp32")
    opened = open_backend(backend, folder / "a.onnx", FRAME_HW)
    frame = np.random.default_rng(0).integers(0, 256, (1, *FRAME_HW, 3), dtype=np.uint8)
    _, confidence = opened.infer(frame)
    found: NDArray[np.uint8] = confidence[0].copy()
    opened.close()
    return found


@pytest.mark.parametrize(
    "backend", [CpuConfig(threads=1), OpenVinoConfig(threads=1), OpenVinoConfig(precision="bf16", threads=1)]
)
@pytest.mark.parametrize("classes", [slice(3, 4), slice(None)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_have_confidence_zero_around_them_and_nowhere_else(
    value: float, classes: slice, backend: CpuConfig | OpenVinoConfig, tmp_path: Path
) -> None:
    if isinstance(backend, OpenVinoConfig):
        openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
        if backend.precision.upper() not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this CPU has no bfloat16")
    confidence = confidence_of(value, classes, backend, tmp_path)
    rows, columns = np.nonzero(confidence == 0)
    # A cell of 4 x 4 pixels is blended into those beside it: 8 x 8 pixels see it.
    assert (rows.min(), rows.max()) == (4 * CELL[0] - 2, 4 * CELL[0] + 5)
    assert (columns.min(), columns.max()) == (4 * CELL[1] - 2, 4 * CELL[1] + 5)
    assert confidence[confidence > 0].min() >= 255 // NUM_CLASSES
