"""A network and frames with PyTorch's answers, and an artefact of it as the exporter writes it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.config import ExportConfig
from export.forms import Form
from export.frozen import Frozen, freeze
from export.gates.comparison import Reference, run_reference
from export.onnx_from_torch import onnx_from_torch

FRAME_HW = (64, 96)
Maps = NDArray[np.uint8]


@pytest.fixture(scope="session")
def gate_frames() -> list[Maps]:
    """Three different frames of large random tiles."""
    tiles = np.random.default_rng(3).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    return list(tiles.repeat(8, axis=1).repeat(8, axis=2)[:, np.newaxis])


@pytest.fixture(scope="session")
def honest(make_config: Callable[..., ExportConfig]) -> Frozen:
    """The deploy graph that the reference is made of; nobody may alter it."""
    return freeze(make_config(), FRAME_HW)


@pytest.fixture(scope="session")
def reference(honest: Frozen, gate_frames: list[Maps]) -> Reference:
    """PyTorch's answers, with its own labels of the first two frames as truth: its IoU is 100 %."""
    labelled = run_reference(honest, gate_frames, num_golden_frames=1)
    truths = list(zip(gate_frames[:2], labelled.labels[:2], strict=True))
    return run_reference(honest, gate_frames, truths, num_golden_frames=2)


@pytest.fixture(scope="session")
def fp32_onnx(honest: Frozen, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as ONNX, unharmed."""
    path = tmp_path_factory.mktemp("artefact") / "fp32.onnx"
    onnx_from_torch(honest.network, path, {})
    return path


@pytest.fixture(scope="session")
def fp32() -> Form:
    """What `fp32.onnx` is."""
    return Form("onnx", "fp32")
