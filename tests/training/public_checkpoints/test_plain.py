"""State dicts for networks of other kinds: into the wrapped module, whole or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import training.__main__
from runtime.errors import CheckpointError
from runtime.labels import LABEL_SPACES
from training.checkpoint import read_network
from training.config import TrainingConfig
from training.networks.config import FactoryConfig
from training.public_checkpoints.plain import load_plain
from training.source import load_source

MODEL = FactoryConfig(kind="factory", factory="my_networks:Small", feature_layer="encoder", network_hw=(32, 48))
SHAPES = {
    "encoder.0.weight": (16, 3, 3, 3),
    "encoder.0.bias": (16,),
    "encoder.1.weight": (16,),
    "encoder.1.bias": (16,),
}
SHAPES |= {"encoder.3.weight": (16, 16, 3, 3), "encoder.3.bias": (16,), "encoder.4.weight": (16,)}
SHAPES |= {"encoder.4.bias": (16,), "classifier.weight": (11, 16, 1, 1), "classifier.bias": (11,)}
TENSORS = {name: torch.randn(shape, generator=torch.Generator().manual_seed(0)) for name, shape in SHAPES.items()}


@pytest.fixture(autouse=True)
def my_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.mark.parametrize(
    "document",
    [
        TENSORS,
        {f"module.{name}": tensor for name, tensor in TENSORS.items()},
        {"state_dict": TENSORS, "epoch": 3, "optimizer": {"state": {}}},
        {"model": {f"module.{name}": tensor for name, tensor in TENSORS.items()}},
        {"best_miou": torch.tensor(0.3), "state_dict": TENSORS, "step": torch.tensor(9)},
        {"best_miou": torch.tensor(0.3), "model": {"name": "small"}, "net": TENSORS},
    ],
    ids=["bare", "parallel", "wrapped", "wrapped_parallel", "beside_tensors", "beside_another_dictionary"],
)
def test_a_state_dict_goes_into_the_wrapped_module(document: Any, tmp_path: Path) -> None:
    torch.save(document, tmp_path / "mine.pt")
    network, spec = load_plain(tmp_path / "mine.pt", MODEL, LABEL_SPACES["camvid11"])
    assert torch.equal(network.state_dict()["inner.encoder.3.weight"], TENSORS["encoder.3.weight"])
    assert torch.equal(network.state_dict()["inner.classifier.bias"], TENSORS["classifier.bias"])
    assert (spec.provenance["file"], len(spec.provenance["sha256"])) == ("mine.pt", 64)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({n: t for n, t in TENSORS.items() if n != "encoder.0.bias"}, r"1 missing \(encoder\.0\.bias\)"),
        (TENSORS | {"more": torch.zeros(1)}, r"1 left over \(more\)"),
        (
            TENSORS | {"classifier.bias": torch.zeros(3)},
            r"1 of another shape \(classifier\.bias \(3,\) instead of \(11,\)\)",
        ),
        ({"weights": {"weight": torch.zeros(1)}}, r"holds no state dict; its keys are weights; save `network"),
    ],
)
def test_what_does_not_fit_is_refused(document: Any, message: str, tmp_path: Path) -> None:
    torch.save(document, tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match=message):
        load_plain(tmp_path / "mine.pt", MODEL, LABEL_SPACES["camvid11"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.pt does not exist"):
        load_plain(tmp_path / "no.pt", MODEL, LABEL_SPACES["camvid11"])


def test_a_run_starts_from_a_state_dict_of_a_network_of_ones_own(
    make_settings: Callable[..., dict[str, Any]], world: Path, tmp_path: Path
) -> None:
    torch.save({"state_dict": TENSORS}, tmp_path / "mine.pth")
    settings = make_settings(world, tmp_path / "out", iterations=1)
    settings["source"]["path"] = str(tmp_path / "mine.pth")
    settings["model"] = MODEL.model_dump(mode="json")
    source = load_source(TrainingConfig.model_validate(settings))
    assert source.is_foreign
    assert torch.equal(source.network.state_dict()["inner.classifier.bias"], TENSORS["classifier.bias"])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": settings}))
    assert training.__main__.main(["adapt", str(tmp_path / "run.yaml")]) == 0
    assert read_network(tmp_path / "out" / "adapted.safetensors")[1].provenance["file"] == "mine.pth"
