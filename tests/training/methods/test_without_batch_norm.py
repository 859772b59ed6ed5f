"""A network of another kind, without batch norm: adapted and reported on with nothing to blend."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor, nn

from training.__main__ import main
from training.checkpoint import NetworkSpec, load_network, save_network
from training.networks.config import FactoryConfig
from training.networks.network import NetworkOutput, SegmentationNetwork
from training.statistics.batch_norm import has_statistics, read_statistics

NAME = "networks_of_mine:make"


class Plain(SegmentationNetwork):
    """One strided convolution, group norm, one classifier."""

    head = "classifier"
    size_multiple = 8

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.GroupNorm(2, 8), nn.ReLU())
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> NetworkOutput:
        features = self.trunk(image)
        return NetworkOutput(logits=self.classifier(features), features=features)


@pytest.fixture
def run_file(make_settings: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on rendered streets that adapts `Plain`, which stands for what the named factory makes."""

    def build(config: FactoryConfig, num_classes: int, *, imagenet: bool = False) -> Plain:
        assert (config.factory, imagenet) == (NAME, False)
        return Plain(num_classes)

    monkeypatch.setattr("training.checkpoint.build_network", build)
    model = {"kind": "factory", "factory": NAME, "feature_layer": "trunk", "network_hw": [32, 48]}
    spec = NetworkSpec(model=FactoryConfig.model_validate(model), label_space="cityscapes19")
    save_network(tmp_path / "source.safetensors", spec.build(), spec)
    config = make_settings(tmp_path, tmp_path / "out", iterations=1, statistics_share="auto")
    streets = {"layout": "streets", "domain": "target", "count": 2, "height": 64, "width": 96}
    config |= {"label_space": "cityscapes19", "model": model}
    config["target"] = {"adapt": {**streets, "first": 0}, "test": {**streets, "first": 9}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"training": config}))
    return path


def test_group_norm_and_batch_norm_that_keeps_nothing_have_no_statistics() -> None:
    assert has_statistics(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))
    for network in (Plain(3), nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)), nn.LayerNorm(3)):
        assert not has_statistics(network)
        assert read_statistics(network) == {}


def test_network_without_batch_norm_is_adapted_from_share_0_and_reported_without_its_rows(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapt", str(run_file)]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out.splitlines()[-1])
    assert figures["statistics_share"] == 0.0
    assert not any(name.startswith("bn_") for name in figures)
    assert "the network has no batch norm" in captured.err
    told = load_network(run_file.parent / "out/adapted.safetensors", factory=NAME)[1].provenance
    assert told["statistics_share"] == 0.0
    assert "shares_tried" not in told
    assert list(json.loads((run_file.parent / "out/report.json").read_text())) == ["source only", "balanced", "adapted"]


def test_what_was_prepared_is_used_by_a_second_run(run_file: Path) -> None:
    """The initial network is read back from its file, which names the factory too."""
    assert main(["adapt", str(run_file)]) == 0
    assert main(["adapt", str(run_file), "--set", "seed=1"]) == 0
    assert len(list((run_file.parent / "out/prepared").iterdir())) == 1
    assert len(list((run_file.parent / "out/adapt").iterdir())) == 2
