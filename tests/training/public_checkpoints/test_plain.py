"""State dicts for networks of other kinds: into the wrapped module, whole or not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import CheckpointError
from training.checkpoint import NetworkSpec
from training.networks.config import SmpConfig
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.public_checkpoints.plain import load_plain

MODEL = SmpConfig(kind="smp", architecture="unet", encoder="resnet18", network_hw=(32, 32))
TENSORS = {"weight": torch.full((2, 3, 1, 1), 5.0), "bias": torch.full((2,), 6.0)}


class Wrapping(SegmentationNetwork):
    """Stands in for a wrapped network: the user's module is `inner`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 2, kernel_size=1)

    def forward(self, image: Tensor) -> NetworkOutput:
        return NetworkOutput(self.inner(image), image)


@pytest.fixture(autouse=True)
def wrapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkSpec, "build", lambda self, *, imagenet=False: Wrapping())


@pytest.mark.parametrize(
    "document",
    [
        TENSORS,
        {f"module.{name}": tensor for name, tensor in TENSORS.items()},
        {"state_dict": TENSORS, "epoch": 3, "optimizer": {"state": {}}},
        {"model": {f"module.{name}": tensor for name, tensor in TENSORS.items()}},
    ],
    ids=["bare", "parallel", "wrapped", "wrapped_parallel"],
)
def test_a_state_dict_goes_into_the_wrapped_module(document: Any, tmp_path: Path) -> None:
    torch.save(document, tmp_path / "mine.pt")
    network, spec = load_plain(tmp_path / "mine.pt", MODEL, "camvid11")
    assert torch.equal(network.state_dict()["inner.weight"], TENSORS["weight"])
    assert torch.equal(network.state_dict()["inner.bias"], TENSORS["bias"])
    assert (spec.provenance["file"], len(spec.provenance["sha256"])) == ("mine.pt", 64)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"weight": TENSORS["weight"]}, r"1 missing \(bias\)"),
        (TENSORS | {"more": torch.zeros(1)}, r"1 left over \(more\)"),
        (TENSORS | {"bias": torch.zeros(3)}, r"1 of another shape \(bias \(3,\) instead of \(2,\)\)"),
        ({"weights": {"weight": torch.zeros(1)}}, r"holds no state dict; its keys are weights; save `network"),
    ],
)
def test_what_does_not_fit_is_refused(document: Any, message: str, tmp_path: Path) -> None:
    torch.save(document, tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match=message):
        load_plain(tmp_path / "mine.pt", MODEL, "camvid11")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.pt does not exist"):
        load_plain(tmp_path / "no.pt", MODEL, "camvid11")
